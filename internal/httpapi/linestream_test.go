package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// serve runs the handler on a real server, with the limits of NewServer.
func (g *gateway) serve(tb testing.TB) *httptest.Server {
	tb.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config = httpapi.NewServer(g.handler, slog.New(slog.DiscardHandler))
	s.Start()
	tb.Cleanup(s.Close)
	return s
}

func TestResultsComeWhileTheRequestIsSent(t *testing.T) {
	g := newGateway(t, nil).storing()
	s := g.serve(t)
	lines, body := io.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", s.URL+"/streams/s", lines)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Accept", "application/x-ndjson")
	go io.WriteString(body, "{\"data\":0}\n")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatal(res.Status, res.Header)
	}
	answers := bufio.NewScanner(res.Body)
	for i := range 3 { // each result before the next line is sent
		if !answers.Scan() || !strings.Contains(answers.Text(), fmt.Sprintf(`"offset":%d`, 42+i)) {
			t.Fatalf("%q %v", answers.Text(), answers.Err())
		}
		if _, err := fmt.Fprintf(body, "{\"data\":%d}\n", i+1); err != nil {
			t.Fatal(err)
		}
	}
	body.Close()
	answers.Scan()
	if !answers.Scan() || answers.Text() != `{"stored":4,"failed":0}` {
		t.Errorf("last line %q", answers.Text())
	}
	if answers.Scan() {
		t.Errorf("something follows the counts: %q", answers.Text())
	}
}

func TestStreamedFailures(t *testing.T) {
	g := newGateway(t, nil).failing(func(data string) (error, bool) {
		if data == "1" {
			return stream.Errorf(stream.KafkaUnavailable, "m"), false
		}
		return nil, false
	})
	// The first record fails late: the answer has begun, so it is one result of many.
	res := g.do(t, "POST /streams/s", "{\"data\":1}\nx\n{\"data\":2}\n", ndjson, "Accept: application/x-ndjson")
	if res.StatusCode != 200 {
		t.Fatal(res.StatusCode, res.body)
	}
	golden(t, "streamed.ndjson", res.body)

	// So it is when nothing is stored at all.
	g = newGateway(t, nil).failing(func(string) (error, bool) { return stream.Errorf(stream.KafkaUnavailable, "m"), false })
	res = g.do(t, "POST /streams/s", strings.Repeat("{\"data\":1}\n", 50), ndjson, "Accept: application/x-ndjson")
	if res.StatusCode != 200 || strings.Count(res.body, "kafka-unavailable") != 50 || !strings.HasSuffix(res.body, "{\"stored\":0,\"failed\":50}\n") {
		t.Error(res.StatusCode, res.body)
	}

	// The first record fails at once: that is the answer.
	g = newGateway(t, nil).failing(func(string) (error, bool) { return stream.Errorf(stream.UnknownStream, "m"), true })
	g.do(t, "POST /streams/s", "{\"data\":1}\n", ndjson, "Accept: application/x-ndjson").wantProblem(t, stream.UnknownStream, 404)
	g.do(t, "POST /streams/s", "", ndjson, "Accept: application/x-ndjson").wantProblem(t, stream.InvalidRequest, 400)
}

func TestFaultsOfABatchAreLoggedOnce(t *testing.T) {
	g := newGateway(t, nil).failing(func(string) (error, bool) { return errors.New("secret"), false })
	res := g.do(t, "POST /streams/s", strings.Repeat("{\"data\":1}\n", 100), ndjson, "Accept: application/x-ndjson")
	if strings.Contains(res.body, "secret") || !strings.HasSuffix(res.body, `{"stored":0,"failed":100}`+"\n") {
		t.Error(res.body)
	}
	if n := len(g.log.lines("secret")); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if n := g.metric(t, `sluice_errors_total{code="internal"}`); n != 100 {
		t.Errorf("counted %v times", n)
	}
}

// dial opens a connection and sends text.
func dial(tb testing.TB, s *httptest.Server, text string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		tb.Fatal(err)
	}
	return conn
}

func TestSlowBodiesEnd(t *testing.T) {
	for name, request := range map[string]string{
		"with length":    "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n12",
		"without length": "POST /streams/s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12\r\n",
		"NDJSON":         "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(o *httpapi.Options) { o.Limits.ReadTimeout = 50 * time.Millisecond })
			conn := dial(t, g.serve(t), request)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			answer := reply{res, string(body)}
			if p := answer.wantProblem(t, stream.InvalidRequest, 400); !strings.Contains(p.Detail, "slowly") {
				t.Error(p.Detail)
			}
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
}

func TestLinesKeepASlowBodyAlive(t *testing.T) {
	const timeout = 200 * time.Millisecond
	g := newGateway(t, func(o *httpapi.Options) { o.Limits.ReadTimeout = timeout }).storing()
	s := g.serve(t)
	conn := dial(t, s, "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	start := time.Now()
	for tick := range time.NewTicker(timeout / 4).C { // for longer than the timeout in all
		if _, err := io.WriteString(conn, "b\r\n{\"data\":1}\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if tick.Sub(start) > 3*timeout {
			break
		}
	}
	io.WriteString(conn, "0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 201 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestWaitingForKafkaOutlastsTheReadTimeout(t *testing.T) {
	const timeout = 50 * time.Millisecond
	g := newGateway(t, func(o *httpapi.Options) { o.Limits.ReadTimeout = timeout })
	g.publisher.publish = func(ctx context.Context, _ *stream.Outgoing) (stream.Report, error) {
		select {
		case <-ctx.Done():
			return stream.Report{}, ctx.Err()
		case <-time.After(4 * timeout):
			return stream.Report{Timestamp: noon}, nil
		}
	}
	s := g.serve(t)
	for _, request := range []string{
		"POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1",
		"POST /streams/s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
		"POST /streams/s?tombstone=true&key=k HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	} {
		res, err := http.ReadResponse(bufio.NewReader(dial(t, s, request)), nil)
		if err != nil || res.StatusCode != 201 {
			t.Errorf("%q: %v %v", request, res, err)
		}
	}
}

func TestClientThatReadsNothingIsCutOff(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) { o.Limits.WriteTimeout = 100 * time.Millisecond }).storing()
	s := g.serve(t)
	conn := dial(t, s, "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nAccept: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	line := `{"data":1,"key":"` + strings.Repeat("k", 8000) + "\"}\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(line), line)
	for { // until the server gives up; the deadline of the connection ends a test that fails
		if _, err := io.WriteString(conn, chunk); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the server goes on")
			}
			return
		}
	}
}
