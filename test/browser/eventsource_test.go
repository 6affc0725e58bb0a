package browser_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/kafkatest"
)

// These tests follow the Web Platform Tests' directory eventsource, as far as
// those are about more than the browser alone; the format is held against them
// in internal/httpapi, and against the browser in eventtexts_test.go.

// middle stands between the browser and a gateway: it notes requests, breaks
// connections, and gives answers that the gateway never gives.
type middle struct {
	*httptest.Server

	gateway atomic.Pointer[string] // where redirects lead to
	passed  atomic.Int64           // pieces of answers passed on

	mu       sync.Mutex
	requests []http.Header
	breaks   []context.CancelFunc
}

// newMiddle makes one. Under /status/404/ it answers with that status, under
// /type/ with the media type named in the query, and under /redirect/307/ it
// sends the browser to the gateway; all of it for pages of any origin.
func newMiddle(t *testing.T, gatewayURL string) *middle {
	t.Helper()
	target, err := url.Parse(gatewayURL)
	if err != nil {
		t.Fatal(err)
	}
	m, proxy := &middle{}, httputil.NewSingleHostReverseProxy(target)
	m.gateway.Store(&gatewayURL)
	proxy.FlushInterval = -1
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{status}/", func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.PathValue("status"))
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(status)
	})
	mux.HandleFunc("/type/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", r.URL.Query().Get("is"))
		fmt.Fprint(w, "data: x\n\n")
	})
	mux.HandleFunc("/redirect/{status}/{rest...}", func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.PathValue("status"))
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Location", *m.gateway.Load()+"/"+r.PathValue("rest"))
		w.WriteHeader(status)
	})
	mux.Handle("/empty", http.HandlerFunc(emptyPage))
	mux.HandleFunc("/streams/", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		m.mu.Lock()
		m.requests = append(m.requests, r.Header.Clone())
		m.breaks = append(m.breaks, cancel)
		m.mu.Unlock()
		proxy.ServeHTTP(passedOn{w, &m.passed}, r.WithContext(ctx))
	})
	m.Server = httptest.NewUnstartedServer(mux)
	m.Config.ErrorLog = nil
	m.Start()
	t.Cleanup(func() {
		m.CloseClientConnections()
		m.Close()
	})
	return m
}

// passedOn counts what is written.
type passedOn struct {
	http.ResponseWriter

	pieces *atomic.Int64
}

func (p passedOn) Write(b []byte) (int, error) {
	n, err := p.ResponseWriter.Write(b)
	p.pieces.Add(1)
	return n, err
}

// Unwrap lets the proxy flush.
func (p passedOn) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// breakAll breaks all connections there are.
func (m *middle) breakAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, cancel := range m.breaks {
		cancel()
	}
}

// asked gives the requests so far.
func (m *middle) asked() []http.Header {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

func emptyPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, "<!doctype html><title>empty</title>")
}

// connect says what becomes of an EventSource's first connection: "open", or
// whether after the error it gives up ("closed") or tries again ("connecting").
func connect(t *testing.T, tab context.Context, target, options string) string {
	t.Helper()
	return evaluate[string](t, tab, fmt.Sprintf(`new Promise(done => {
		const source = new EventSource(%q, %s)
		const tell = what => { source.close(); done(what) }
		source.onopen = () => tell('open')
		source.onerror = () => tell(['connecting', 'open', 'closed'][source.readyState])
	})`, target, options))
}

