package webhook_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/stream"
	"sluice/internal/webhook"
)

// rawServer gives each connection to serve, and closes it afterwards; number is
// the number of the connection, from 1.
func rawServer(t *testing.T, serve func(conn net.Conn, number int)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for number := 1; ; number++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn, number)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// readRequest reads a request with its body.
func readRequest(r *bufio.Reader) error {
	req, err := http.ReadRequest(r)
	if err == nil {
		_, err = io.Copy(io.Discard, req.Body)
	}
	return err
}

func within(timeout time.Duration) func(*stream.Subscription) {
	return func(s *stream.Subscription) { s.Timeout = timeout }
}

func TestEndpointsThatHang(t *testing.T) {
	s, _ := newSender(t, nil)
	wait := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	for name, serve := range map[string]func(conn net.Conn, number int){
		"no answer": func(conn net.Conn, _ int) { wait(conn) },
		"half a header": func(conn net.Conn, _ int) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-A: ")
			wait(conn)
		},
		"headers without end": func(conn net.Conn, _ int) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
				if _, err := io.WriteString(conn, "A: b\r\n"); err != nil {
					return
				}
			}
		},
		"early hints for ever": func(conn net.Conn, _ int) {
			for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
				if _, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := rawServer(t, func(conn net.Conn, number int) {
				if readRequest(bufio.NewReader(conn)) == nil {
					serve(conn, number)
				}
			})
			a := s.Send(t.Context(), deliver(url, within(200*time.Millisecond)))
			want(t, a, stream.DeliveryFailed, 0, "no complete answer within 200ms")
			if a.Took > 5*time.Second {
				t.Errorf("it took %v", a.Took)
			}
		})
	}
}

func TestEndpointsThatBreak(t *testing.T) {
	s, _ := newSender(t, nil)
	const broke = "the connection broke before there was a complete answer"
	for name, tc := range map[string]struct {
		answer string
		detail string
	}{
		"nothing":      {"", broke},
		"half a line":  {"HTTP/1.1 20", `the request failed: malformed HTTP status code "20"`},
		"half headers": {"HTTP/1.1 200 OK\r\nX-A: b\r\n", broke},
		"huge headers": {"HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", "the request failed: server response headers exceeded 65536 bytes; aborted"},
		"not HTTP":     {"SSH-2.0-OpenSSH_9.9\r\n", `the request failed: malformed HTTP response "SSH-2.0-OpenSSH_9.9"`},
	} {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, func(conn net.Conn, _ int) {
				if readRequest(bufio.NewReader(conn)) == nil {
					_, _ = io.WriteString(conn, tc.answer)
				}
			})
			want(t, s.Send(t.Context(), deliver(url, nil)), stream.DeliveryFailed, 0, tc.detail)
		})
	}
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	l.Close()
	want(t, s.Send(t.Context(), deliver("http://"+l.Addr().String(), nil)), stream.DeliveryFailed, 0, "the endpoint refused the connection")
}

