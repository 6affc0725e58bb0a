package httpapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

const ndjson = "Content-Type: application/x-ndjson"

// batch is the answer to an NDJSON request.
type batch struct {
	Stored  int              `json:"stored"`
	Failed  int              `json:"failed"`
	Results []map[string]any `json:"results"`
}

func TestLines(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	res := g.do(t, "POST /streams/orders.eu", strings.Join([]string{
		`{"key":"k\u0031","headers":{"A":"x","b":["1",{"base64":"/w=="},null],"c":null},"partition":2,"timestamp":"2026-01-31T13:00:00.123+01:00","schema":"Order:1","data": { "a" : [ 1.0, "x\ny" ] } }`,
		``,
		`  `,
		`{"stream":"other","offset":7,"key":{"base64":"/w=="},"value":null}` + "\r",
		`{"schema":null,"key":null,"headers":null,"partition":null,"timestamp":1769860800123,"data":null}`,
		`{"data":"no end of line"}`,
	}, "\n"), ndjson)
	if res.StatusCode != 201 {
		t.Fatal(res.StatusCode, res.body)
	}
	golden(t, "lines.json", res.body)
	want := []stream.Outgoing{
		{
			Stream: "orders.eu", Partition: 2, Key: []byte("k1"), Timestamp: noon, Schema: stream.SchemaRef{Name: "Order", Version: 1},
			Headers: []stream.Header{{Name: "A", Value: []byte("x")}, {Name: "b", Value: []byte("1")}, {Name: "b", Value: []byte{0xff}}, {Name: "b"}, {Name: "c"}},
			Data:    []byte(`{ "a" : [ 1.0, "x\ny" ] }`),
		},
		{Stream: "orders.eu", Partition: stream.AnyPartition, Key: []byte{0xff}, Tombstone: true},
		{Stream: "orders.eu", Partition: stream.AnyPartition, Timestamp: noon, Data: []byte("null")},
		{Stream: "orders.eu", Partition: stream.AnyPartition, Data: []byte(`"no end of line"`)},
	}
	if diff := cmp.Diff(want, *kept); diff != "" {
		t.Error(diff)
	}
}

