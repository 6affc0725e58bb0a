package main_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/kafkatest"
	"sluice/internal/tracing/tracingtest"
)

// A record's way is one trace: through the request, Kafka and the webhook. What
// the collector has not got yet it gets when the gateway ends.
func TestTraceFromRequestToWebhook(t *testing.T) {
	const trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		collector := tracingtest.New(t)
		told := make(chan string, 100)
		hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			told <- r.Header.Get("Traceparent")
			w.WriteHeader(http.StatusNoContent)
		}))
		defer hook.Close()
		t.Setenv("SLUICE_TRACING_ENDPOINT", collector.URL)
		t.Setenv("SLUICE_TRACING_HEADERS", "Authorization=Bearer%20abc")
		b.DeleteLater(t, b.Prefix()+"orders")
		g := pushGateway(t, b)
		g.register(t, "Order", order, "orders")
		g.post(t, "/subscriptions", `{"id":"orders","streams":"orders","endpoint":{"url":"`+hook.URL+`/hidden?token=hidden"}}`).want(t, 201)

		stored := g.do(t, request{method: "POST", path: "/streams/orders?key=hidden", body: `{"id":1}`, header: map[string]string{
			"Content-Type": "application/json", "traceparent": "00-" + trace + "-" + caller + "-01", "tracestate": "vendor=1",
		}}).want(t, 201)
		var delivered string
		kafkatest.Eventually(t, patience, func() error {
			select {
			case delivered = <-told:
				return nil
			default:
				return errors.New("nothing was delivered")
			}
		})
		g.signal(t, syscall.SIGTERM)

		served, sent, attempt := collector.Span("POST /streams/{stream}"), collector.Span("send orders"), collector.Span("deliver orders")
		type step struct{ Trace, Parent, Kind string }
		want := []step{{trace, caller, "SERVER"}, {trace, served.ID, "PRODUCER"}, {trace, sent.ID, "CLIENT"}}
		var got []step
		for _, s := range []tracingtest.Span{served, sent, attempt} {
			got = append(got, step{s.Trace, s.Parent, s.Kind})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s\n%+v", diff, collector.Spans())
		}
		if want := "00-" + trace + "-" + attempt.ID + "-01"; delivered != want {
			t.Errorf("the endpoint was told %q, want %q", delivered, want)
		}
		headers := map[string]any{"traceparent": "00-" + trace + "-" + sent.ID + "-01", "tracestate": "vendor=1"}
		if diff := cmp.Diff(headers, stored["headers"]); diff != "" {
			t.Errorf("the record's headers (-want +got)\n%s", diff)
		}
		if sent.Attributes["messaging.destination.name"] != b.Prefix()+"orders" || sent.Attributes["messaging.kafka.offset"] != "0" {
			t.Errorf("where the record lies: %v", sent.Attributes)
		}
		for _, r := range collector.Requests() {
			if r.Header.Get("Authorization") != "Bearer abc" {
				t.Errorf("the collector was not sent its header: %v", r.Header)
			}
		}
	})
}
