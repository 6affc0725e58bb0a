package httpapi_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// keep makes the publisher store everything and keep copies of the records.
func (g *gateway) keep() *[]stream.Outgoing {
	g.storing()
	var kept []stream.Outgoing
	publish := g.publisher.publish
	g.publisher.publish = func(ctx context.Context, rec *stream.Outgoing) (stream.Report, error) {
		kept = append(kept, cloneRecord(rec))
		return publish(ctx, rec)
	}
	enqueue := g.publisher.enqueue
	g.publisher.enqueue = func(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
		kept = append(kept, cloneRecord(rec))
		return enqueue(ctx, rec, done)
	}
	return &kept
}

func cloneRecord(rec *stream.Outgoing) stream.Outgoing {
	c := *rec
	c.Newest = nil // TestLinesShareWhatIsNewest
	c.Key = clone(rec.Key)
	c.Data = clone(rec.Data)
	c.Headers = nil
	for _, h := range rec.Headers {
		c.Headers = append(c.Headers, stream.Header{Name: h.Name, Value: clone(h.Value)})
	}
	return c
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

func TestPublishOne(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	res := g.do(t, "POST /streams/orders.eu?key=k%2B1&partition=3&timestamp=1769860800123&schema=Order:1", `{ "a" : 1e0 }`,
		"Content-Type: application/vnd.shop+json; charset=UTF-8",
		"Kafka-Header-Source: shop", "Kafka-Header-SOURCE: again",
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate: a=1", "Tracestate: b=2")
	if res.StatusCode != 201 {
		t.Fatal(res.StatusCode, res.body)
	}
	if got, want := res.Header.Get("Location"), "/streams/orders.eu/records/3/42"; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	golden(t, "published.json", res.body)
	want := []stream.Outgoing{{
		Stream: "orders.eu", Partition: 3, Key: []byte("k+1"), Timestamp: noon,
		Schema: stream.SchemaRef{Name: "Order", Version: 1}, Data: []byte(`{ "a" : 1e0 }`),
		Headers: []stream.Header{
			{Name: "source", Value: []byte("shop")},
			{Name: "source", Value: []byte("again")},
			{Name: "traceparent", Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")},
			{Name: "tracestate", Value: []byte("a=1,b=2")},
		},
	}}
	if diff := cmp.Diff(want, *kept); diff != "" {
		t.Error(diff)
	}
}

func TestRecordHeadersAreSorted(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	g.do(t, "POST /streams/s", "1", "Kafka-Header-D: 4", "Kafka-Header-B: 2", "Kafka-Header-Traceparent: own",
		"Kafka-Header-A: 1", "Kafka-Header-C: 3", "Traceparent: not this one", "Baggage: x=1")
	want := []stream.Header{
		{Name: "a", Value: []byte("1")},
		{Name: "b", Value: []byte("2")},
		{Name: "baggage", Value: []byte("x=1")},
		{Name: "c", Value: []byte("3")},
		{Name: "d", Value: []byte("4")},
		{Name: "traceparent", Value: []byte("own")},
	}
	if diff := cmp.Diff(want, (*kept)[0].Headers); diff != "" {
		t.Error(diff)
	}
	g.do(t, "POST /streams/s", "1", "Traceparent: one", "Traceparent: two")
	if headers := (*kept)[1].Headers; len(headers) > 0 {
		t.Errorf("two traceparents are none: %v", headers)
	}
}

func TestPublishDefaults(t *testing.T) {
	for _, contentType := range []string{"", "application/json", "text/plain", "application/x-www-form-urlencoded"} {
		g := newGateway(t, nil)
		kept := g.keep()
		res := g.do(t, "POST /streams/s", `null`, "Content-Type: "+contentType)
		if res.StatusCode != 201 {
			t.Fatal(contentType, res.StatusCode, res.body)
		}
		want := []stream.Outgoing{{Stream: "s", Partition: stream.AnyPartition, Data: []byte("null")}}
		if diff := cmp.Diff(want, *kept); diff != "" {
			t.Error(contentType, diff)
		}
	}
}

func TestPublishTombstoneAndEmptyKey(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	res := g.do(t, "POST /streams/s?tombstone=true&key=", "")
	if res.StatusCode != 201 || !strings.Contains(res.body, `"key":""`) || !strings.Contains(res.body, `"schema":null`) {
		t.Fatal(res.StatusCode, res.body)
	}
	want := []stream.Outgoing{{Stream: "s", Partition: stream.AnyPartition, Key: []byte{}, Tombstone: true}}
	if diff := cmp.Diff(want, *kept); diff != "" {
		t.Error(diff)
	}
}

func TestPublishRefuses(t *testing.T) {
	tests := []struct {
		name, request, body, header string
		code                        stream.Code
		status                      int
		says                        string // a part of the detail
	}{
		{"unknown parameter", "POST /streams/s?keyy=1", "1", "", stream.InvalidRequest, 400, "key, partition"},
		{"repeated parameter", "POST /streams/s?key=1&key=2", "1", "", stream.InvalidRequest, 400, "more than once"},
		{"broken escape", "POST /streams/s?key=100%25%zz", "1", "", stream.InvalidRequest, 400, "%25"},
		{"key not UTF-8", "POST /streams/s?key=%ff", "1", "", stream.InvalidRequest, 400, "base64"},
		{"partition", "POST /streams/s?partition=-1", "1", "", stream.InvalidRequest, 400, "partition"},
		{"partition too large", "POST /streams/s?partition=2147483648", "1", "", stream.InvalidRequest, 400, "partition"},
		{"timestamp", "POST /streams/s?timestamp=yesterday", "1", "", stream.InvalidRequest, 400, "%2B"},
		{"timestamp before 1970", "POST /streams/s?timestamp=1969-12-31T23:59:59Z", "1", "", stream.InvalidRequest, 400, "1970"},
		{"timestamp after 9999", "POST /streams/s?timestamp=253402300800000", "1", "", stream.InvalidRequest, 400, "9999"},
		{"schema", "POST /streams/s?schema=Order:0", "1", "", stream.InvalidRequest, 400, "version"},
		{"tombstone value", "POST /streams/s?tombstone=yes&key=k", "", "", stream.InvalidRequest, 400, "true or false"},
		{"tombstone without key", "POST /streams/s?tombstone=true", "", "", stream.InvalidRecord, 422, "key"},
		{"tombstone with data", "POST /streams/s?tombstone=true&key=k", "1", "", stream.InvalidRecord, 422, "empty body"},
		{"no data", "POST /streams/s", "", "", stream.MalformedJSON, 400, "tombstone=true"},
		{"reserved header", "POST /streams/s", "1", "Kafka-Header-Sluice_Schema: Order:1", stream.InvalidRecord, 422, "schema"},
		{"header without name", "POST /streams/s", "1", "Kafka-Header-: x", stream.InvalidRequest, 400, "name"},
		{"too large", "POST /streams/s", strings.Repeat("1", 1025), "", stream.TooLarge, 413, "1,024 bytes (1 KiB)"},
		{"XML", "POST /streams/s", "1", "Content-Type: text/xml", stream.UnsupportedType, 415, "application/json"},
		{"no type at all", "POST /streams/s", "1", "Content-Type: ;", stream.UnsupportedType, 415, "application/json"},
		{"Latin 1", "POST /streams/s", "1", "Content-Type: text/plain; charset=iso-8859-1", stream.UnsupportedType, 415, "UTF-8"},
		{"id", "POST /streams/_s", "1", "", stream.InvalidRequest, 400, `"_"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t, func(o *httpapi.Options) { o.Limits.Record = 1024 })
			kept := g.keep()
			var headers []string
			if test.header != "" {
				headers = append(headers, test.header)
			}
			p := g.do(t, test.request, test.body, headers...).wantProblem(t, test.code, test.status)
			if !strings.Contains(p.Detail, test.says) {
				t.Errorf("detail %q does not say %q", p.Detail, test.says)
			}
			if p.Outcome != "not_stored" {
				t.Errorf("outcome %q", p.Outcome)
			}
			if len(*kept) > 0 {
				t.Error("it was stored")
			}
		})
	}
}

func TestPublishWithoutContentLengthIsLimited(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) { o.Limits.Record = 1024 })
	r := httptest.NewRequest("POST", "/streams/s", strings.NewReader(strings.Repeat("1", 1025)))
	r.ContentLength = -1
	g.send(t, r).wantProblem(t, stream.TooLarge, 413)

	g.storing()
	r = httptest.NewRequest("POST", "/streams/s", strings.NewReader(strings.Repeat("1", 1024)))
	r.ContentLength = -1
	if res := g.send(t, r); res.StatusCode != 201 {
		t.Errorf("a record of exactly the limit: %d %s", res.StatusCode, res.body)
	}
}

func TestPublishBodyCutOff(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	r := httptest.NewRequest("POST", "/streams/s", iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("12345"))))
	p := g.send(t, r).wantProblem(t, stream.InvalidRequest, 400)
	if p.Outcome != "not_stored" || len(*kept) > 0 {
		t.Errorf("outcome %q, stored %v", p.Outcome, *kept)
	}
}

func TestPublishFailures(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		code    stream.Code
		status  int
		outcome string
	}{
		{"refused", stream.Errorf(stream.SchemaMismatch, "m"), stream.SchemaMismatch, 409, "not_stored"},
		{"unknown stream", stream.Errorf(stream.UnknownStream, "m"), stream.UnknownStream, 404, "not_stored"},
		{"violation", stream.Errorf(stream.SchemaViolation, "m"), stream.SchemaViolation, 422, "not_stored"},
		{"overloaded", stream.Errorf(stream.Overloaded, "m"), stream.Overloaded, 503, "not_stored"},
		{"kafka, it says", stream.Errorf(stream.KafkaUnavailable, "m").WithOutcome(stream.NotStored), stream.KafkaUnavailable, 503, "not_stored"},
		{"kafka, it does not say", stream.Errorf(stream.KafkaUnavailable, "m"), stream.KafkaUnavailable, 503, "unknown"},
		{"timeout", stream.Errorf(stream.OutcomeUnknown, "m"), stream.OutcomeUnknown, 504, "unknown"},
		{"a fault", errors.New("secret"), stream.Internal, 500, "unknown"},
		{"a fault that knows", stream.Errorf(stream.Internal, "secret").WithOutcome(stream.NotStored), stream.Internal, 500, "not_stored"},
		{"a code nobody defined", stream.Errorf("made-up", "secret"), stream.Internal, 500, "unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t, nil)
			g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) {
				return stream.Report{}, test.err
			}
			p := g.do(t, "POST /streams/s", "1").wantProblem(t, test.code, test.status)
			if p.Outcome != test.outcome {
				t.Errorf("outcome %q, want %q", p.Outcome, test.outcome)
			}
			if strings.Contains(p.Detail, "secret") {
				t.Errorf("internals leak: %q", p.Detail)
			}
			if logged := len(g.log.lines(`"request failed"`)); (logged == 1) != (test.code == stream.Internal) {
				t.Errorf("%d errors logged", logged)
			}
		})
	}
}

func TestProblemGolden(t *testing.T) {
	g := newGateway(t, nil)
	g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) {
		return stream.Report{}, &stream.Error{
			Code: stream.SchemaViolation, Message: "the data does not match Order:1", Outcome: stream.NotStored,
			Violations: []stream.Violation{{Pointer: "#/total", Keyword: "minimum", Detail: "less than 0"}},
		}
	}
	golden(t, "violation.json", g.do(t, "POST /streams/s", `{"total":-1}`).body)
}

func TestRetryAfter(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "1", 1500 * time.Millisecond: "2", 7 * time.Second: "7"} {
		g := newGateway(t, nil)
		g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) {
			return stream.Report{}, &stream.Error{Code: stream.Overloaded, Message: "m", RetryAfter: after}
		}
		res := g.do(t, "POST /streams/s", "1")
		if got := res.Header.Get("Retry-After"); got != want {
			t.Errorf("%v: Retry-After %q, want %q", after, got, want)
		}
	}
}

func TestClientGoneIsNoError(t *testing.T) {
	for _, wrap := range []func(error) error{
		func(err error) error { return err },
		func(err error) error { return stream.Errorf(stream.Internal, "m").Because(err) },
	} {
		g := newGateway(t, nil)
		ctx, cancel := context.WithCancel(context.Background())
		g.publisher.publish = func(ctx context.Context, _ *stream.Outgoing) (stream.Report, error) {
			cancel()
			return stream.Report{}, wrap(ctx.Err())
		}
		r := httptest.NewRequestWithContext(ctx, "POST", "/streams/s", strings.NewReader("1"))
		p := g.send(t, r).wantProblem(t, stream.Overloaded, 503)
		if p.Outcome != "unknown" {
			t.Errorf("outcome %q", p.Outcome)
		}
		if got := g.log.lines(`"level":"ERROR"`); len(got) > 0 {
			t.Error(got)
		}
	}
}

func TestRespondAsync(t *testing.T) {
	g := newGateway(t, nil)
	g.storing()
	var done func(stream.Report, error)
	g.publisher.enqueue = func(_ context.Context, rec *stream.Outgoing, d func(stream.Report, error)) error {
		if string(rec.Data) != `"secret"` {
			t.Errorf("data %s", rec.Data)
		}
		done = d
		return nil
	}
	res := g.do(t, "POST /streams/s", `"secret"`, "Prefer: wait=10, respond-async")
	if res.StatusCode != 202 || res.Header.Get("Preference-Applied") != "respond-async" || res.Header.Get("Location") != "" {
		t.Fatal(res.StatusCode, res.Header, res.body)
	}
	done(stream.Report{}, stream.Errorf(stream.OutcomeUnknown, "m"))
	if got := g.metric(t, `sluice_http_accepted_failures_total`); got != 1 {
		t.Errorf("failures counted: %v", got)
	}
	if got := g.metric(t, `sluice_errors_total{code="outcome-unknown"}`); got != 1 {
		t.Errorf("errors counted: %v", got)
	}
	if lines := g.log.lines("accepted record"); len(lines) != 1 || strings.Contains(lines[0], "secret") {
		t.Errorf("log %q", lines)
	}

	g.publisher.enqueue = func(context.Context, *stream.Outgoing, func(stream.Report, error)) error {
		return stream.Errorf(stream.Overloaded, "m")
	}
	p := g.do(t, "POST /streams/s", "1", "Prefer: respond-async").wantProblem(t, stream.Overloaded, 503)
	if p.Outcome != "not_stored" {
		t.Errorf("outcome %q", p.Outcome)
	}
}

func TestPreferIsParsed(t *testing.T) {
	for prefer, want := range map[string]int{
		"respond-async":                  202,
		"Respond-Async ; foo=bar":        202,
		`respond-async=""`:               202,
		`x="a, respond-async"`:           201,
		`x="a, respond-async, b"`:        201,
		`x="a\", respond-async, b"`:      201,
		"respond-async=no":               201,
		"handling=strict, respond-async": 202,
		"foo; respond-async":             201,
	} {
		g := newGateway(t, nil).storing()
		if res := g.do(t, "POST /streams/s", "1", "Prefer: "+prefer); res.StatusCode != want {
			t.Errorf("Prefer: %s: %d, want %d", prefer, res.StatusCode, want)
		}
	}
}

func TestPanicIsAProblem(t *testing.T) {
	g := newGateway(t, nil)
	g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) { panic("boom") }
	p := g.do(t, "POST /streams/s", "1").wantProblem(t, stream.Internal, 500)
	if p.Outcome != "unknown" || strings.Contains(p.Detail, "boom") {
		t.Errorf("%+v", p)
	}
	if lines := g.log.lines("boom"); len(lines) != 1 || !strings.Contains(lines[0], "publish_test.go") {
		t.Errorf("the stack is not in the log: %q", lines)
	}
}
