package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// connection is an event stream in a test with synthetic time. It notes each
// piece as it is flushed.
type connection struct {
	mu      sync.Mutex
	header  http.Header
	status  int
	pending strings.Builder
	flushed []string
}

func (c *connection) Header() http.Header { return c.header }

func (c *connection) WriteHeader(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

func (c *connection) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending.Write(b)
}

func (c *connection) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushed = append(c.flushed, c.pending.String())
	c.pending.Reset()
}

// taken gives the pieces flushed since the last call.
func (c *connection) taken() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	pieces := c.flushed
	c.flushed = nil
	return pieces
}

// connect begins a request for events; the channel closes when it is answered.
func (g *gateway) connect(ctx context.Context, target string) (*connection, <-chan struct{}) {
	c, done := &connection{header: http.Header{}}, make(chan struct{})
	r := httptest.NewRequestWithContext(ctx, "GET", target, nil)
	go func() {
		defer close(done)
		g.handler.ServeHTTP(c, r)
	}()
	return c, done
}

func TestAnEventStreamFromItsOpeningOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGateway(t, nil), newFollower()
		asked := g.following(f)
		ctx, cancel := context.WithCancel(t.Context())
		c, done := g.connect(ctx, "/streams/orders.*/events")
		synctest.Wait()
		if diff := cmp.Diff([]string{"retry: 2000\nid: p1.start\n\n"}, c.taken()); diff != "" {
			t.Errorf("opening: want (-), got (+):\n%s", diff)
		}
		if c.status != 200 || c.header.Get("Content-Type") != "text/event-stream" || c.header.Get("Cache-Control") != "no-store" ||
			c.header.Get("X-Accel-Buffering") != "no" || c.header.Get("Content-Length") != "" {
			t.Errorf("%d, %v", c.status, c.header)
		}
		if asked.Pattern.String() != "orders.*" || asked.Partition != stream.AnyPartition || asked.Start.Kind != stream.FromLatest || asked.Filter != nil {
			t.Errorf("asked for %+v", asked)
		}
		f.given <- []byte("id: p1.a\ndata: 1\n\nid: p1.b\ndata: 2\n\n")
		f.given <- []byte("id: p1.c\ndata: 3\n\n")
		f.moveTo("p1.c")
		synctest.Wait()
		if diff := cmp.Diff([]string{"id: p1.a\ndata: 1\n\nid: p1.b\ndata: 2\n\n", "id: p1.c\ndata: 3\n\n"}, c.taken()); diff != "" {
			t.Errorf("events: want (-), got (+):\n%s", diff)
		}
		if len(g.log.lines("request")) != 1 || g.metric(t, `sluice_http_requests_in_flight`) != 1 || g.metric(t, `sluice_http_event_streams{kind="pattern"}`) != 1 {
			t.Error("it is not open, or counts as a request beside the one for the metrics")
		}
		cancel()
		<-done
		f.wantClosed(t)
		if len(g.log.lines("event stream ended")) != 1 || g.metric(t, `sluice_http_event_streams_ended_total{reason="gone"}`) != 1 {
			t.Error("its opening or its end was not noted")
		}
	})
}

func TestKeepAlivesCarryThePosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGateway(t, nil), newFollower()
		g.following(f)
		ctx, cancel := context.WithCancel(t.Context())
		c, done := g.connect(ctx, "/streams/s/events")
		synctest.Wait()
		c.taken()
		f.moveTo("p1.passed") // the filter passed over records
		<-time.After(15 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{": keep-alive\nid: p1.passed\n\n"}, c.taken()); diff != "" {
			t.Errorf("want (-), got (+):\n%s", diff)
		}
		f.given <- []byte("data: 1\n\n")
		synctest.Wait()
		c.taken()
		<-time.After(14*time.Second + 700*time.Millisecond)
		synctest.Wait()
		if got := c.taken(); len(got) > 0 {
			t.Errorf("too early, or not put off by the event: %q", got)
		}
		<-time.After(300 * time.Millisecond)
		synctest.Wait()
		if got := c.taken(); len(got) != 1 {
			t.Errorf("the next one: %q", got)
		}
		cancel()
		<-done
	})
}

func TestKeepAlivesAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[time.Duration]bool{}
		for range 20 {
			g, f := newGateway(t, nil), newFollower()
			g.following(f)
			f.fail <- io.EOF
			_, done := g.connect(t.Context(), "/streams/s/events")
			<-done
			if idle := f.idles[0]; idle < 2750*time.Millisecond || idle > 15*time.Second {
				t.Errorf("idle for %v", idle)
			}
			seen[f.idles[0]] = true
		}
		if len(seen) < 5 { // streams wake up together, four times a second
			t.Errorf("only %d different times", len(seen))
		}
	})
}

func TestAStreamEndsAfterItsLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lives, retries := map[time.Duration]bool{}, map[string]bool{}
		for range 20 {
			g, f := newGateway(t, func(o *httpapi.Options) { o.Limits.StreamLifetime = 10 * time.Minute }), newFollower()
			g.following(f)
			begin := time.Now()
			c, done := g.connect(t.Context(), "/streams/s/events")
			<-done
			life := time.Since(begin)
			if life < 8*time.Minute || life > 12*time.Minute {
				t.Errorf("it lived %v", life)
			}
			lives[life] = true
			retries[wantEnd(t, c, "lifetime", 1, 5)] = true
			f.wantClosed(t)
		}
		if len(lives) < 15 || len(retries) < 15 {
			t.Errorf("%d different lives, %d different retries", len(lives), len(retries))
		}
	})
}

// A stream that is never quiet ends all the same.
func TestABusyStreamEndsAfterItsLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGateway(t, func(o *httpapi.Options) { o.Limits.StreamLifetime = time.Minute }), newFollower()
		g.following(f)
		c, done := g.connect(t.Context(), "/streams/s/events")
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			case <-time.After(time.Second):
				f.given <- []byte("data: 1\n\n")
			}
		}
		wantEnd(t, c, "lifetime", 1, 5)
	})
}

// wantEnd fails unless the last thing the page got is the end for that reason,
// with a time to return after so many seconds. It gives that time.
func wantEnd(tb testing.TB, c *connection, reason string, least, most int) string {
	tb.Helper()
	pieces := strings.Join(c.taken(), "")
	p := parseEvents(pieces)
	if len(p.events) == 0 || p.events[len(p.events)-1] != (pageEvent{"end", `{"reason":"` + reason + `"}`, p.lastID}) {
		tb.Fatalf("no end for %s: %q", reason, pieces)
	}
	ms, err := strconv.Atoi(p.retry)
	if err != nil || ms < least*1000 || ms > most*1000 {
		tb.Errorf("retry %q", p.retry)
	}
	return p.retry
}

func TestStreamsEndWhenTheGatewayStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGateway(t, nil), newFollower()
		g.following(f)
		f.fail <- io.EOF
		c, done := g.connect(t.Context(), "/streams/s/events")
		<-done
		wantEnd(t, c, "shutdown", 1, 5)
		f.wantClosed(t)
	})
}

func TestAProblemInAStreamIsAnEvent(t *testing.T) {
	for want, err := range map[stream.Code]error{
		stream.KafkaUnavailable: &stream.Error{Code: stream.KafkaUnavailable, Message: "no broker answers", RetryAfter: 30 * time.Second},
		stream.Internal:         errors.New("secret internals"),
	} {
		synctest.Test(t, func(t *testing.T) {
			g, f := newGateway(t, nil), newFollower()
			g.following(f)
			f.given <- []byte("id: p1.a\ndata: 1\n\n")
			c, done := g.connect(t.Context(), "/streams/s/events")
			synctest.Wait()
			f.fail <- err
			<-done
			pieces := c.taken()
			p := parseEvents(strings.Join(pieces, ""))
			if err, wanted := err.(*stream.Error); wanted && p.retry != strconv.Itoa(int(err.RetryAfter.Milliseconds())) {
				t.Errorf("retry %s", p.retry)
			}
			if len(p.events) != 3 || p.events[1].name != "problem" || p.events[2].data != `{"reason":"problem"}` || p.lastID != "p1.a" {
				t.Fatalf("%q", pieces)
			}
			var body problem
			reply{body: p.events[1].data}.json(t, &body)
			if body.Type != "/problems/"+string(want) || strings.Contains(body.Detail, "secret") {
				t.Errorf("%+v", body)
			}
			if g.metric(t, `sluice_errors_total{code="`+string(want)+`"}`) != 1 || g.metric(t, `sluice_http_event_streams_ended_total{reason="problem"}`) != 1 {
				t.Error("it was not counted")
			}
		})
	}
}

func TestOverloadIsToldInTheStream(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		g := newGateway(t, nil)
		g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) {
			return nil, stream.Errorf(stream.Overloaded, "too many followers")
		}
		c, done := g.connect(t.Context(), "/streams/s/events")
		<-done
		if c.status != 200 || c.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%d %v", c.status, c.header)
		}
		seen[wantEnd(t, c, "overloaded", 5, 15)] = true
		if g.metric(t, `sluice_errors_total{code="overloaded"}`) != 1 || g.metric(t, `sluice_http_event_streams_ended_total{reason="overloaded"}`) != 1 {
			t.Error("it was not counted")
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d different times", len(seen))
	}
}

func TestProblemsBeforeAStreamBegins(t *testing.T) {
	g := newGateway(t, nil)
	for code, status := range map[stream.Code]int{stream.UnknownStream: 404, stream.KafkaUnavailable: 503, stream.PatternTooWide: 400} {
		g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) {
			return nil, stream.Errorf(code, "so it is")
		}
		g.do(t, "GET /streams/s/events", "", "Accept: */*").wantProblem(t, code, status)
		if code != stream.KafkaUnavailable {
			g.do(t, "GET /streams/s/events", "", "Accept: text/event-stream").wantProblem(t, code, status)
		}
	}
}

