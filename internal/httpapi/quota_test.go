package httpapi_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/httpapi"
	"sluice/internal/quota"
	"sluice/internal/stream"
)

// clock is one that a test moves.
type clock struct{ atomic.Int64 }

func (c *clock) pass(d time.Duration) { c.Add(int64(d)) }

// limited is a gateway with quotas, which asks who its callers are.
func limited(tb testing.TB, limits quota.Options, change func(*httpapi.Options)) (*gateway, *clock) {
	c := &clock{}
	limits.Clock = func() time.Duration { return time.Duration(c.Load()) }
	g := newGateway(tb, func(o *httpapi.Options) {
		limits.Registerer = o.Registerer
		o.Auth, o.Quotas = callers(tb), quota.New(limits)
		if change != nil {
			change(o)
		}
	})
	return g.storing(), c
}

func as(name string) string { return "Authorization: Bearer " + name }

// rateLimit gives the fields of the answer, whose names are written as the
// draft does.
func (r reply) rateLimit() []string {
	var values []string
	for _, name := range []string{"RateLimit-Policy", "RateLimit"} {
		values = append(values, r.Header[name]...)
	}
	return values
}

func TestAQuotaIsUsedUp(t *testing.T) {
	g, c := limited(t, quota.Options{
		Principal: quota.Limits{Requests: 1, Burst: 2, Bytes: 64 << 10}, Address: quota.Limits{Requests: 100},
	}, nil)
	policy := `"address-requests";q=100;w=1, "principal-requests";q=2;w=2, "principal-bytes";q=65536;qu="content-bytes";w=1`
	for _, left := range []string{
		`"address-requests";r=99;t=1, "principal-requests";r=1;t=1, "principal-bytes";r=65533;t=1`,
		`"address-requests";r=98;t=1, "principal-requests";r=0;t=1, "principal-bytes";r=65530;t=1`,
	} {
		res := g.do(t, "POST /streams/mine", "123", as("publisher"))
		if diff := cmp.Diff([]string{policy, left}, res.rateLimit()); diff != "" || res.StatusCode != 201 {
			t.Errorf("%d %s\n%s", res.StatusCode, res.body, diff)
		}
	}
	body := &countedBody{text: "123"}
	r := httptest.NewRequest("POST", "/streams/mine", body)
	r.Header.Set("Authorization", "Bearer publisher")
	res := g.send(t, r)
	p := res.wantProblem(t, stream.RateLimited, 429)
	if p.Outcome != "not_stored" || !strings.Contains(p.Detail, "the quota of token:publisher, 1 requests a second, is used up") {
		t.Errorf("%+v", p)
	}
	if diff := cmp.Diff([]string{policy, `"principal-requests";r=0;t=1`}, res.rateLimit()); diff != "" {
		t.Error(diff)
	}
	if res.Header.Get("Retry-After") != "1" || !strings.Contains(res.body, `"violated-policies":["principal-requests"]`) {
		t.Errorf("%v %s", res.Header, res.body)
	}
	if body.reads > 0 {
		t.Error("the body of a refused request was read")
	}
	g.do(t, "GET /streams/theirs", "", as("publisher")).wantProblem(t, stream.RateLimited, 429)
	if res := g.do(t, "GET /streams/mine/records/0/0", "", as("publisher")); res.StatusCode != 429 {
		t.Errorf("%d: a refusal comes before what may be done", res.StatusCode)
	}
	g.do(t, "GET /streams/theirs/records", "", as("subscriber")).wantProblem(t, stream.Forbidden, 403)
	c.pass(time.Second)
	if res := g.do(t, "POST /streams/mine", "1", as("publisher")); res.StatusCode != 201 {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}

// countedBody counts how often it is read.
type countedBody struct {
	text  string
	reads int
}

func (b *countedBody) Read(p []byte) (int, error) {
	b.reads++
	n := copy(p, b.text)
	b.text = b.text[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Whatever is asked for counts for its address, but for probes and the console's
// files; and each route
// says of itself that it may be refused.
func TestEveryRouteIsCounted(t *testing.T) {
	for route, what := range matrix {
		g, _ := limited(t, quota.Options{Address: quota.Limits{Requests: 1}}, nil)
		method, _, _ := strings.Cut(route, " ")
		if res := g.do(t, "GET /", ""); res.StatusCode != 200 {
			t.Fatal(res.body)
		}
		res := g.do(t, method+" "+strings.ReplaceAll(what.path, "@", "mine"), what.body)
		switch {
		case strings.HasPrefix(what.path, "/health"), strings.HasPrefix(what.path, "/console/"):
			if res.StatusCode == 429 || res.rateLimit() != nil {
				t.Errorf("%s answers %d", route, res.StatusCode)
			}
		case strings.HasSuffix(what.path, "/events"):
			if res.StatusCode != 200 || !strings.Contains(res.body, "rate-limited") {
				t.Errorf("%s answers %d %s", route, res.StatusCode, res.body)
			}
		case res.StatusCode != 429:
			t.Errorf("%s answers %d", route, res.StatusCode)
		}
	}
	g, _ := limited(t, quota.Options{Address: quota.Limits{Requests: 1}}, nil)
	g.do(t, "GET /nothing/here", "").wantProblem(t, stream.NotFound, 404)
	g.do(t, "GET /nothing/here", "").wantProblem(t, stream.RateLimited, 429)
	g.do(t, "PATCH /", "").wantProblem(t, stream.RateLimited, 429)
}

// Guessing tokens is slowed down, and what was slowed down is not let in by a
// good guess.
func TestGuessesCountForTheAddress(t *testing.T) {
	g, c := limited(t, quota.Options{Address: quota.Limits{Failures: 1}}, func(o *httpapi.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} // httptest's
	})
	from := "X-Forwarded-For: 203.0.113.1"
	for i := range 10 {
		g.do(t, "GET /streams", "", from, as(fmt.Sprint("guess", i))).wantProblem(t, stream.Unauthenticated, 401)
	}
	p := g.do(t, "POST /streams/mine", "1", from, as("publisher")).wantProblem(t, stream.RateLimited, 429)
	if !strings.Contains(p.Detail, "no good credentials") {
		t.Error(p.Detail)
	}
	if res := g.do(t, "POST /streams/mine", "1", "X-Forwarded-For: 203.0.113.2", as("publisher")); res.StatusCode != 201 {
		t.Errorf("another address: %d %s", res.StatusCode, res.body)
	}
	c.pass(time.Second)
	if res := g.do(t, "POST /streams/mine", "1", from, as("publisher")); res.StatusCode != 201 {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}

// EventSource gives up after any status but 200, so readers are told in the
// stream; others are refused as usual.
func TestStreamsAtOnce(t *testing.T) {
	g, _ := limited(t, quota.Options{Principal: quota.Limits{Streams: 1}}, nil)
	s, f := g.serve(t), newFollower()
	g.following(f)
	g.feeds.page = func(context.Context, stream.PageRequest) (stream.PageAnswer, error) { return stream.PageAnswer{}, nil }
	g.feeds.end = func(context.Context, stream.Pattern, int32) (stream.Position, error) { return positionAt(0), nil }
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/streams/mine/events", nil)
	req.Header.Set("Authorization", "Bearer subscriber")
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Ratelimit"); got != `"principal-streams";r=0` { // as net/http writes the name it reads
		t.Errorf("got %s", got)
	}
	second := g.do(t, "GET /streams/mine/events", "", as("subscriber"))
	if second.StatusCode != 200 || !strings.Contains(second.body, "event: problem\ndata: {\"type\":\"/problems/rate-limited\"") ||
		!strings.Contains(second.body, "retry: ") || !strings.HasSuffix(second.body, "event: end\ndata: {\"reason\":\"problem\"}\n\n") {
		t.Errorf("%d %s", second.StatusCode, second.body)
	}
	for _, request := range []string{"GET /streams/mine/records?wait=1s", "GET /streams/mine/records"} {
		g.do(t, request, "", as("subscriber"), "Accept: application/x-ndjson, application/json;q=0.1").wantProblem(t, stream.RateLimited, 429)
	}
	if res := g.do(t, "GET /streams/mine/records", "", as("subscriber")); res.StatusCode != 200 {
		t.Errorf("a page: %d %s", res.StatusCode, res.body)
	}
	f.fail <- io.EOF
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	for { // the stream is counted until its handler has ended, a little later
		res := g.do(t, "GET /streams/mine/records?wait=1ms", "", as("subscriber"))
		if res.StatusCode == 200 {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(res.body)
		}
	}
	for range 3 { // each is counted as long as it lasts
		if res := g.do(t, "GET /streams/mine/records?wait=1ms", "", as("subscriber")); res.StatusCode != 200 {
			t.Errorf("%d %s", res.StatusCode, res.body)
		}
		g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) {
			return nil, stream.Errorf(stream.UnknownStream, "there is none")
		}
		g.do(t, "GET /streams/mine/events", "", as("subscriber")).wantProblem(t, stream.UnknownStream, 404)
		g.following(newFollower())
		if res := g.do(t, "HEAD /streams/mine/events", "", as("subscriber")); res.StatusCode != 200 {
			t.Errorf("%d", res.StatusCode)
		}
	}
}

// A record is never cut off; what comes after it waits.
func TestARecordMayBeLargerThanItsQuota(t *testing.T) {
	g, c := limited(t, quota.Options{Principal: quota.Limits{Bytes: 1000}}, nil)
	large := `"` + strings.Repeat("x", 100_000) + `"`
	if res := g.do(t, "POST /streams/mine", large, as("publisher")); res.StatusCode != 201 {
		t.Fatalf("%d %s", res.StatusCode, res.body)
	}
	res := g.do(t, "POST /streams/mine", "1", as("publisher"))
	res.wantProblem(t, stream.RateLimited, 429)
	if got := res.Header.Get("Retry-After"); got != "35" { // 64 KiB are there at first
		t.Errorf("Retry-After: %s", got)
	}
	c.pass(35 * time.Second)
	if res := g.do(t, "POST /streams/mine", "1", as("publisher")); res.StatusCode != 201 {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}

// Bytes count after decompression.
func TestCompressedBytesCountAsWhatTheyStandFor(t *testing.T) {
	g, _ := limited(t, quota.Options{Principal: quota.Limits{Bytes: 1000}}, nil)
	noise := make([]byte, 75_000) // which compressing makes no shorter than that
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	large := gzipped(t, `"`+base64.StdEncoding.EncodeToString(noise)+`"`)
	if res := g.do(t, "POST /streams/mine", large, as("publisher"), "Content-Encoding: gzip"); res.StatusCode != 201 {
		t.Fatalf("%d %s", res.StatusCode, res.body)
	}
	if got := g.do(t, "POST /streams/mine", "1", as("publisher")).Header.Get("Retry-After"); got != "35" {
		t.Errorf("Retry-After: %s", got)
	}
}

// lines gives so many bytes of NDJSON.
func lines(bytes int) string {
	line := `{"data":"` + strings.Repeat("x", 1012) + `"}` + "\n" // 1,024 bytes
	return strings.Repeat(line, bytes/len(line))
}

// Lines are slowed down to the quota. The time is that of the bubble.
func TestLinesAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		g := newGateway(t, func(o *httpapi.Options) {
			o.Quotas = quota.New(quota.Options{Address: quota.Limits{Bytes: 64 << 10}, Registerer: registry})
		}).storing()
		begin := time.Now()
		res := g.do(t, "POST /streams/s", lines(1<<20), "Content-Type: application/x-ndjson")
		if res.StatusCode != 201 || !strings.Contains(res.body, `"stored":1024`) {
			t.Fatalf("%d %.300s", res.StatusCode, res.body)
		}
		// The first 64 KiB are there, and nothing waits for the last to be paid.
		if took := time.Since(begin); took < 14*time.Second || took > 16*time.Second {
			t.Errorf("1 MiB at 64 KiB a second took %v", took)
		}
	})
}