func TestBadLines(t *testing.T) {
	tests := []struct {
		line, code, says string
	}{
		{`{"data":1`, "malformed-json", "too early"},
		{`{"data":1}}`, "malformed-json", "follows"},
		{`{"data":1} {"data":2}`, "malformed-json", "follows"},
		{`{"data":{"a":1,"a":2}}`, "malformed-json", "same name"},
		{`{"data":1,"data":2}`, "malformed-json", "same name"},
		{`{"data":1,"d\u0061ta":2}`, "malformed-json", "same name"},
		{`{"data":01}`, "malformed-json", "byte"},
		{"{\"data\":\"\xff\"}", "malformed-json", "byte"},
		{`nonsense`, "malformed-json", "not JSON"},
		{`[1]`, "invalid-request", "object"},
		{`null`, "invalid-request", "object"},
		{`{}`, "invalid-request", `no "data"`},
		{`{"key":"k"}`, "invalid-request", `no "data"`},
		{`{"data":1,"value":null}`, "invalid-request", "not both"},
		{`{"value":null}`, "invalid-record", "needs a key"},
		{`{"value":{"base64":"AA=="},"key":"k"}`, "invalid-request", "only be null"},
		{`{"data":1,"Key":"k"}`, "invalid-request", "#/Key is no member"},
		{`{"data":1,"key":1}`, "invalid-request", `"key" is a string`},
		{`{"data":1,"key":{"base64":"A"}}`, "invalid-request", "not base64"},
		{`{"data":1,"key":{"base64":"AA==","x":1}}`, "invalid-request", `"key" is a string`},
		{`{"data":1,"key":{"base32":"AA=="}}`, "invalid-request", `"key" is a string`},
		{`{"data":1,"key":{}}`, "invalid-request", `"key" is a string`},
		{`{"data":1,"key":[]}`, "invalid-request", `"key" is a string`},
		{`{"data":1,"headers":[]}`, "invalid-request", `"headers" is an object`},
		{`{"data":1,"headers":{"a":1}}`, "invalid-request", `"headers" is a string`},
		{`{"data":1,"headers":{"a":[["x"]]}}`, "invalid-request", `"headers" is a string`},
		{`{"data":1,"headers":{"":"x"}}`, "invalid-request", "needs a name"},
		{`{"data":1,"headers":{"sluice_schema":"Order:1"}}`, "invalid-record", "gateway's own"},
		{`{"data":1,"headers":{"a":["x"`, "malformed-json", "too early"},
		{`{"data":1,"headers":{"a":["x"}`, "malformed-json", "byte"},
		{`{"data":1,"headers":{"a":"x","a":"y"}}`, "malformed-json", "same name"},
		{`{"data":1,"headers":{"a":[` + strings.Repeat(`"",`, 1000) + `""]}}`, "invalid-record", "1,000"},
		{`{"data":1,"partition":"0"}`, "invalid-request", "partition"},
		{`{"data":1,"partition":0.5}`, "invalid-request", "partition"},
		{`{"data":1,"partition":-1}`, "invalid-request", "partition"},
		{`{"data":1,"timestamp":-1}`, "invalid-request", "timestamp"},
		{`{"data":1,"timestamp":true}`, "invalid-request", "timestamp"},
		{`{"data":1,"schema":1}`, "invalid-request", "schema"},
		{`{"data":1,"schema":"a b"}`, "invalid-request", "schema name"},
		{`{"data":"` + strings.Repeat("x", 1023) + `"}`, "too-large", "one record"},
		{`{"data":"` + strings.Repeat("x", 1024+64<<10) + `"}`, "too-large", "some room"},
	}
	for _, test := range tests {
		g := newGateway(t, func(o *httpapi.Options) { o.Limits.Record = 1024 })
		kept := g.keep()
		name := test.line[:min(len(test.line), 60)]
		res := g.do(t, "POST /streams/s", "{\"data\":1}\n\n"+test.line+"\n{\"data\":2}\n", ndjson)
		if res.StatusCode != 207 {
			t.Errorf("%s: status %d %s", name, res.StatusCode, res.body)
			continue
		}
		var got batch
		res.json(t, &got)
		if got.Stored != 2 || got.Failed != 1 || len(got.Results) != 3 || len(*kept) != 2 {
			t.Errorf("%s: %s", name, res.body)
			continue
		}
		r := got.Results[1]
		if r["type"] != "/problems/"+test.code || r["line"] != 3.0 || r["outcome"] != "not_stored" || !strings.Contains(r["detail"].(string), test.says) {
			t.Errorf("%s: want %s, %q; got %v", name, test.code, test.says, r)
		}
	}
}

// failing makes the publisher fail each record with what fail says, if it does.
func (g *gateway) failing(fail func(data string) (err error, atOnce bool)) *gateway {
	g.storing()
	store := g.publisher.enqueue
	g.publisher.enqueue = func(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
		err, atOnce := fail(string(rec.Data))
		switch {
		case err == nil:
			return store(ctx, rec, done)
		case atOnce:
			return err
		}
		go done(stream.Report{}, err)
		return nil
	}
	return g
}

// reportingLate holds the reports back until n records were handed over: one
// that stands for the whole stream, and comes before, ends the request there.
func (g *gateway) reportingLate(n int) {
	var handed sync.WaitGroup
	handed.Add(n)
	enqueue := g.publisher.enqueue
	g.publisher.enqueue = func(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
		defer handed.Done()
		return enqueue(ctx, rec, func(r stream.Report, err error) {
			handed.Wait()
			done(r, err)
		})
	}
}