// EventSource never comes back after a 503, so that Kafka is away is told to it
// in a stream.
func TestAnOutageDoesNotEndAnEventSource(t *testing.T) {
	g := newGateway(t, nil)
	g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) {
		return nil, stream.Errorf(stream.KafkaUnavailable, "no broker answers")
	}
	answer := g.do(t, "GET /streams/s/events", "", "Accept: text/event-stream")
	p := parseEvents(answer.body)
	if answer.StatusCode != 200 || len(p.events) != 2 || p.events[0].name != "problem" || p.events[1].data != `{"reason":"problem"}` {
		t.Fatalf("%d %q", answer.StatusCode, answer.body)
	}
	if retry, err := strconv.Atoi(p.retry); err != nil || retry < 5000 || retry > 15_000 {
		t.Errorf("retry %q", p.retry)
	}
	var body problem
	reply{body: p.events[0].data}.json(t, &body)
	if body.Type != "/problems/kafka-unavailable" || !strings.Contains(body.Detail, "no broker answers") {
		t.Errorf("%+v", body)
	}
}

func TestWhoAcceptsEvents(t *testing.T) {
	g := newGateway(t, nil)
	for accept, taken := range map[string]bool{
		"": true, "*/*": true, "text/event-stream": true, "text/*": true, "application/json, */*;q=0.1": true,
		"application/json": false, "application/x-ndjson": false, "text/event-stream;q=0": false,
	} {
		f := newFollower()
		f.fail <- io.EOF
		g.following(f)
		var headers []string
		if accept != "" {
			headers = []string{"Accept: " + accept}
		}
		res := g.do(t, "GET /streams/s/events", "", headers...)
		if taken != (res.StatusCode == 200) {
			t.Errorf("%s: %d", accept, res.StatusCode)
		}
		if !taken && !strings.Contains(res.wantProblem(t, stream.InvalidRequest, 400).Detail, "/streams/{pattern}/records") {
			t.Error(res.body)
		}
	}
}

func TestHeadOfEvents(t *testing.T) {
	g, f := newGateway(t, nil), newFollower()
	g.following(f)
	res := g.do(t, "HEAD /streams/s/events", "")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.body != "" {
		t.Error(res.StatusCode, res.Header, res.body)
	}
	f.wantClosed(t)
	if res := g.do(t, "HEAD /streams/s/events?group=g", ""); res.StatusCode != 200 { // the fake does not expect to be joined
		t.Error(res.StatusCode)
	}
	if res := g.do(t, "HEAD /streams/s/events?view=x", ""); res.StatusCode != 400 {
		t.Error(res.StatusCode)
	}
}

func TestOpenStreamsAreCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f, member := newGateway(t, nil), newFollower(), newFollower()
		g.following(f)
		g.groups.join = func(context.Context, stream.Membership, stream.Frames) (httpapi.Follower, error) { return member, nil }
		_, done := g.connect(t.Context(), "/streams/secret-stream/events")
		_, done2 := g.connect(t.Context(), "/streams/secret-stream/events?group=g")
		synctest.Wait()
		for name, want := range map[string]float64{
			`sluice_http_event_streams{kind="pattern"}`:                                               1,
			`sluice_http_event_streams{kind="group"}`:                                                 1,
			`sluice_http_requests_in_flight`:                                                          1, // the scrape itself
			`sluice_http_requests_total{method="GET",route="/streams/{pattern}/events",status="200"}`: 2,
			`sluice_http_request_duration_seconds_count{route="/streams/{pattern}/events"}`:           2,
		} {
			if got := g.metric(t, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		<-time.After(10 * time.Minute)
		f.fail <- io.EOF
		member.fail <- io.EOF
		<-done
		<-done2
		if g.metric(t, `sluice_http_event_streams{kind="pattern"}`) != 0 || g.metric(t, `sluice_http_event_streams{kind="group"}`) != 0 {
			t.Error("they are still counted as open")
		}
		if got := g.metric(t, `sluice_http_request_duration_seconds_sum{route="/streams/{pattern}/events"}`); got > 1 {
			t.Errorf("the life of a stream counts as latency: %v s", got)
		}
		if g.metric(t, `sluice_http_event_stream_bytes_total`) < 100 {
			t.Error("bytes are not counted")
		}
		g.connectAndWait(t, "/streams/s/events?view=x")
		if got := g.metric(t, `sluice_http_requests_total{method="GET",route="/streams/{pattern}/events",status="400"}`); got != 1 {
			t.Errorf("%v refused", got)
		}
	})
}

func (g *gateway) connectAndWait(tb testing.TB, target string) {
	tb.Helper()
	_, done := g.connect(tb.Context(), target)
	<-done
}