// A body without end, fast or slow, holds nobody up: the status has told all.
func TestEndlessBodies(t *testing.T) {
	s, _ := newSender(t, nil)
	for name, tc := range map[string]struct {
		status, chunk string
		pause         time.Duration
		outcome       stream.DeliveryOutcome
	}{
		"fast, taken":  {"200 OK", strings.Repeat("endless ", 1000), 0, stream.DeliveryDone},
		"slow, taken":  {"200 OK", "e", 50 * time.Millisecond, stream.DeliveryDone},
		"fast, failed": {"500 X", strings.Repeat("endless ", 1000), 0, stream.DeliveryFailed},
		"slow, failed": {"500 X", "e", 50 * time.Millisecond, stream.DeliveryFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{})
			url := rawServer(t, func(conn net.Conn, _ int) {
				defer close(closed)
				_ = readRequest(bufio.NewReader(conn))
				_, _ = io.WriteString(conn, "HTTP/1.1 "+tc.status+"\r\n\r\n")
				for tick := time.NewTicker(max(1, tc.pause)); ; <-tick.C {
					if _, err := io.WriteString(conn, tc.chunk); err != nil {
						return
					}
				}
			})
			a := s.Send(t.Context(), deliver(url, nil))
			if a.Outcome != tc.outcome || a.Took > 10*time.Second {
				t.Errorf("got %v after %v", a.Outcome, a.Took)
			}
			select {
			case <-closed:
			case <-time.After(10 * time.Second):
				t.Error("the connection stays open")
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	inner := newReceiver(t, nil, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, inner.URL, status) }, nil)
		s, _ := newSender(t, nil)
		if a := s.Send(t.Context(), deliver(r.URL, nil)); a.Outcome != stream.DeliveryRefused || a.Status != status {
			t.Errorf("%d: got %+v", status, a)
		}
	}
	if inner.connections() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestCancel(t *testing.T) {
	s, _ := newSender(t, nil)
	arrived := make(chan struct{})
	url := rawServer(t, func(conn net.Conn, _ int) {
		_ = readRequest(bufio.NewReader(conn))
		close(arrived)
		_, _ = io.Copy(io.Discard, conn)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	want(t, s.Send(ctx, deliver(url, nil)), stream.DeliveryCancelled, 0, "the attempt was called off")
	late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	want(t, s.Send(late, deliver(url, nil)), stream.DeliveryCancelled, 0, "the attempt was called off")
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"TLS":      (*httptest.Server).StartTLS,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusOK)
				_, _ = io.WriteString(w, strings.Repeat("thanks ", 5000)) // 35,000 bytes: read, and the connection kept
			}, start)
			s, reg := newSender(t, func(o *webhook.Options) { o.RootCAs = rootsOf(r.Server) })
			for range 50 {
				want(t, s.Send(t.Context(), deliver(r.URL, nil)), stream.DeliveryDone, 200, "")
			}
			if r.connections() != 1 || counter(t, reg, "sluice_webhook_connections_total") != 1 {
				t.Errorf("%d connections for 50 deliveries", r.connections())
			}
			proto := "HTTP/1.1"
			if name == "HTTP/2" {
				proto = "HTTP/2.0"
			}
			if got := r.requests()[49].proto; got != proto {
				t.Errorf("got %s, want %s", got, proto)
			}
		})
	}
}

// A long body is not read to its end: that would take longer than a connection.
func TestLongBodiesAreNotRead(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 100_000)) }, nil)
	for range 3 {
		want(t, s.Send(t.Context(), deliver(r.URL, nil)), stream.DeliveryDone, 200, "")
	}
	if r.connections() != 3 {
		t.Errorf("%d connections for 3 deliveries: the bodies were read", r.connections())
	}
}

func rootsOf(s *httptest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	if s.Certificate() != nil {
		roots.AddCert(s.Certificate())
	}
	return roots
}

func TestCertificatesAreVerified(t *testing.T) {
	r := newReceiver(t, nil, (*httptest.Server).StartTLS)
	s, _ := newSender(t, nil)
	a := s.Send(t.Context(), deliver(r.URL, nil))
	want(t, a, stream.DeliveryFailed, 0, "the endpoint's certificate was refused: x509: certificate signed by unknown authority")
	s, _ = newSender(t, func(o *webhook.Options) { o.RootCAs = rootsOf(r.Server) })
	a = s.Send(t.Context(), deliver(strings.Replace(r.URL, "127.0.0.1", "localhost", 1), nil))
	if a.Outcome != stream.DeliveryFailed || !strings.HasPrefix(a.Detail, "the endpoint's certificate was refused: x509: certificate is valid for example.com") {
		t.Errorf("another name: got %v, %q", a.Outcome, a.Detail)
	}
	old := newReceiver(t, nil, func(s *httptest.Server) {
		s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
		s.StartTLS()
	})
	if a := s.Send(t.Context(), deliver(old.URL, nil)); a.Outcome != stream.DeliveryFailed {
		t.Errorf("TLS 1.1: got %v", a.Outcome)
	}
	if len(r.requests())+len(old.requests()) != 0 {
		t.Error("something was delivered")
	}
}

