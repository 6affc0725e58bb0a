package browser_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"sluice/internal/kafkatest"
)

// pictures is where screenshots are kept, for people to look at.
const pictures = "../../.cache/console"

// looker is somebody who uses the console.
type looker struct {
	tab context.Context
	url string
}

// look opens the console, and at the end of the test fails for whatever the
// page threw or its policy had to stop.
func look(t *testing.T, tab context.Context, url string) *looker {
	t.Helper()
	messages := chromedp.Console(tab)
	l := &looker{tab: tab, url: url}
	visit(t, tab, url+"/")
	var mu sync.Mutex
	var wrong []string
	go func() { // ends with the tab
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Source == "security" || strings.Contains(m.Text, "Content Security Policy") {
				mu.Lock()
				wrong = append(wrong, m.String())
				mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, text := range wrong {
			t.Errorf("the page: %s", text)
		}
	})
	return l
}

// await waits until a script of the page says true. It may throw until then: the
// page may be on its way to another one.
func (l *looker) await(t *testing.T, script string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			l.shoot(t, "failed-"+t.Name())
		}
	}()
	kafkatest.Eventually(t, patience, func() error {
		holds, err := chromedp.Run(l.tab, chromedp.Evaluate[bool]("Boolean("+script+")"))
		if err != nil || holds {
			return err
		}
		shown, err := chromedp.Run(l.tab, chromedp.Evaluate[string](`document.body.innerText`))
		return fmt.Errorf("not %s; the page shows %.2000q (%v)", script, shown, err)
	})
}

// sees waits until the page's main part shows the texts.
func (l *looker) sees(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		l.await(t, fmt.Sprintf(`document.getElementById('main').innerText.includes(%q)`, text))
	}
}

// opens follows an address of the console, and waits for its heading.
func (l *looker) opens(t *testing.T, hash, heading string) {
	t.Helper()
	evaluate[bool](t, l.tab, fmt.Sprintf(`(window.location.hash = %q, true)`, hash))
	l.await(t, fmt.Sprintf(`document.querySelector('h1')?.textContent === %q`, heading))
}

// control finds a control by its label, as somebody does who listens.
const control = `(label => [...document.querySelectorAll('label')].filter(l => l.checkVisibility()).find(l => l.textContent === label)?.control)`

// fills puts a text into the control of a label.
func (l *looker) fills(t *testing.T, label, text string) {
	t.Helper()
	l.await(t, fmt.Sprintf(`%s(%q)`, control, label))
	evaluate[bool](t, l.tab, fmt.Sprintf(`(() => {
		const c = %s(%q)
		c.value = %q
		c.dispatchEvent(new Event('input', {bubbles: true}))
		c.dispatchEvent(new Event('change', {bubbles: true}))
		return true
	})()`, control, label, text))
}

// clicks clicks on the first button or link with that text that is shown.
func (l *looker) clicks(t *testing.T, text string) {
	t.Helper()
	script := fmt.Sprintf(`[...document.querySelectorAll('button, a, input[type=radio]')].filter(b => b.checkVisibility()).find(b => (b.labels?.[0] ?? b).textContent === %q)`, text)
	l.await(t, script)
	evaluate[bool](t, l.tab, "("+script+".click(), true)")
}

// shows says whether there is a button or link with that text.
func (l *looker) shows(t *testing.T, text string) bool {
	t.Helper()
	return evaluate[bool](t, l.tab, fmt.Sprintf(`[...document.querySelectorAll('button, a')].some(b => b.checkVisibility() && b.textContent === %q)`, text))
}

// presses presses a key.
func (l *looker) presses(t *testing.T, keys string) {
	t.Helper()
	if err := chromedp.Do(l.tab, chromedp.KeyEvent(keys)); err != nil {
		t.Fatal(err)
	}
}

// appearance sets the colour scheme and the width of the window.
func (l *looker) appearance(t *testing.T, scheme string, width int64) {
	t.Helper()
	media := func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return chromedp.Void{}, err
	}
	if err := chromedp.Do(l.tab, media, chromedp.EmulateViewport(width, 800)); err != nil {
		t.Fatal(err)
	}
}

// shoot keeps a picture of the whole page.
func (l *looker) shoot(t *testing.T, name string) {
	t.Helper()
	png, err := chromedp.Run(l.tab, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.MkdirAll(pictures, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(pictures, name+".png"), png, 0o644)
	}
	if err != nil {
		t.Logf("no picture %s: %v", name, err)
	}
}

// axe is axe-core's text, which npm fetches once.
var axe = sync.OnceValues(func() (string, error) {
	lock, err := os.ReadFile("axe/package-lock.json")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	dir, err := filepath.Abs(fmt.Sprintf("../../.cache/browser/axe-%x", sum[:8]))
	if err != nil {
		return "", err
	}
	script := filepath.Join(dir, "node_modules/axe-core/axe.min.js")
	if _, err := os.Stat(script); err != nil {
		if err := fetch(dir); err != nil {
			return "", err
		}
	}
	text, err := os.ReadFile(script)
	return string(text), err
})

// fetch makes a directory of what axe/package-lock.json says. It appears
// complete or not at all.
func fetch(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	made, err := os.MkdirTemp(filepath.Dir(dir), "axe-new")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	if err := os.CopyFS(made, os.DirFS("axe")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = made
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch axe-core: %w\n%s", err, out)
	}
	_ = os.Rename(made, dir) // another run may have been faster
	return nil
}

// everybodyCanUse fails for what axe finds wrong with the page as it is shown,
// by all its rules or only some.
func (l *looker) everybodyCanUse(t *testing.T, what string, rules ...string) {
	t.Helper()
	text, err := axe()
	if err != nil {
		kafkatest.Missing(t, "axe-core, by npm: "+err.Error())
	}
	if !evaluate[bool](t, l.tab, `'axe' in window`) {
		evaluate[bool](t, l.tab, text+"\n;true")
	}
	only := ""
	if len(rules) > 0 {
		only = fmt.Sprintf(", runOnly: %q.split(' ')", strings.Join(rules, " "))
	}
	found := evaluate[[]string](t, l.tab, `axe.run(document, {resultTypes: ['violations']`+only+`}).then(r => r.violations.flatMap(v =>
		v.nodes.map(n => v.id + ': ' + n.html.slice(0, 200) + ' ' + n.failureSummary)))`)
	for _, f := range found {
		t.Errorf("%s: %s", what, f)
	}
}

// fits fails where the page is wider than the window: people would have to
// scroll in two directions to read it.
func (l *looker) fits(t *testing.T, what string) {
	t.Helper()
	if wide := evaluate[int](t, l.tab, `document.documentElement.scrollWidth - window.innerWidth`); wide > 0 {
		t.Errorf("%s: the page is %d pixels wider than the window", what, wide)
	}
}

// front serves a gateway, and in its place canned answers by path: of routes
// that need what no test broker has, and of what no gateway says.
func front(t *testing.T, g *process, answers map[string]any) string {
	t.Helper()
	target, err := url.Parse(g.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, canned := answers[r.URL.Path]
		if !canned {
			proxy.ServeHTTP(w, r)
			return
		}
		if f, ok := answer.(http.HandlerFunc); ok {
			f(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, answer)
	}))
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(s.Close)
	return s.URL
}

func writeJSON(w io.Writer, v any) {
	_ = json.NewEncoder(w).Encode(v) // the browser may have gone
}

// send sends a request to a gateway, and fails unless it is answered with 2xx.
func send(t *testing.T, method, url, body string, headers ...string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s %s", method, url, resp.Status, answer)
	}
}
