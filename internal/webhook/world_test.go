package webhook_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
	"sluice/internal/webhook"
)

// loopback is what the tests' receivers need.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// newSender makes a sender that may deliver to loopback; with changes it.
func newSender(t testing.TB, with func(*webhook.Options)) (*webhook.Sender, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	o := webhook.Options{
		Version: "1.2.3", AllowNetworks: loopback(), DecodeLine: httpapi.DecodeAnswerLine,
		Logger: slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})), Registerer: reg,
	}
	if with != nil {
		with(&o)
	}
	s := webhook.New(o)
	t.Cleanup(s.Close)
	return s, reg
}

var (
	key    = []byte("0123456789abcdef0123456789abcdef")
	oldKey = []byte("fedcba9876543210fedcba9876543210")
)

// order is a record with all that one can have.
func order() stream.Record {
	return stream.Record{
		Stream: "orders.eu", Partition: 1, Offset: 42, Timestamp: time.Date(2026, 1, 31, 12, 0, 0, 123e6, time.UTC), Key: []byte("k1"),
		Headers: []stream.Header{{Name: "traceparent", Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}},
		Schema:  "Order:1", Data: []byte(`{"n": 1}`), Value: []byte(`{"schema":"Order:1","data":{"n": 1}}`),
	}
}

// deliver makes a delivery of the records to a URL; with changes its
// subscription.
func deliver(url string, with func(*stream.Subscription), records ...stream.Record) *stream.Delivery {
	sub := &stream.Subscription{
		ID: "mine", Endpoint: stream.Endpoint{URL: url, Secrets: []stream.Secret{{Key: key}}},
		View: stream.ViewRecord, Batch: stream.Batch{MaxRecords: 1}, Timeout: 20 * time.Second,
	}
	if with != nil {
		with(sub)
	}
	if len(records) == 0 {
		records = []stream.Record{order()}
	}
	return &stream.Delivery{
		Subscription: sub, ID: stream.DeliveryID(sub.ID, "topic", records), TopicID: "AAAAAAAAQACAAAAAAAAAAA",
		Records: records, Attempt: 1, First: time.Now(),
	}
}

// received is a request that a receiver got.
type received struct {
	http.Header

	method, host, path, proto string
	length                    int64
	body                      []byte
}

// receiver keeps what it gets, and answers with answer, or 204.
type receiver struct {
	*httptest.Server

	mu   sync.Mutex
	got  []received
	news int // connections
}

func newReceiver(t testing.TB, answer http.HandlerFunc, start func(*httptest.Server)) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.got = append(r.got, received{req.Header, req.Method, req.Host, req.URL.RequestURI(), req.Proto, req.ContentLength, body})
		r.mu.Unlock()
		if answer != nil {
			answer(w, req)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	r.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.news++
		}
	}
	r.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	if start == nil {
		start = (*httptest.Server).Start
	}
	start(r.Server)
	t.Cleanup(r.Close)
	t.Cleanup(r.CloseClientConnections) // the clean-ups run backwards: what hangs is ended first
	return r
}

func (r *receiver) requests() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

func (r *receiver) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news
}

// want fails the test unless the attempt ended so.
func want(t *testing.T, a stream.Attempt, outcome stream.DeliveryOutcome, status int, detail string) {
	t.Helper()
	if a.Outcome != outcome || a.Status != status || a.Detail != detail {
		t.Errorf("got %v, %d, %q\nwant %v, %d, %q", a.Outcome, a.Status, a.Detail, outcome, status, detail)
	}
}
