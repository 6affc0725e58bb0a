package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// readUntil reads from an answer until the text has come.
func readUntil(tb testing.TB, r *bufio.Reader, text string) string {
	tb.Helper()
	var got strings.Builder
	for !strings.HasSuffix(got.String(), text) {
		b, err := r.ReadByte()
		if err != nil {
			tb.Fatalf("%v after %q", err, got.String())
		}
		got.WriteByte(b)
	}
	return got.String()
}

// Over a real connection each piece arrives when it is given, not later.
func TestEventsArriveAtOnce(t *testing.T) {
	for _, version := range []int{1, 2} {
		g, f := newGateway(t, nil), newFollower()
		asked := g.following(f)
		s := httptest.NewUnstartedServer(nil)
		s.Config = httpapi.NewServer(g.handler, slog.New(slog.DiscardHandler))
		s.EnableHTTP2 = version == 2
		s.StartTLS()
		t.Cleanup(s.Close)
		position := positionAt(7)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/streams/s/events", nil)
		req.Header.Set("Last-Event-ID", position.String())
		req.Header.Set("Accept", "text/event-stream")
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body := bufio.NewReader(res.Body)
		if res.ProtoMajor != version || res.StatusCode != 200 {
			t.Errorf("%s %s", res.Proto, res.Status)
		}
		readUntil(t, body, "id: p1.start\n\n")
		for range 3 {
			f.given <- []byte("data: x\n\n")
			readUntil(t, body, "data: x\n\n")
		}
		f.fail <- io.EOF
		rest, err := io.ReadAll(body)
		if err != nil || !strings.HasSuffix(string(rest), "event: end\ndata: {\"reason\":\"shutdown\"}\n\n") {
			t.Errorf("%v, %q", err, rest)
		}
		if asked.Start.Kind != stream.FromPosition {
			t.Errorf("%+v", asked.Start)
		}
		res.Body.Close()
	}
}

// A reader of HTTP/1.0 gets the events as they are, up to the connection's end.
func TestEventsOverHTTP10(t *testing.T) {
	g, f := newGateway(t, nil), newFollower()
	g.following(f)
	conn := dial(t, g.serve(t), "GET /streams/s/events HTTP/1.0\r\n\r\n")
	body := bufio.NewReader(conn)
	if head := readUntil(t, body, "\r\n\r\n"); strings.Contains(head, "chunked") {
		t.Error(head)
	}
	if got := readUntil(t, body, "id: p1.start\n\n"); got != "retry: 2000\nid: p1.start\n\n" {
		t.Errorf("%q", got)
	}
	f.fail <- io.EOF
	if rest, err := io.ReadAll(body); err != nil || !strings.Contains(string(rest), "event: end") {
		t.Errorf("%v, %q", err, rest)
	}
}

// A connection on which a stream ended serves the next request.
func TestAConnectionOutlivesItsStream(t *testing.T) {
	g := newGateway(t, nil)
	conn := dial(t, g.serve(t), "")
	in := bufio.NewReader(conn)
	for range 2 {
		f := newFollower()
		f.fail <- io.EOF
		g.following(f)
		fmt.Fprint(conn, "GET /streams/s/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
	}
}

// floodFollower always has more.
type floodFollower struct {
	*fakeFollower
	frame []byte
}

func (f *floodFollower) Next(ctx context.Context, _ time.Duration) ([]byte, error) {
	return f.frame, ctx.Err()
}

// A client that takes nothing is cut off, and holds nothing up any longer.
func TestAClientThatTakesNothingIsCutOff(t *testing.T) {
	frame := append(bytes.Repeat([]byte("x"), 256<<10), "\n\n"...)
	for path, accept := range map[string]string{"events": "text/event-stream", "records": "application/x-ndjson"} {
		g := newGateway(t, func(o *httpapi.Options) { o.Limits.WriteTimeout = 100 * time.Millisecond })
		f := &floodFollower{newFollower(), append([]byte("data: "), frame...)}
		g.following(f)
		g.feeds.end = func(context.Context, stream.Pattern, int32) (stream.Position, error) { return positionAt(1), nil }
		g.feeds.page = func(context.Context, stream.PageRequest) (stream.PageAnswer, error) {
			return stream.PageAnswer{Records: []stream.Record{{Stream: "s", Value: frame}}, Next: positionAt(1), More: true}, nil
		}
		ended := make(chan struct{})
		handler := g.handler
		g.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			handler.ServeHTTP(w, r)
		})
		conn := dial(t, g.serve(t), fmt.Sprintf("GET /streams/s/%s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n", path, accept))
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatalf("%s: it is still served", path)
		}
		if _, err := io.Copy(io.Discard, conn); err == nil && path == "events" {
			f.wantClosed(t)
		}
		g.handler = handler
		if path == "events" && g.metric(t, `sluice_http_event_streams_ended_total{reason="slow"}`) != 1 {
			t.Error("it was not counted as slow")
		}
		if lines := g.log.lines(`"route":"/streams/{pattern}/` + path); len(lines) != 1 {
			t.Errorf("%s: %q", path, lines)
		}
	}
}

// A page that goes away frees its follower at once.
func TestAClientThatLeavesIsForgotten(t *testing.T) {
	g, f := newGateway(t, nil), newFollower()
	g.following(f)
	ended := make(chan struct{})
	handler := g.handler
	g.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		handler.ServeHTTP(w, r)
	})
	conn := dial(t, g.serve(t), "GET /streams/s/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	readUntil(t, bufio.NewReader(conn), "id: p1.start\n\n")
	conn.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it is still served")
	}
	f.wantClosed(t)
}
