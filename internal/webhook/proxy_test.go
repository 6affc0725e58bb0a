package webhook_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"sluice/internal/stream"
	"sluice/internal/webhook"
)

// forwarder is an HTTP proxy that leads everywhere on this machine, whatever it
// was asked for.
type forwarder struct {
	*httptest.Server

	to string // HOST:PORT of the endpoint

	mu    sync.Mutex
	asked []string // method and target
}

const proxyAuth = "Basic dXNlcjpodXNo" // user:hush

func newForwarder(t *testing.T, to string) *forwarder {
	t.Helper()
	f := &forwarder{to: to}
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	f.Start()
	t.Cleanup(f.Close)
	t.Cleanup(f.CloseClientConnections)
	return f
}

func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.RequestURI)
	f.mu.Unlock()
	if r.Header.Get("Proxy-Authorization") != proxyAuth {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	back, err := net.Dial("tcp", f.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer back.Close()
	if r.Method != http.MethodConnect {
		r.Header.Del("Proxy-Authorization")
		r.Close = true
		_ = r.Write(back) // the answer tells
	}
	conn, rest, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if r.Method != http.MethodConnect {
		_, _ = io.Copy(conn, back)
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { defer back.Close(); _, _ = io.Copy(back, rest) }()
	_, _ = io.Copy(conn, back)
}

func (f *forwarder) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// as gives the proxy's URL with credentials.
func (f *forwarder) as(t *testing.T, user string) *url.URL {
	t.Helper()
	u, err := url.Parse(strings.Replace(f.URL, "//", "//"+user+"@", 1))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func portOf(t *testing.T, r *receiver) string {
	t.Helper()
	_, port, err := net.SplitHostPort(r.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Through a proxy https goes to the address that was checked here, and TLS and
// Host have the name.
func TestProxyConnects(t *testing.T) {
	r := newReceiver(t, nil, (*httptest.Server).StartTLS)
	f := newForwarder(t, r.Listener.Addr().String())
	resolver, _ := nameServer(t, "127.0.0.1")
	roots := r.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	s, _ := newSender(t, func(o *webhook.Options) { o.Proxy, o.Resolver, o.RootCAs = f.as(t, "user:hush"), resolver, roots })
	for range 2 {
		want(t, s.Send(t.Context(), deliver("https://example.com:"+portOf(t, r)+"/hook", nil)), stream.DeliveryDone, 204, "")
	}
	if got := f.requests(); len(got) != 1 || got[0] != "CONNECT 127.0.0.1:"+portOf(t, r) {
		t.Errorf("the proxy was asked for %q, want one tunnel to the address", got)
	}
	for _, got := range r.requests() {
		if got.host != "example.com:"+portOf(t, r) || got.Get("Proxy-Authorization") != "" {
			t.Errorf("the endpoint got Host %q, headers %v", got.host, got.Header)
		}
	}
}

// Through a proxy http is asked for by its whole URL.
func TestProxyForwards(t *testing.T) {
	r := newReceiver(t, nil, nil)
	f := newForwarder(t, r.Listener.Addr().String())
	resolver, _ := nameServer(t, "127.0.0.1")
	s, _ := newSender(t, func(o *webhook.Options) { o.Proxy, o.Resolver = f.as(t, "user:hush"), resolver })
	target := "http://example.com:" + portOf(t, r) + "/hook?a=b"
	want(t, s.Send(t.Context(), deliver(target, nil)), stream.DeliveryDone, 204, "")
	if got := f.requests(); len(got) != 1 || got[0] != "POST "+target {
		t.Errorf("the proxy was asked for %q", got)
	}
	if got := r.requests(); len(got) != 1 || got[0].host != "example.com:"+portOf(t, r) || got[0].path != "/hook?a=b" || got[0].Get("Proxy-Authorization") != "" {
		t.Errorf("the endpoint got %+v", got)
	}
}

// What must not be reached is refused before the proxy is asked, which stands
// in the very network.
func TestProxyIsNoWayAround(t *testing.T) {
	const refused = "the endpoint's address lies in a private, loopback, link-local or otherwise special network, to which nothing is delivered unless webhooks.allow_networks has it"
	f := newForwarder(t, "127.0.0.1:1")
	inside, _ := nameServer(t, "10.0.0.1")
	s, _ := newSender(t, func(o *webhook.Options) { o.Proxy, o.Resolver, o.AllowNetworks = f.as(t, "user:hush"), inside, nil })
	for _, target := range []string{"https://example.com/", "http://example.com/", "https://127.0.0.1/", "http://169.254.169.254/", "http://[::1]/", f.URL, strings.Replace(f.URL, "http:", "https:", 1)} {
		want(t, s.Send(t.Context(), deliver(target, nil)), stream.DeliveryFailed, 0, refused)
	}
	if got := f.requests(); len(got) != 0 {
		t.Errorf("the proxy was asked for %q", got)
	}

	mixed, _ := nameServer(t, "10.0.0.1,93.184.216.34")
	s, _ = newSender(t, func(o *webhook.Options) { o.Proxy, o.Resolver, o.AllowNetworks = f.as(t, "user:hush"), mixed, nil })
	want(t, s.Send(t.Context(), deliver("http://example.com/", nil)), stream.DeliveryFailed, 0, refused)
	want(t, s.Send(t.Context(), deliver("https://example.com/", nil)), stream.DeliveryFailed, 0, "the proxy refused to connect to the endpoint: 502 Bad Gateway")
	if got := f.requests(); len(got) != 1 || got[0] != "CONNECT 93.184.216.34:443" {
		t.Errorf("the proxy was asked for %q, want the one address that is permitted", got)
	}
}

// A proxy's refusal is no answer of the endpoint's: the delivery is tried
// again, and people learn who refused, and no secret.
func TestProxyRefuses(t *testing.T) {
	r := newReceiver(t, nil, nil)
	f := newForwarder(t, r.Listener.Addr().String())
	s, _ := newSender(t, func(o *webhook.Options) { o.Proxy = f.as(t, "user:wrong") })
	const detail = "the proxy refused to connect to the endpoint: 407 Proxy Authentication Required"
	want(t, s.Send(t.Context(), deliver("http://127.0.0.1:1/", nil)), stream.DeliveryFailed, 0, detail)
	want(t, s.Send(t.Context(), deliver("https://127.0.0.1:1/", nil)), stream.DeliveryFailed, 0, detail)
	f.Close()
	const gone = "the proxy cannot be reached, or does not answer"
	want(t, s.Send(t.Context(), deliver("http://127.0.0.1:1/", nil)), stream.DeliveryFailed, 0, gone)
	want(t, s.Send(t.Context(), deliver("https://127.0.0.1:1/", nil)), stream.DeliveryFailed, 0, gone)
	if len(r.requests()) != 0 {
		t.Error("the endpoint got something")
	}
}

// The environment's proxy is not the configuration's.
func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	r := newReceiver(t, nil, nil)
	f := newForwarder(t, r.Listener.Addr().String())
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, f.URL)
	}
	resolver, _ := nameServer(t, "127.0.0.1")
	s, _ := newSender(t, func(o *webhook.Options) { o.Resolver = resolver })
	want(t, s.Send(t.Context(), deliver("http://example.com:"+portOf(t, r)+"/", nil)), stream.DeliveryDone, 204, "")
	if got := f.requests(); len(got) != 0 {
		t.Errorf("the proxy was asked for %q", got)
	}
}
