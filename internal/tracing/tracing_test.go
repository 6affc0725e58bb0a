package tracing_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/kafkatest"
	"sluice/internal/stream"
	"sluice/internal/tracing"
	"sluice/internal/tracing/tracingtest"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// The client's trace and span, and how it names them.
const (
	trace   = "0af7651916cd43dd8448eb211c80319c"
	caller  = "b7ad6b7169203331"
	parent0 = "00-" + trace + "-" + caller + "-01"
)

// world is a tracer and its collector.
type world struct {
	*tracing.Tracer
	t         *testing.T
	collector *tracingtest.Collector
	log       *transcript
	metrics   *prometheus.Registry
}

// transcript collects what is logged.
type transcript struct{ kafkatest.Transcript }

func (l *transcript) count(message string) int {
	return strings.Count(l.String(), message)
}

func newWorld(t *testing.T, change ...func(*tracing.Options)) *world {
	t.Helper()
	w := &world{t: t, collector: tracingtest.New(t), log: &transcript{}, metrics: prometheus.NewRegistry()}
	o := tracing.Options{
		Endpoint: w.collector.URL, Version: "1.2.3", Topics: stream.Topics{Prefix: "eu."},
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Registerer: w.metrics,
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if w.Tracer, err = tracing.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// close ends the tracer, which sends all spans.
func (w *world) close() {
	if err := w.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
}

func from(traceparent ...string) http.Header { return http.Header{"Traceparent": traceparent} }

func named(rec *stream.Outgoing, name string) (values []string) {
	for _, h := range rec.Headers {
		if h.Name == name {
			values = append(values, string(h.Value))
		}
	}
	return values
}

func delivery(headers ...[]stream.Header) *stream.Delivery {
	d := &stream.Delivery{ID: "d1", Attempt: 2, Subscription: &stream.Subscription{
		ID: "sub1", Endpoint: stream.Endpoint{URL: "https://user:hidden@hooks.example:8443/hidden?token=hidden"},
	}}
	for i, h := range headers {
		d.Records = append(d.Records, stream.Record{Stream: "orders", Partition: 3, Offset: int64(42 + i), Key: []byte("hidden"), Headers: h})
	}
	return d
}

// A record's way is one trace: from the client's span through the request and
// the sending to the attempt to deliver it, whose span the endpoint is told.
func TestOneTrace(t *testing.T) {
	w := newWorld(t)
	ctx, answered := w.Serve(t.Context(), from(parent0), "POST")
	rec := &stream.Outgoing{Stream: "orders", Key: []byte("hidden"), Headers: []stream.Header{{Name: "baggage", Value: []byte("a=hidden")}}}
	w.Send(ctx, rec)(stream.Report{Partition: 3, Offset: 42}, nil)
	answered("/streams/{stream}", 201, "")
	told := http.Header{"Traceparent": {"another"}, "Tracestate": {"another=1"}}
	ctx, ended := w.Deliver(t.Context(), delivery(rec.Headers))
	w.Inject(ctx, told)
	ended(stream.Attempt{Status: 503, Outcome: stream.DeliverySlow, Detail: "hidden"})
	w.close()

	served, sent, delivered := w.collector.Span("POST /streams/{stream}"), w.collector.Span("send orders"), w.collector.Span("deliver orders")
	want := []tracingtest.Span{{
		Name: "POST /streams/{stream}", Kind: "SERVER", Trace: trace, ID: served.ID, Parent: caller, Service: "sluice", Version: "1.2.3",
		Attributes: map[string]string{"http.request.method": "POST", "http.route": "/streams/{stream}", "http.response.status_code": "201"},
	}, {
		Name: "deliver orders", Kind: "CLIENT", Trace: trace, ID: delivered.ID, Parent: sent.ID, Links: []string{sent.ID}, Failed: true, Service: "sluice", Version: "1.2.3",
		Attributes: map[string]string{
			"messaging.system": "kafka", "messaging.operation.name": "deliver", "messaging.operation.type": "process",
			"messaging.destination.name": "eu.orders", "messaging.destination.partition.id": "3", "messaging.kafka.offset": "42",
			"http.request.method": "POST", "http.request.resend_count": "1", "http.response.status_code": "503", "error.type": "503",
			"server.address": "hooks.example", "server.port": "8443", "sluice.outcome": "slow", "sluice.subscription": "sub1",
		},
	}, {
		Name: "send orders", Kind: "PRODUCER", Trace: trace, ID: sent.ID, Parent: served.ID, Service: "sluice", Version: "1.2.3",
		Attributes: map[string]string{
			"messaging.system": "kafka", "messaging.operation.name": "send", "messaging.operation.type": "send",
			"messaging.destination.name": "eu.orders", "messaging.destination.partition.id": "3", "messaging.kafka.offset": "42",
		},
	}}
	if diff := cmp.Diff(want, w.collector.Spans()); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"00-" + trace + "-" + sent.ID + "-01"}, named(rec, "traceparent")); diff != "" {
		t.Errorf("the record's traceparent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(from("00-"+trace+"-"+delivered.ID+"-01"), told); diff != "" {
		t.Errorf("what the endpoint is told (-want +got):\n%s", diff)
	}
	if strings.Contains(fmt.Sprint(w.collector.Spans()), "hidden") {
		t.Error("a span holds what it must not")
	}
}

// A record may come with a context of its own: it keeps it, and the span of the
// sending refers to it.
func TestContextOfItsOwn(t *testing.T) {
	w := newWorld(t)
	own := "00-11111111111111111111111111111111-2222222222222222-01"
	rec := &stream.Outgoing{Stream: "orders", Headers: []stream.Header{{Name: "traceparent", Value: []byte(own)}}}
	ctx, answered := w.Serve(t.Context(), from(parent0), "POST")
	w.Send(ctx, rec)(stream.Report{}, stream.Errorf(stream.Overloaded, "hidden").WithOutcome(stream.NotStored))
	answered("/streams/{stream}", 503, stream.Overloaded)
	w.close()
	sent := w.collector.Span("send orders")
	if got := named(rec, "traceparent"); len(got) != 1 || got[0] != own || sent.Trace != trace || !cmp.Equal(sent.Links, []string{"2222222222222222"}) {
		t.Errorf("the record has %v, the span is %+v", got, sent)
	}
	if !sent.Failed || sent.Attributes["error.type"] != string(stream.Overloaded) || sent.Attributes["sluice.outcome"] != string(stream.NotStored) {
		t.Errorf("the span does not say that it failed: %+v", sent)
	}
	if s := w.collector.Span("POST /streams/{stream}"); !s.Failed || s.Attributes["error.type"] != string(stream.Overloaded) {
		t.Errorf("the request's span does not say that it failed: %+v", s)
	}
}

// Many records of one request have one span, and each has its context. What is
// delivered together refers to all of them.
func TestBatches(t *testing.T) {
	w := newWorld(t)
	ctx, end := w.Batch(t.Context(), "orders")
	shared := make([]stream.Header, 0, 8)
	recs := []*stream.Outgoing{{Stream: "orders", Headers: shared}, {Stream: "orders", Headers: shared}}
	for _, rec := range recs {
		if w.Send(ctx, rec) != nil {
			t.Error("a record of a batch has a span")
		}
	}
	end(nil)
	_, ended := w.Deliver(t.Context(), delivery(recs[0].Headers, recs[1].Headers))
	ended(stream.Attempt{Status: 200, Outcome: stream.DeliveryDone})
	w.close()
	sent, delivered := w.collector.Span("send orders"), w.collector.Span("deliver orders")
	want := "00-" + sent.Trace + "-" + sent.ID + "-01"
	for _, rec := range recs {
		if got := named(rec, "traceparent"); len(got) != 1 || got[0] != want {
			t.Errorf("the record has %v, want %s", got, want)
		}
	}
	if !cmp.Equal(delivered.Links, []string{sent.ID, sent.ID}) || delivered.Parent != "" || delivered.Attributes["messaging.batch.message_count"] != "2" || delivered.Failed {
		t.Errorf("%+v", delivered)
	}
}

// What began elsewhere is recorded where it is there; of the rest a part. Who
// comes later is told in either case.
func TestSampling(t *testing.T) {
	none := 0.0
	w := newWorld(t, func(o *tracing.Options) { o.SampleRatio, o.ServiceName = &none, "shop" })
	for _, h := range []http.Header{from(parent0), from(strings.TrimSuffix(parent0, "1") + "0"), {}, from(parent0, parent0), from("nonsense")} {
		ctx, answered := w.Serve(t.Context(), h, "other")
		rec := &stream.Outgoing{Stream: "orders"}
		w.Send(ctx, rec)(stream.Report{}, nil)
		answered("unmatched", 405, stream.MethodNotAllowed)
		got, sampled := named(rec, "traceparent"), len(h["Traceparent"]) == 1 && h["Traceparent"][0] == parent0
		if len(got) != 1 || strings.HasSuffix(got[0], "-01") != sampled {
			t.Errorf("%v: the record has %v", h, got)
		}
	}
	w.close()
	all := w.collector.Spans()
	if len(all) != 2 || all[0].Name != "HTTP" || all[0].Attributes["http.request.method"] != "_OTHER" || all[0].Failed || all[0].Service != "shop" {
		t.Errorf("%+v", all)
	}
}

// A collector that fails is logged when it begins to, and when it is over. Its
// spans are lost, nobody waits, and the end is no failure.
func TestCollectorFails(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	w := newWorld(t)
	spans := func(n int) {
		for range n {
			w.Send(t.Context(), &stream.Outgoing{Stream: "orders"})(stream.Report{}, nil)
		}
	}
	counted := func(of string, n float64) {
		t.Helper()
		kafkatest.Eventually(t, patience, func() error {
			return testutil.GatherAndCompare(w.metrics, strings.NewReader(fmt.Sprintf(
				"# HELP sluice_tracing_%[1]s Spans that %[3]s\n# TYPE sluice_tracing_%[1]s counter\nsluice_tracing_%[1]s %[2]v\n", of, n, map[string]string{
					"failed_spans_total":   "could not be sent to the collector.",
					"exported_spans_total": "the collector took.",
					"spans_total":          "were sampled and have ended.",
				}[of])), "sluice_tracing_"+of)
		})
	}
	w.collector.Answer(http.StatusBadRequest)
	spans(3)
	counted("failed_spans_total", 3)
	w.collector.Answer(http.StatusOK)
	spans(2)
	counted("exported_spans_total", 2)
	counted("spans_total", 5)
	for message, want := range map[string]int{"traces cannot be sent": 1, "takes traces again": 1} {
		if got := w.log.count(message); got != want {
			t.Errorf("%q was logged %d times, want %d", message, got, want)
		}
	}
	w.collector.Answer(http.StatusServiceUnavailable) // it is asked again and again
	spans(5000)                                       // more than wait
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Close(ctx); err != nil {
		t.Errorf("the end is a failure: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		configured string
		env        map[string]string
		want       string
		reason     bool
	}{
		{"", nil, "", false},
		{"http://a:4318", nil, "http://a:4318/v1/traces", false},
		{"http://a:4318/", nil, "http://a:4318/v1/traces", false},
		{"https://a/otlp/x", nil, "https://a/otlp/x", false},
		{"http://a:4318", map[string]string{"OTEL_SDK_DISABLED": "true"}, "", false},
		{"http://a:4318", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b", "OTEL_TRACES_EXPORTER": "none"}, "http://a:4318/v1/traces", false},
		{"", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318/"}, "http://b:4318/v1/traces", false},
		{"", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"}, "http://c/x", false},
		{"", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b", "OTEL_TRACES_EXPORTER": "none"}, "", false},
		{"", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "", true},
		{"", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "b:4317"}, "", true},
	} {
		o, reason := tracing.Options{Endpoint: c.configured}.WithEnvironment(func(name string) string { return c.env[name] })
		if o.Endpoint != c.want || (reason != "") != c.reason {
			t.Errorf("%q with %v: %q %q", c.configured, c.env, o.Endpoint, reason)
		}
	}
}