// keptThenClosed answers the first request of the first connection and closes
// at the second, which is what a receiver that closes idle connections looks
// like when the close crosses the request. Others are given to next.
func keptThenClosed(t *testing.T, requests *atomic.Int32, next func(net.Conn)) string {
	return rawServer(t, func(conn net.Conn, number int) {
		r := bufio.NewReader(conn)
		for first := true; readRequest(r) == nil; first = false {
			requests.Add(1)
			switch {
			case number == 1 && first:
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			case number == 1:
				return
			default:
				next(conn)
				return
			}
		}
	})
}

func TestKeptConnectionThatIsClosed(t *testing.T) {
	s, _ := newSender(t, nil)
	var requests atomic.Int32
	url := keptThenClosed(t, &requests, func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n") })
	for range 2 {
		want(t, s.Send(t.Context(), deliver(url, nil)), stream.DeliveryDone, 204, "")
	}
	if requests.Load() != 3 {
		t.Errorf("%d requests, want 3", requests.Load())
	}
	// One that always closes is not tried again for ever.
	requests.Store(0)
	url = keptThenClosed(t, &requests, func(net.Conn) {})
	want(t, s.Send(t.Context(), deliver(url, nil)), stream.DeliveryDone, 204, "")
	want(t, s.Send(t.Context(), deliver(url, nil)), stream.DeliveryFailed, 0, "the connection broke before there was a complete answer")
	if requests.Load() != 3 {
		t.Errorf("%d requests, want 3", requests.Load())
	}
}

// A pool of connections that are all closed by what is sent costs few requests.
func TestManyKeptConnectionsThatClose(t *testing.T) {
	s, _ := newSender(t, nil)
	var requests atomic.Int32
	const many = 20
	together := make(chan struct{})
	url := rawServer(t, func(conn net.Conn, _ int) {
		r := bufio.NewReader(conn)
		if readRequest(r) != nil {
			return
		}
		if requests.Add(1) == many {
			close(together)
		}
		<-together
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		if readRequest(r) == nil {
			requests.Add(1)
		}
	})
	outcomes := make(chan stream.Attempt, many)
	for range many {
		go func() { outcomes <- s.Send(context.Background(), deliver(url, nil)) }()
	}
	for range many {
		want(t, <-outcomes, stream.DeliveryDone, 204, "")
	}
	requests.Store(-1 << 20) // together is closed already
	want(t, s.Send(t.Context(), deliver(url, nil)), stream.DeliveryFailed, 0, "the connection broke before there was a complete answer")
	if got := requests.Load() + 1<<20; got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

// The body of an answer is compressed at most by those who ignore that it was
// not asked for; then it is not read, so that 1 MiB stays 1 MiB.
func TestNothingIsDecompressed(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = w.Write([]byte("\x1f\x8b\x08 a bomb"))
	}, nil)
	d := deliver(r.URL, nil)
	want(t, s.Send(t.Context(), d), stream.DeliveryDone, 200, "")
	d.Subscription.Publishes = "*"
	want(t, s.Send(t.Context(), d), stream.DeliveryFailed, 200, "the endpoint took the delivery, but what its answer publishes cannot be used: it has a Content-Encoding, which was not asked for")
	if got := r.requests()[0].Get("Accept-Encoding"); got != "identity" {
		t.Errorf("Accept-Encoding is %q", got)
	}
}

func TestUnusableURL(t *testing.T) {
	s, _ := newSender(t, nil)
	for _, url := range []string{"", "ftp://127.0.0.1", "http://user:secret@127.0.0.1"} {
		want(t, s.Send(t.Context(), deliver(url, nil)), stream.DeliveryFailed, 0, "the endpoint's url cannot be used; set another")
	}
}