func TestLinesStatus(t *testing.T) {
	kafka := stream.Errorf(stream.KafkaUnavailable, "m").WithOutcome(stream.NotStored)
	replicas := stream.Errorf(stream.NotEnoughReplicas, "m").WithOutcome(stream.NotStored)
	appended := stream.Errorf(stream.NotEnoughReplicas, "m").WithOutcome(stream.OutcomeUnclear)
	unknown := stream.Errorf(stream.OutcomeUnknown, "m").WithOutcome(stream.OutcomeUnclear)
	violation := stream.Errorf(stream.SchemaViolation, "m").WithOutcome(stream.NotStored)
	mismatch := stream.Errorf(stream.SchemaMismatch, "m").WithOutcome(stream.NotStored)
	tests := []struct {
		name    string
		errs    []error // of each line; nil: stored
		status  int
		code    stream.Code
		outcome string
	}{
		{"all", []error{nil, nil}, 201, "", ""},
		{"some", []error{nil, violation}, 207, "", ""},
		{"some, the first one not for the stream's sake", []error{kafka, nil}, 207, "", ""},
		{"none, by content", []error{violation, violation}, 422, stream.SchemaViolation, "not_stored"},
		{"none, by the schema's name", []error{mismatch, violation}, 422, stream.InvalidRecord, "not_stored"},
		{"none, by the broker", []error{violation, replicas}, 503, stream.NotEnoughReplicas, "not_stored"},
		{"none, by the broker and unknown", []error{unknown, replicas}, 503, stream.NotEnoughReplicas, "unknown"},
		{"none, unknown", []error{unknown, unknown}, 504, stream.OutcomeUnknown, "unknown"},
		{"none, unknown by the broker", []error{appended, appended}, 504, stream.OutcomeUnknown, "unknown"},
		{"none, content and unknown", []error{violation, unknown}, 504, stream.OutcomeUnknown, "unknown"},
		{"none, a fault", []error{fmt.Errorf("secret"), violation}, 500, stream.Internal, "unknown"},
	}
	for _, test := range tests {
		for _, atOnce := range []bool{true, false} {
			if atOnce && (test.outcome == "unknown" || test.errs[0] == kafka) {
				continue // what fails at once is never unknown, and a stream's failure is another test's
			}
			t.Run(fmt.Sprint(test.name, ", at once ", atOnce), func(t *testing.T) {
				g := newGateway(t, nil).failing(func(data string) (error, bool) {
					return test.errs[data[0]-'0'], atOnce
				})
				g.reportingLate(len(test.errs))
				var body strings.Builder
				for i := range test.errs {
					fmt.Fprintf(&body, "{\"data\":%d}\n", i)
				}
				res := g.do(t, "POST /streams/s", body.String(), ndjson)
				var got batch
				res.json(t, &got)
				if res.StatusCode != test.status || got.Stored+got.Failed != len(test.errs) || len(got.Results) != len(test.errs) {
					t.Fatalf("status %d, want %d: %s", res.StatusCode, test.status, res.body)
				}
				if test.code != "" {
					p := res.wantProblem(t, test.code, test.status)
					if p.Outcome != test.outcome {
						t.Errorf("outcome %q, want %q", p.Outcome, test.outcome)
					}
				}
				if strings.Contains(res.body, "secret") {
					t.Error("internals leak")
				}
			})
		}
	}
}

func TestFirstRecordStandsForAll(t *testing.T) {
	for _, code := range []stream.Code{
		stream.UnknownStream, stream.UnboundStream, stream.NameCollision, stream.Forbidden, stream.KafkaUnavailable, stream.Overloaded,
	} {
		for _, atOnce := range []bool{true, false} {
			g := newGateway(t, func(o *httpapi.Options) { o.Limits.WindowRecords = 4 })
			tried := 0
			g.failing(func(string) (error, bool) {
				tried++
				return stream.Errorf(code, "m").WithOutcome(stream.NotStored), atOnce
			})
			res := g.do(t, "POST /streams/s", strings.Repeat("{\"data\":1}\n", 1000), ndjson)
			var p problem
			res.json(t, &p)
			if p.Type != "/problems/"+string(code) || p.Status != res.StatusCode || strings.Contains(res.body, "results") || p.Outcome != "not_stored" {
				t.Errorf("%s, at once %v: %d %s", code, atOnce, res.StatusCode, res.body)
			}
			if tried > 10 {
				t.Errorf("%s, at once %v: %d records were tried", code, atOnce, tried)
			}
		}
	}
}

