package webhook_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
	"sluice/internal/webhook"
)

const lines = "application/x-ndjson"

const unusable = "the endpoint took the delivery, but what its answer publishes cannot be used: "

// answering sends a delivery to an endpoint that answers so.
func answering(t testing.TB, s *webhook.Sender, kind, body string, with func(*stream.Delivery)) stream.Attempt {
	t.Helper()
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(body))
	}, nil)
	d := deliver(r.URL, func(sub *stream.Subscription) { sub.Publishes = "invoices,mail.*" })
	if with != nil {
		with(d)
	}
	return s.Send(t.Context(), d)
}

func TestAnswersThatPublish(t *testing.T) {
	s, _ := newSender(t, nil)
	trace := order().Headers[0]
	body := `{"stream":"invoices","key":"k1","headers":{"a":"b","traceparent":"own"},"data":{"n":1}}` + "\r\n\n" + `{"stream":"mail.out","schema":"Mail:2","data":2}`
	invoice := stream.Outgoing{
		Stream: "invoices", Partition: stream.AnyPartition, Key: []byte("k1"), Data: []byte(`{"n":1}`),
		Headers: []stream.Header{{Name: "a", Value: []byte("b")}, {Name: "traceparent", Value: []byte("own")}},
	}
	mail := stream.Outgoing{Stream: "mail.out", Partition: stream.AnyPartition, Schema: stream.SchemaRef{Name: "Mail", Version: 2}, Data: []byte("2")}
	twice := []stream.Header{{Name: "twice", Value: []byte("1")}, {Name: "twice", Value: []byte("2")}}
	invoiceToo, mailToo := invoice, mail
	invoiceToo.Headers = append(slices.Clone(invoice.Headers), twice...) // its own trace stays
	mailToo.Headers = append([]stream.Header{trace}, twice...)
	for name, tc := range map[string]struct {
		kind, body string
		with       func(*stream.Delivery)
		want       []stream.Outgoing
	}{
		"nothing":       {lines, "", nil, nil},
		"white space":   {"text/plain", " \n\n", nil, nil},
		"two records":   {lines + "; charset=utf-8", body, plainRecord, []stream.Outgoing{invoice, mail}},
		"their headers": {lines, body, manyHeaders, []stream.Outgoing{invoiceToo, mailToo}},
		"to a batch":    {lines, body, func(d *stream.Delivery) { d.Records = append(d.Records, order()) }, []stream.Outgoing{invoice, mail}},
		"not wanted":    {"text/plain", "thanks", func(d *stream.Delivery) { d.Subscription.Publishes = "" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := answering(t, s, tc.kind, tc.body, tc.with)
			want(t, a, stream.DeliveryDone, 200, "")
			if diff := cmp.Diff(tc.want, a.Published); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func plainRecord(d *stream.Delivery) { d.Records[0].Headers = nil }

func manyHeaders(d *stream.Delivery) {
	d.Records[0].Headers = append(d.Records[0].Headers, // after the trace
		stream.Header{Name: "twice", Value: []byte("1")}, stream.Header{Name: "twice", Value: []byte("2")},
		stream.Header{Name: "ce_id", Value: []byte("1")}, stream.Header{Name: "content-type", Value: []byte("a/b")}, stream.Header{Name: "sluice-error", Value: []byte("1")})
}

func TestAnswersThatCannotPublish(t *testing.T) {
	s, _ := newSender(t, nil)
	const good = `{"stream":"invoices","data":1}` + "\n"
	for name, tc := range map[string]struct{ kind, body, detail string }{
		"text":              {"text/plain", "ok", "it is not application/x-ndjson; answer with no body (204) to publish nothing"},
		"JSON":              {"application/json", good, "it is not application/x-ndjson; answer with no body (204) to publish nothing"},
		"not JSON":          {lines, good + "ok\n", "line 2: the text is not JSON, at or after byte 0"},
		"no data":           {lines, `{"stream":"invoices"}`, `line 1: the line has no "data" (for a tombstone, give "value":null and a key)`},
		"no stream":         {lines, `{"data":1}`, `line 1: "stream" is missing: it names the stream that the record is for`},
		"another stream":    {lines, good + "\n" + `{"stream":"orders.eu","data":1}`, `line 3: its stream "orders.eu" does not match the subscription's publishes`},
		"half a record":     {lines, good + `{"stream":"invoices","da`, "line 2: the JSON text ends too early, at or after byte 24"},
		"too many":          {lines, strings.Repeat(good, 1001), "it has more than 1,000 records"},
		"too long":          {lines, good + strings.Repeat(" ", 1<<20), "it is longer than 1 MiB"},
		"a hostile stream":  {lines, `{"stream":"\u0000` + strings.Repeat("x", 1000) + `","data":1}`, `line 1: its stream "` + strings.Repeat("x", 200) + `…" does not match the subscription's publishes`},
		"an unknown member": {lines, `{"stream":"invoices","date":1}`, "line 1: #/date is no member of a line; known are key, headers, partition, timestamp, schema, data and value"},
	} {
		t.Run(name, func(t *testing.T) {
			a := answering(t, s, tc.kind, tc.body, nil)
			want(t, a, stream.DeliveryFailed, 200, unusable+tc.detail)
			if a.Published != nil {
				t.Errorf("it publishes %d records", len(a.Published))
			}
		})
	}
}

// An answer that breaks off has not told all that it publishes.
func TestAnswerThatBreaksOff(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", lines)
		_, _ = w.Write([]byte(`{"stream":"invoices","data":1}` + "\n"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, nil)
	a := s.Send(t.Context(), deliver(r.URL, func(sub *stream.Subscription) { sub.Publishes = "*" }))
	want(t, a, stream.DeliveryFailed, 200, "the connection broke before there was a complete answer")
	if a.Published != nil {
		t.Error("it publishes")
	}
}

// Whatever an answer holds, either all of its lines are records for the
// streams meant, or the attempt failed and nothing is published.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		"", "\n", `{"stream":"invoices","data":1}`, `{"stream":"invoices","data":1}` + "\n" + `{"stream":"mail.x","value":null,"key":"k"}`,
		`{"stream":"orders","data":1}`, `{"stream":"invoices"`, `null`, `[]`, "\xff", `{"stream":"invoices","stream":"orders","data":1}`,
	} {
		f.Add(body)
	}
	s, _ := newSender(f, nil)
	var body string
	r := newReceiver(f, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", lines)
		_, _ = w.Write([]byte(body))
	}, nil)
	f.Fuzz(func(t *testing.T, text string) {
		body = text
		a := s.Send(t.Context(), deliver(r.URL, func(sub *stream.Subscription) { sub.Publishes = "invoices,mail.*" }))
		if a.Outcome != stream.DeliveryDone && (a.Outcome != stream.DeliveryFailed || a.Published != nil || a.Detail == "" || len(a.Detail) > 1500) {
			t.Errorf("%+v", a)
		}
		count := 0
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) != "" {
				count++
			}
		}
		if a.Outcome == stream.DeliveryDone && len(a.Published) != count {
			t.Errorf("%d records of %d lines", len(a.Published), count)
		}
		for _, rec := range a.Published {
			if rec.Stream != "invoices" && !strings.HasPrefix(rec.Stream, "mail.") {
				t.Errorf("a record for %q", rec.Stream)
			}
		}
	})
}
