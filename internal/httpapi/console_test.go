package httpapi_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/console"
	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// files gives the console as it is built in.
func files(tb testing.TB) httpapi.Console {
	tb.Helper()
	c, err := console.New()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// browserAccepts is what Chromium and Firefox send for a page.
const browserAccepts = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// Browsers get the page, everything else the description it always got.
func TestHomeIsNegotiated(t *testing.T) {
	g := newGateway(t, nil)
	for accept, want := range map[string]string{
		"":                         "application/json",
		"Accept: */*":              "application/json",
		"Accept: application/json": "application/json",
		"Accept: application/json, text/html;q=0.9": "application/json",
		"Accept: application/*, text/html":          "application/json",
		"Accept: image/png":                         "application/json",
		"Accept: text/html":                         "text/html; charset=utf-8",
		browserAccepts:                              "text/html; charset=utf-8",
	} {
		var headers []string
		if accept != "" {
			headers = []string{accept}
		}
		for _, method := range []string{"GET", "HEAD"} {
			res := g.do(t, method+" /", "", headers...)
			if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != want {
				t.Errorf("%s %q: %d, %q, want %q", method, accept, res.StatusCode, got, want)
			}
			if got := res.Header.Get("Vary"); got != "Accept" {
				t.Errorf("%q: Vary is %q: a cache would give one form for the other", accept, got)
			}
			if method == "HEAD" && res.Header.Get("Content-Length") == "" {
				t.Errorf("HEAD, %q: no length", accept)
			}
		}
	}
	g.do(t, "GET /?token=x", "", browserAccepts).wantProblem(t, stream.InvalidRequest, 400)
}

func TestConsoleFiles(t *testing.T) {
	g := newGateway(t, nil)
	res := g.do(t, "GET /console/style.css", "")
	etag := res.Header.Get("ETag")
	if res.StatusCode != 200 || etag == "" || res.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if res := g.do(t, "GET /console/style.css", "", "If-None-Match: "+etag); res.StatusCode != 304 || res.body != "" {
		t.Errorf("%d, %d bytes", res.StatusCode, len(res.body))
	}
	if res := g.do(t, "HEAD /console/style.css", ""); res.StatusCode != 200 || res.Header.Get("ETag") != etag {
		t.Errorf("HEAD: %d %v", res.StatusCode, res.Header)
	}
	for _, path := range []string{"/console/", "/console/none.js", "/console/..%2Fconsole.go", "/console/%2e%2e", "/console/web", "/console/a/b"} {
		g.do(t, "GET "+path, "").wantProblem(t, stream.NotFound, 404)
	}
	g.do(t, "POST /console/style.css", "x").wantProblem(t, stream.MethodNotAllowed, 405)
}

// Where it is turned off, there is no trace of it.
func TestWithoutConsole(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) { o.Console = nil })
	if res := g.do(t, "GET /", "", browserAccepts); res.Header.Get("Content-Type") != "application/json" {
		t.Error(res.Header)
	}
	g.do(t, "GET /console/style.css", "").wantProblem(t, stream.NotFound, 404)
}

func TestCaller(t *testing.T) {
	if got, want := newGateway(t, nil).do(t, "GET /caller", "").body,
		`{"principal":"anonymous","publish":["*"],"subscribe":["*"],"manage":["*"],"schemas":["*"],"join_groups":["*"],"manage_groups":["*"]}`; strings.TrimSpace(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	g := authenticated(t)
	for token, want := range map[string]string{
		"publisher": `{"principal":"token:publisher","publish":["mine","mine.*"],"subscribe":[],"manage":[],"schemas":[],"join_groups":[],"manage_groups":[]}`,
		"registrar": `{"principal":"token:registrar","publish":[],"subscribe":[],"manage":[],"schemas":["Mine"],"join_groups":[],"manage_groups":[]}`,
	} {
		res := g.do(t, "GET /caller", "", "Authorization: Bearer "+token)
		if diff := cmp.Diff(want, strings.TrimSpace(res.body)); diff != "" {
			t.Errorf("%s (-want, +got):\n%s", token, diff)
		}
		if got := res.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("what one caller may do can be kept for another: %q", got)
		}
	}
	g.do(t, "GET /caller?x=1", "", "Authorization: Bearer publisher").wantProblem(t, stream.InvalidRequest, 400)
}

// A page's script that is refused gets no challenge of Basic, which the browser
// would answer with a dialog of its own; everybody else does.
func TestPagesAreNotAskedForPasswords(t *testing.T) {
	g := withPasswords(t)
	for header, want := range map[string]int{"Sec-Fetch-Dest: empty": 1, "Sec-Fetch-Dest: document": 2, "X-Other: 1": 2} {
		res := g.do(t, "GET /caller", "", header)
		p := res.wantProblem(t, stream.Unauthenticated, 401)
		if got := res.Header.Values("WWW-Authenticate"); len(got) != want {
			t.Errorf("%s: %q", header, got)
		}
		if !strings.Contains(p.Detail, "Basic") {
			t.Errorf("the console does not learn that passwords are taken: %s", p.Detail)
		}
	}
}