func TestFirstRecordAloneFails(t *testing.T) {
	// The first fails late with the broker's error, others are stored: then the
	// rest is read all the same.
	g := newGateway(t, nil).failing(func(data string) (error, bool) {
		if data == `"first"` {
			return stream.Errorf(stream.KafkaUnavailable, "m"), false
		}
		return nil, false
	})
	res := g.do(t, "POST /streams/s", "{\"data\":\"first\"}\n"+strings.Repeat("{\"data\":1}\n", 50_000), ndjson)
	var got batch
	res.json(t, &got)
	if res.StatusCode != 207 || got.Stored != 50_000 || got.Failed != 1 {
		t.Errorf("%d: stored %d, failed %d", res.StatusCode, got.Stored, got.Failed)
	}
}

func TestManyLines(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) { o.Limits.Results = 3 }).failing(func(data string) (error, bool) {
		if data == "0" {
			return stream.Errorf(stream.SchemaViolation, "m"), true
		}
		return nil, false
	})
	var body strings.Builder
	for i := range 20 {
		fmt.Fprintf(&body, "{\"data\":%d,\"partition\":%d}\n", i%2, i%4)
	}
	res := g.do(t, "POST /streams/s", body.String(), ndjson)
	if res.StatusCode != 207 {
		t.Fatal(res.StatusCode, res.body)
	}
	golden(t, "manylines.json", res.body)
}

func TestLimitOfResultsIsExact(t *testing.T) {
	for lines, ranges := range map[int]bool{3: false, 4: true} {
		g := newGateway(t, func(o *httpapi.Options) { o.Limits.Results = 3 }).storing()
		res := g.do(t, "POST /streams/s", strings.Repeat("{\"data\":1}\n", lines), ndjson)
		if strings.Contains(res.body, "first_offset") != ranges {
			t.Errorf("%d lines: %s", lines, res.body)
		}
	}
}

func TestLargeResultsAreSummedUp(t *testing.T) {
	// Headers come back in results: 30 lines of 500 KiB would fill 15 MiB.
	g := newGateway(t, nil).storing()
	line := `{"data":1,"headers":{"pad":"` + strings.Repeat("x", 500<<10) + `"}}` + "\n"
	res := g.do(t, "POST /streams/s", strings.Repeat(line, 30), ndjson)
	want := `{"stored":30,"failed":0,"results":[{"partition":0,"first_offset":42,"last_offset":71,"count":30}]}` + "\n"
	if res.StatusCode != 201 || res.body != want {
		t.Errorf("%d %.200s", res.StatusCode, res.body)
	}
}

func TestNoLines(t *testing.T) {
	for _, body := range []string{"", "\n", "\r\n  \n\n"} {
		p := newGateway(t, nil).do(t, "POST /streams/s", body, ndjson).wantProblem(t, stream.InvalidRequest, 400)
		if p.Outcome != "not_stored" {
			t.Errorf("outcome %q", p.Outcome)
		}
	}
	newGateway(t, nil).do(t, "POST /streams/s?key=1", "{}", ndjson).wantProblem(t, stream.InvalidRequest, 400)
}