// unpaid has each piece of a body cost an hour.
type unpaid struct{ httpapi.Quotas }

func (unpaid) Admit(*stream.Tab, stream.Party) error { return nil }
func (unpaid) Spend(*stream.Tab, int) time.Duration  { return time.Hour }

// deafWriter is a client that takes nothing.
type deafWriter struct{ http.ResponseWriter }

func (deafWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Who waits for a quota waits no more when the client has gone, or takes no
// answer. The time is that of the bubble.
func TestTheSlowedEndWithTheirRequest(t *testing.T) {
	for name, test := range map[string]struct {
		accept string
		writer http.ResponseWriter
		after  time.Duration
	}{
		"gone": {"application/json", httptest.NewRecorder(), time.Minute},
		"deaf": {"application/x-ndjson", deafWriter{httptest.NewRecorder()}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway(t, func(o *httpapi.Options) { o.Quotas = unpaid{} }).storing()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			r := httptest.NewRequestWithContext(ctx, "POST", "/streams/s", strings.NewReader(lines(1<<20)))
			r.Header.Set("Content-Type", "application/x-ndjson")
			r.Header.Set("Accept", test.accept)
			begin := time.Now()
			func() {
				defer func() { _ = recover() }() // the answer cannot be finished
				g.handler.ServeHTTP(test.writer, r)
			}()
			if took := time.Since(begin); took != test.after {
				t.Errorf("%s: it took %v", name, took)
			}
		})
	}
}

