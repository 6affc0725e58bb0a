package console_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/console"
)

func serve(t *testing.T, name string) (*httptest.ResponseRecorder, bool) {
	t.Helper()
	c, err := console.New()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	found := c.ServeFile(w, httptest.NewRequest(http.MethodGet, "/console/"+name, nil), name)
	return w, found
}

// sources gives the console's files by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("web/*")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(b)
	}
	if len(files) < 10 {
		t.Fatalf("only %d files were found", len(files))
	}
	return files
}

// Whole files are answered whatever else is asked for: a part, or under
// conditions that the description does not have.
func TestFilesAreWhole(t *testing.T) {
	c, err := console.New()
	if err != nil {
		t.Fatal(err)
	}
	for header, value := range map[string]string{"Range": "bytes=9999999-", "If-Match": `"other"`} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/console/style.css", nil)
		r.Header.Set(header, value)
		c.ServeFile(w, r, "style.css")
		if w.Code != http.StatusOK || w.Body.String() != sources(t)["style.css"] {
			t.Errorf("%s: %s: answered %d with %d bytes", header, value, w.Code, w.Body.Len())
		}
	}
}

func TestEveryFileIsServed(t *testing.T) {
	types := map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
		".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	for name, content := range sources(t) {
		w, found := serve(t, name)
		if !found || w.Code != http.StatusOK || w.Body.String() != content {
			t.Errorf("%s: found %v, %d", name, found, w.Code)
		}
		if got := w.Header().Get("Content-Type"); got != types[filepath.Ext(name)] {
			t.Errorf("%s: %q", name, got)
		}
		if got := w.Header().Get("ETag"); !regexp.MustCompile(`^"[\w-]{16}"$`).MatchString(got) {
			t.Errorf("%s: ETag %q", name, got)
		}
	}
	if w, found := serve(t, ""); !found || !strings.HasPrefix(w.Body.String(), "<!doctype html>") {
		t.Error("the page is not served for no name")
	}
	for _, name := range []string{"none.js", "..", "../console.go", "web/main.js", "/"} {
		if w, found := serve(t, name); found || w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%q is served", name)
		}
	}
}

// The policy allows scripts and styles of the gateway, and nothing else.
func TestPolicy(t *testing.T) {
	w, _ := serve(t, "")
	policy := map[string]string{}
	for directive := range strings.SplitSeq(w.Header().Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		policy[name] = value
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "img-src": "'self' data:",
		"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'", "require-trusted-types-for": "'script'", "trusted-types": "'none'",
	} {
		if policy[name] != want {
			t.Errorf("%s is %q, want %q", name, policy[name], want)
		}
		delete(policy, name)
	}
	if len(policy) > 0 {
		t.Errorf("the policy allows more: %v", policy)
	}
}

// What the policy would refuse is not there to begin with, nor anything that
// makes elements out of text, nor an address of another host.
func TestSourcesKeepToThePolicy(t *testing.T) {
	markup := map[string]*regexp.Regexp{
		"an inline script":        regexp.MustCompile(`(?i)<script(?:[^>]*)>\s*[^<\s]`),
		"an inline style":         regexp.MustCompile(`(?i)<style|\sstyle=`),
		"a listener as attribute": regexp.MustCompile(`(?i)\son[a-z]+=`),
	}
	code := map[string]*regexp.Regexp{
		"a way from text to elements": regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|setHTMLUnsafe|createContextualFragment|srcdoc =`),
		"a way from text to code":     regexp.MustCompile(`\beval\(|new Function|setTimeout\(['"]|setInterval\(['"]|import\(`),
		"styles that a policy stops":  regexp.MustCompile(`\.style\.|cssText`),
	}
	for name, text := range sources(t) {
		for what, pattern := range markup {
			if filepath.Ext(name) != ".js" && pattern.MatchString(text) {
				t.Errorf("%s has %s", name, what)
			}
		}
		for what, pattern := range code {
			if found := pattern.FindString(text); filepath.Ext(name) == ".js" && found != "" {
				t.Errorf("%s has %s: %s", name, what, found)
			}
		}
		for _, address := range regexp.MustCompile(`https?://[^'"\s)]+`).FindAllString(text, -1) {
			if address != "http://www.w3.org/2000/svg" && !strings.HasPrefix(address, "https://app.example") {
				t.Errorf("%s names another host: %s", name, address)
			}
		}
	}
}

// Every import is a file, and every file is imported by one or by the page.
func TestModulesAreThere(t *testing.T) {
	files := sources(t)
	used := map[string]bool{"index.html": true}
	reference := regexp.MustCompile(`from '\./([^']+)'|"/console/([^"]+)"`)
	for name, text := range files {
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			target := m[1] + m[2]
			if _, there := files[target]; !there {
				t.Errorf("%s needs %s, which is not there", name, target)
			}
			used[target] = true
		}
	}
	for name := range files {
		if !used[name] {
			t.Errorf("nothing uses %s", name)
		}
	}
}