func TestLinesCutOff(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	cut := func(text string) reply {
		body := io.MultiReader(strings.NewReader(text), failingReader{})
		r := httptest.NewRequest("POST", "/streams/s", body)
		r.Header.Set("Content-Type", "application/x-ndjson")
		return g.send(t, r)
	}
	cut(`{"data":1}`).wantProblem(t, stream.InvalidRequest, 400)
	if len(*kept) > 0 {
		t.Fatal("a line that was cut off was stored")
	}
	res := cut("{\"data\":1}\n{\"data\":2}")
	var got batch
	res.json(t, &got)
	if res.StatusCode != 207 || got.Stored != 1 || got.Failed != 1 || got.Results[1]["line"] != 2.0 || len(*kept) != 1 {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestEachLineHasItsSchema(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	var got []string
	g.do(t, "POST /streams/s", `{"data":1,"schema":"A:1"}
{"data":1,"schema":"A:1"}
{"data":1,"schema":"B"}
{"data":1}
{"data":1,"schema":"\u0041:2"}`, ndjson)
	for _, rec := range *kept {
		got = append(got, rec.Schema.String())
	}
	if diff := cmp.Diff([]string{"A:1", "A:1", "B", "", "A:2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWindowBoundsWhatIsInFlight(t *testing.T) {
	describedAPI(t) // read outside of the bubbles, which share it
	for name, limits := range map[string]httpapi.Limits{
		"records": {WindowRecords: 5},
		"bytes":   {WindowBytes: 5*(4<<10) + 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testWindow(t, limits) })
		})
	}
}

// testWindow sends 100 lines that take 4 KiB each, and completes none before
// the gateway waits.
func testWindow(t *testing.T, limits httpapi.Limits) {
	g := newGateway(t, func(o *httpapi.Options) { o.Limits = limits })
	inFlight := make(chan func(stream.Report, error), 100)
	g.publisher.enqueue = func(_ context.Context, _ *stream.Outgoing, done func(stream.Report, error)) error {
		inFlight <- done
		return nil
	}
	line := `{"data":1,"headers":{"pad":"` + strings.Repeat("x", 3500) + `"}}` + "\n"
	answered := make(chan reply)
	go func() { answered <- g.do(t, "POST /streams/s", strings.Repeat(line, 100), ndjson) }()
	for stored := int64(0); stored < 100; {
		synctest.Wait()
		if n := len(inFlight); n != 5 {
			t.Fatalf("%d are in flight", n)
		}
		for range 5 {
			(<-inFlight)(stream.Report{Offset: stored, Timestamp: noon, Schema: "Order:1"}, nil)
			stored++
		}
	}
	if res := <-answered; res.StatusCode != 201 {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}

func TestLinesStayInOrder(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	var body bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&body, "{\"data\":%d,\"key\":\"%d\"}\n", i, i)
	}
	res := g.do(t, "POST /streams/s", body.String(), ndjson, "Accept: application/x-ndjson")
	if res.StatusCode != 200 {
		t.Fatal(res.StatusCode, res.body)
	}
	i := 0
	for line := range strings.Lines(res.body) {
		if i < 5000 && !strings.Contains(line, fmt.Sprintf(`"key":"%d"`, i)) {
			t.Fatalf("line %d: %s", i, line)
		}
		if i < 5000 && string((*kept)[i].Data) != fmt.Sprint(i) {
			t.Fatalf("record %d: %s", i, (*kept)[i].Data)
		}
		i++
	}
	if i != 5001 {
		t.Errorf("%d lines", i)
	}
}

// The lines of one request share what they learn about newest versions; other
// requests, and single records, ask for themselves.
func TestLinesShareWhatIsNewest(t *testing.T) {
	g := newGateway(t, nil).storing()
	var lines []*stream.Newest
	enqueue := g.publisher.enqueue
	g.publisher.enqueue = func(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
		lines = append(lines, rec.Newest)
		return enqueue(ctx, rec, done)
	}
	for range 2 {
		g.do(t, "POST /streams/s", "{\"data\":1}\n{\"data\":2}", ndjson)
	}
	if len(lines) != 4 || lines[0] == nil || lines[0] != lines[1] || lines[2] != lines[3] || lines[0] == lines[2] {
		t.Errorf("got %p", lines)
	}
	publish := g.publisher.publish
	g.publisher.publish = func(ctx context.Context, rec *stream.Outgoing) (stream.Report, error) {
		if rec.Newest != nil {
			t.Error("a single record remembers")
		}
		return publish(ctx, rec)
	}
	if res := g.do(t, "POST /streams/s", "1"); res.StatusCode != 201 {
		t.Errorf("got %d", res.StatusCode)
	}
}