// What a trusted proxy says of HTTPS is believed, and of nobody else.
func TestCookiesBehindAProxy(t *testing.T) {
	for _, test := range []struct {
		trusted string
		secure  bool
	}{{"192.0.2.0/24", true}, {"198.51.100.0/24", false}} {
		g, _ := withTokens(t, func(o *httpapi.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(test.trusted)} })
		res := g.do(t, "POST /event-tokens", `{"streams":"mine","cookie":true}`, asSubscriber, "X-Forwarded-Proto: https")
		if c := res.Cookies(); len(c) != 1 || c[0].Secure != test.secure {
			t.Errorf("%s: %v", test.trusted, c)
		}
	}
}

func TestTheLogHasTheClient(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} })
	g.do(t, "GET /", "")
	g.do(t, "GET /", "", "X-Forwarded-For: 203.0.113.7")
	for i, want := range []string{"192.0.2.1", "203.0.113.7"} {
		if line := g.log.lines(`"msg":"request"`)[i]; !strings.Contains(line, `"client":"`+want+`"`) {
			t.Errorf("want %s in %s", want, line)
		}
	}
}

func TestPlainTokensAreTold(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) {
		o.Auth, o.WarnPlain, o.TrustedProxies = callers(t), true, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	}).storing()
	g.do(t, "POST /streams/mine", "1", as("publisher"), "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https")
	if n := len(g.log.lines("plain text")); n != 0 {
		t.Errorf("%d warnings of HTTPS", n)
	}
	for range 3 {
		g.do(t, "POST /streams/mine", "1", as("publisher"), "X-Forwarded-For: 203.0.113.7")
	}
	if n := len(g.log.lines("plain text")); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestConnectionsOfAnAddress(t *testing.T) {
	for trusted, most := range map[string]int{"198.51.100.1/32": 2, "127.0.0.1/32": 5} {
		proxies := []netip.Prefix{netip.MustParsePrefix(trusted)}
		book := quota.New(quota.Options{Address: quota.Limits{Connections: 2}, Registerer: prometheus.NewRegistry()})
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := httpapi.NewServer(newGateway(t, nil).handler, slog.New(slog.DiscardHandler))
		go server.Serve(httpapi.LimitConnections(l, book, proxies))
		t.Cleanup(func() { server.Close() })
		served := map[net.Conn]bool{}
		for range 5 {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			if answers(t, c) {
				served[c] = true
			}
		}
		if len(served) != most {
			t.Errorf("%s is trusted: %d of 5 connections are served, want %d", trusted, len(served), most)
		}
		for c := range maps.Keys(served) {
			c.Close()
			break
		}
		deadline := time.Now().Add(30 * time.Second)
		for { // until the server has seen that it is closed
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			if answers(t, c) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("a connection that was closed still counts")
			}
		}
	}
}

// answers says whether a connection is served.
func answers(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
	first := make([]byte, 4)
	_, err := io.ReadFull(c, first)
	return err == nil && string(first) == "HTTP"
}