// request-status-error, request-redirect, format-mime-*, eventsource-cross-origin,
// request-credentials: where the browser gives up for ever, and where not.
func TestEventSourceConnects(t *testing.T) {
	tab, origin, b := browser(t), pages(t), kafkatest.Embedded(t)
	b.Topic(t, "numbers", 1, nil)
	g := start(t, b, "127.0.0.1:0", origin)
	anyPage := start(t, b, "127.0.0.1:0", "*")
	m := newMiddle(t, g.url)
	own := newMiddle(t, g.url)
	third := start(t, b, "127.0.0.1:0", own.URL)
	const events = "/streams/numbers/events"
	visit(t, tab, origin+"/empty")
	for _, tc := range []struct{ name, url, options, want string }{
		{"the gateway", g.url + events, "{}", "open"},
		{"with cookies", g.url + events, "{withCredentials: true}", "open"},
		{"for any origin", anyPage.url + events, "{}", "open"},
		{"for any origin, with cookies", anyPage.url + events, "{withCredentials: true}", "closed"},
		{"for another origin", third.url + events, "{}", "closed"},
		{"no such stream", g.url + "/streams/none/events", "{}", "closed"},
		{"no such parameter", g.url + events + "?frm=earliest", "{}", "closed"},
		{"no such path", g.url + "/nowhere", "{}", "closed"},
		{"204", m.URL + "/status/204/", "{}", "closed"},
		{"404", m.URL + "/status/404/", "{}", "closed"},
		{"500", m.URL + "/status/500/", "{}", "closed"},
		{"503", m.URL + "/status/503/", "{}", "closed"},
		{"type of the gateway", m.URL + "/type/?is=text/event-stream", "{}", "open"},
		{"no such type", m.URL + "/type/?is=x%20bogus", "{}", "closed"},
		{"redirected by another origin", m.URL + "/redirect/307" + events, "{}", "closed"}, // Origin is null then
		{"redirected to any origin's", newMiddle(t, anyPage.url).URL + "/redirect/307" + events, "{}", "open"},
	} {
		if got := connect(t, tab, tc.url, tc.options); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	// What a page's own server redirects keeps the page's origin.
	own.gateway.Store(&third.url)
	visit(t, tab, own.URL+"/empty")
	for _, status := range []string{"301", "302", "303", "307", "308"} {
		if got := connect(t, tab, own.URL+"/redirect/"+status+events, "{}"); got != "open" {
			t.Errorf("%s by the page's own server: %s", status, got)
		}
	}
}

// eventsource-reconnect, format-field-id, request-accept, request-cache-control,
// eventsource-close: what the browser sends, and that it goes on by itself.
func TestEventSourceReconnects(t *testing.T) {
	tab, origin, b := browser(t), pages(t), kafkatest.Embedded(t)
	numbers := &counter{broker: b, topic: b.Topic(t, "numbers", 1, nil)}
	g := start(t, b, "127.0.0.1:0", origin)
	m := newMiddle(t, g.url)
	visit(t, tab, origin+"/empty")
	evaluate[bool](t, tab, fmt.Sprintf(`new Promise(done => {
		window.seen = []
		window.ids = []
		window.states = []
		window.source = new EventSource(%q)
		source.onopen = () => { states.push('open'); done(true) }
		source.onerror = () => states.push(source.readyState)
		source.onmessage = e => { seen.push(JSON.parse(e.data).data.n); ids.push(e.lastEventId) }
	})`, m.URL+"/streams/numbers/events"))
	shown := func(n int) {
		t.Helper()
		kafkatest.Eventually(t, patience, func() error {
			if got := evaluate[[]int](t, tab, "seen"); len(got) < n {
				return fmt.Errorf("the page has %v, and %v", got, evaluate[[]any](t, tab, "states"))
			}
			return nil
		})
	}
	reconnected := func(n int) http.Header {
		t.Helper()
		kafkatest.Eventually(t, patience, func() error {
			if got := len(m.asked()); got < n {
				return fmt.Errorf("%d requests", got)
			}
			return nil
		})
		return m.asked()[n-1]
	}
	first := reconnected(1)
	if first.Get("Accept") != "text/event-stream" || first.Get("Origin") != origin || first["Last-Event-Id"] != nil || !strings.HasPrefix(first.Get("Cache-Control"), "no-") {
		t.Errorf("the first request has %v", first)
	}
	kafkatest.Eventually(t, patience, func() error {
		if m.passed.Load() == 0 {
			return errors.New("no id came")
		}
		return nil
	})
	m.breakAll() // nothing was seen but an id alone
	if got := reconnected(2).Get("Last-Event-Id"); !strings.HasPrefix(got, "p1.") {
		t.Errorf("after an id alone it sends %q", got)
	}
	numbers.write(t, 3)
	shown(3)
	m.breakAll()
	third := reconnected(3)
	numbers.write(t, 2)
	shown(5)
	ids := evaluate[[]string](t, tab, "ids")
	if got := third.Get("Last-Event-Id"); got != ids[2] {
		t.Errorf("after record 2, whose id is %q, it sends %q", ids[2], got)
	}
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, evaluate[[]int](t, tab, "seen")); diff != "" {
		t.Error(diff)
	}
	want := []any{"open", 0.0, "open", 0.0, "open"}
	if diff := cmp.Diff(want, evaluate[[]any](t, tab, "states")); diff != "" {
		t.Errorf("its states: want (-), got (+):\n%s", diff)
	}
	evaluate[bool](t, tab, "source.close(), true")
	m.breakAll()
	if got := connect(t, tab, m.URL+"/streams/numbers/events", "{}"); got != "open" || len(m.asked()) != 4 {
		t.Errorf("%s after %d requests: what was closed connects again", got, len(m.asked()))
	}
}
