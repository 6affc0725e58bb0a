package httpapi_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

const (
	structured = "Content-Type: application/cloudevents+json"
	batched    = "Content-Type: application/cloudevents-batch+json"
)

// placed is an event with every kind of attribute.
func placed(tb testing.TB) event.Event {
	tb.Helper()
	e := cloudevents.NewEvent()
	e.SetID("A234-1")
	e.SetSource("/orders/eu?x=1")
	e.SetType("com.example.order.placed")
	e.SetSubject("order 4711")
	e.SetTime(noon)
	e.SetDataSchema("https://example.com/order.json")
	e.SetExtension("partitionkey", "k1")
	e.SetExtension("retries", 3)
	e.SetExtension("sampled", true)
	if err := e.SetData("application/json", []byte(`{ "id" : 4711, "n": 1.0e2 }`)); err != nil {
		tb.Fatal(err)
	}
	return e
}

// decodeKafka reads a record as a consumer of CloudEvents' Kafka binding does,
// binary content mode.
func decodeKafka(tb testing.TB, rec stream.Outgoing) event.Event {
	tb.Helper()
	if !rec.Plain {
		tb.Error("the record could be put into an envelope")
	}
	e := cloudevents.NewEvent("1.0")
	contentType := ""
	for _, h := range rec.Headers {
		name, isAttribute := strings.CutPrefix(h.Name, "ce_")
		value := string(h.Value)
		switch {
		case h.Name == "content-type":
			contentType = value
		case !isAttribute:
		case name == "specversion":
			if value != "1.0" {
				tb.Errorf("specversion %q", value)
			}
		case name == "id":
			e.SetID(value)
		case name == "source":
			e.SetSource(value)
		case name == "type":
			e.SetType(value)
		case name == "subject":
			e.SetSubject(value)
		case name == "dataschema":
			e.SetDataSchema(value)
		case name == "time":
			t, err := time.Parse(time.RFC3339Nano, value)
			if err != nil {
				tb.Error(err)
			}
			e.SetTime(t)
		default:
			e.SetExtension(name, value)
		}
	}
	e.DataEncoded = rec.Data
	if contentType != "" {
		e.SetDataContentType(contentType)
	}
	if err := e.Validate(); err != nil {
		tb.Errorf("what lies in Kafka is no event: %v", err)
	}
	return e
}

// A real client sends an event, and what lies in Kafka is that event.
func TestCloudEventsFromTheirClient(t *testing.T) {
	for name, mode := range map[string]func(context.Context) context.Context{
		"binary": binding.WithForceBinary, "structured": binding.WithForceStructured,
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			kept := g.keep()
			s := g.serve(t)
			client, err := cloudevents.NewClientHTTP(cehttp.WithTarget(s.URL + "/streams/orders?schema=Order:1"))
			if err != nil {
				t.Fatal(err)
			}
			sent := placed(t)
			var res *cehttp.Result
			if err := client.Send(mode(t.Context()), sent); !cloudevents.ResultAs(err, &res) || res.StatusCode != 201 {
				t.Fatal(err)
			}
			rec := (*kept)[0]
			if string(rec.Key) != "k1" || rec.Schema.String() != "Order:1" || rec.Stream != "orders" {
				t.Errorf("%+v", rec)
			}
			if string(rec.Data) != string(sent.Data()) {
				t.Errorf("data %s", rec.Data)
			}
			// Kafka keeps no types of extensions: they are text, in canonical form.
			sent.SetExtension("retries", "3")
			sent.SetExtension("sampled", "true")
			sent.DataBase64 = false
			if diff := cmp.Diff(sent.String(), decodeKafka(t, rec).String()); diff != "" {
				t.Errorf("sent (-), in Kafka (+):\n%s", diff)
			}
		})
	}
}

func TestCloudEventsBatchFromTheirClient(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	s := g.serve(t)
	first, second := placed(t), placed(t)
	second.SetID("A234-2")
	second.SetExtension("partitionkey", "k2")
	req, err := cehttp.NewHTTPRequestFromEvents(t.Context(), s.URL+"/streams/orders?schema=Order", []event.Event{first, second})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 201 || len(*kept) != 2 {
		t.Fatal(res.Status, *kept)
	}
	for i, key := range []string{"k1", "k2"} {
		rec := (*kept)[i]
		e := decodeKafka(t, rec)
		// The SDK writes the JSON anew, without its spaces; the gateway does not.
		if e.ID() != fmt.Sprint("A234-", i+1) || string(rec.Key) != key || rec.Schema.String() != "Order" || !strings.Contains(string(rec.Data), "4711") {
			t.Errorf("%s: %+v", e, rec)
		}
	}
}

// headersOf gives the record's headers by name.
func headersOf(rec stream.Outgoing) map[string]string {
	m := map[string]string{}
	for _, h := range rec.Headers {
		m[h.Name] += string(h.Value)
	}
	return m
}

func TestCloudEventBinary(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	res := g.do(t, "POST /streams/s?key=mine&partition=2", " [1, 2]\n",
		"Content-Type: application/vnd.order+json; charset=utf-8",
		"Ce-Specversion: 1.0", "CE-ID: %E2%82%AC%20100%", "ce-Source: //host/a%2520b", `Ce-Type: "quoted \" type"`,
		"Ce-Partitionkey: theirs", "Ce-Comexampleext: ", "Ce-Time: 2026-01-31T12:00:00.5+01:00",
		"Kafka-Header-Source: shop", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if res.StatusCode != 201 || res.Header.Get("Location") != "/streams/s/records/2/42" {
		t.Fatal(res.StatusCode, res.body)
	}
	rec := (*kept)[0]
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "€ 100%", "ce_source": "//host/a%20b", "ce_type": `quoted " type`, "ce_partitionkey": "theirs",
		"ce_comexampleext": "", "ce_time": "2026-01-31T12:00:00.5+01:00", "content-type": "application/vnd.order+json; charset=utf-8",
		"source": "shop", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	if diff := cmp.Diff(want, headersOf(rec)); diff != "" {
		t.Error(diff)
	}
	if string(rec.Data) != " [1, 2]\n" || string(rec.Key) != "mine" || rec.Partition != 2 || !rec.Plain {
		t.Errorf("%+v", rec)
	}
}

func TestCloudEventStructured(t *testing.T) {
	const required = `"specversion":"1.0","id":"1","source":"s","type":"t"`
	tests := []struct {
		name, members, data string
		headers             map[string]string // beside the required ones
	}{
		{"data", `"data": { "a" : "\u00fc" , "b":1e0 } `, `{ "a" : "\u00fc" , "b":1e0 }`, map[string]string{"content-type": "application/json"}},
		{"null is data", `"data":null`, "null", map[string]string{"content-type": "application/json"}},
		{"null attributes", `"data":1,"subject":null,"time":null,"data_base64":null,"ext":null`, "1", map[string]string{"content-type": "application/json"}},
		{"base64", `"data_base64":"` + base64.StdEncoding.EncodeToString([]byte(` {"a":1}`)) + `","datacontenttype":"text/json"`, ` {"a":1}`, map[string]string{"content-type": "text/json"}},
		{"extensions", `"data":1,"b":false,"i":-2147483648,"s":"\"\\u00fc\" ü"`, "1", map[string]string{"content-type": "application/json", "ce_b": "false", "ce_i": "-2147483648", "ce_s": `"\u00fc" ü`}},
		{"a string", `"data":"text","subject":"x"`, `"text"`, map[string]string{"content-type": "application/json", "ce_subject": "x"}},
	}
	for _, test := range tests {
		g := newGateway(t, nil)
		kept := g.keep()
		res := g.do(t, "POST /streams/s", "{"+required+","+test.members+"}", structured+"; charset=utf-8", "Ce-Id: ignored")
		if res.StatusCode != 201 {
			t.Errorf("%s: %d %s", test.name, res.StatusCode, res.body)
			continue
		}
		rec := (*kept)[0]
		test.headers["ce_specversion"], test.headers["ce_id"], test.headers["ce_source"], test.headers["ce_type"] = "1.0", "1", "s", "t"
		if diff := cmp.Diff(test.headers, headersOf(rec)); diff != "" || string(rec.Data) != test.data || rec.Key != nil {
			t.Errorf("%s: %q, key %q, headers %s", test.name, rec.Data, rec.Key, diff)
		}
	}
}

func TestCloudEventTombstones(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	binary := []string{"Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Source: s", "Ce-Type: t", "Ce-Partitionkey: k"}
	if res := g.do(t, "POST /streams/s?tombstone=true", "", binary...); res.StatusCode != 201 {
		t.Fatal(res.body)
	}
	if res := g.do(t, "POST /streams/s?tombstone=true&key=k", `{"specversion":"1.0","id":"1","source":"s","type":"t"}`, structured); res.StatusCode != 201 {
		t.Fatal(res.body)
	}
	for _, rec := range *kept {
		if !rec.Tombstone || rec.Data != nil || string(rec.Key) != "k" || headersOf(rec)["ce_id"] != "1" {
			t.Errorf("%+v", rec)
		}
	}
	g.do(t, "POST /streams/s?tombstone=true", "1", binary...).wantProblem(t, stream.InvalidRecord, 422)
	g.do(t, "POST /streams/s?tombstone=true", "", binary[:4]...).wantProblem(t, stream.InvalidRecord, 422)
	if len(*kept) != 2 {
		t.Error("stored")
	}
}

func TestCloudEventsRefused(t *testing.T) {
	event := func(members string) string {
		return `{"specversion":"1.0","id":"1","source":"s","type":"t",` + members + `}`
	}
	binary := func(more ...string) []string {
		return append([]string{"Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Source: s", "Ce-Type: t"}, more...)
	}
	tests := []struct {
		name, body string
		headers    []string
		status     int
		says       []string // the details of errors; with one, the detail
	}{
		{"everything missing", `{}`, []string{structured}, 422, []string{"#/specversion specversion is missing", "#/id id is missing", "#/source source is missing", "#/type type is missing", "# the event has no data"}},
		{
			"everything wrong", `{"specversion":"0.3","id":"","source":"a b","type":7,"subject":"","time":"yesterday","dataschema":"/relative","datacontenttype":"text/plain","Up":"x","data":1}`,
			[]string{structured},
			422,
			[]string{"#/type type is no value", `#/specversion specversion is "1.0"`, "#/id id is empty", "#/source source is not a URI", "#/subject subject is empty", "#/time time is not", "#/dataschema dataschema is not a URI", "#/datacontenttype datacontenttype is not JSON", "#/Up Up is no attribute"},
		},
		{"binary, everything missing but one", "", []string{"Ce-Id: 1"}, 422, []string{"# ce-specversion is missing", "# ce-source is missing", "# ce-type is missing", "# the event has no data"}},
		{"binary, no data", "", binary(), 422, []string{"no data"}},
		{"binary, twice", "1", binary("Ce-Id: 2"), 422, []string{"ce-id is given more than once"}},
		{"binary, name", "1", binary("Ce-My-Ext: 2"), 422, []string{"ce-my-ext is no attribute"}},
		{"binary, overlong encoding", "1", binary("Ce-X: %C0%A0"), 422, []string{"ce-x is not UTF-8"}},
		{"binary, control character", "1", binary("Ce-X: a%00"), 422, []string{"ce-x has characters"}},
		{"binary, data", "1", binary("Ce-Data: 1"), 422, []string{"ce-data is no name"}},
		{"binary, type twice", "1", binary("Ce-Datacontenttype: text/plain"), 422, []string{"the Content-Type"}},
		{"binary, its record headers", "1", binary("Kafka-Header-Ce_id: 2", "Kafka-Header-Content-Type: x"), 422, []string{"# the record headers ce_", "# the record headers ce_"}},
		{"binary, reserved header", "1", binary("Kafka-Header-Sluice_schema: X:1"), 422, nil},
		{"binary, text", "1", binary("Content-Type: text/plain"), 415, nil},
		{"binary, Latin 1", "1", binary("Content-Type: application/json; charset=latin1"), 415, nil},
		{"binary, lines", "{}", binary(ndjson), 415, nil},
		{"avro", "1", []string{"Content-Type: application/cloudevents+avro"}, 415, nil},
		{"data twice", event(`"data":1,"data_base64":"MQ=="`), []string{structured}, 422, []string{"data_base64 is given beside"}},
		{"base64 of no JSON", event(`"data_base64":"/w=="`), []string{structured}, 422, []string{"does not stand for a JSON text"}},
		{"no base64", event(`"data_base64":"ä"`), []string{structured}, 422, []string{"is not base64"}},
		{"a number too large", event(`"data":1,"n":2147483648`), []string{structured}, 422, []string{"n is no value"}},
		{"a fraction", event(`"data":1,"n":1.5`), []string{structured}, 422, []string{"n is no value"}},
		{"an object", event(`"data":1,"n":{}`), []string{structured}, 422, []string{"n is no value"}},
		{"noncharacter", event(`"data":1,"n":"\ufffe"`), []string{structured}, 422, []string{"n has characters"}},
		{"a name that is long", event(`"data":1,"` + strings.Repeat("X", 5000) + `":"x"`), []string{structured}, 422, []string{"an attribute is no"}},
		{"a name twice", event(`"data":1,"n":"1","n":"2"`), []string{structured}, 400, nil},
		{"truncated", `{"specversion":"1.0",`, []string{structured}, 400, nil},
		{"trailing", event(`"data":1`) + "x", []string{structured}, 400, nil},
		{"an array", "[" + event(`"data":1`) + "]", []string{structured}, 400, nil},
		{"no body", "", []string{structured}, 400, nil},
		{"larger than a record", event(`"data":"` + strings.Repeat("x", 1024) + `"`), []string{structured}, 413, nil},
		{"batch, an object", event(`"data":1`), []string{batched}, 400, nil},
		{"batch, nothing", "[]", []string{batched}, 400, nil},
		{"batch, no body", "", []string{batched}, 400, nil},
		{"batch, cut off", "[" + event(`"data":1`) + ",", []string{batched}, 400, nil},
		{"batch, trailing", "[" + event(`"data":1`) + "] 1", []string{batched}, 400, nil},
		{"batch, a name twice in the last", "[" + event(`"data":1`) + `,{"a":1,"a":2}]`, []string{batched}, 400, nil},
		{"batch, record headers", "[" + event(`"data":1`) + "]", []string{batched, "Kafka-Header-A: 1"}, 400, nil},
		{"batch, too large", "[" + event(`"data":"`+strings.Repeat("x", 4096)+`"`) + "]", []string{batched}, 413, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t, func(o *httpapi.Options) { o.Limits.Record, o.Limits.Body = 1024, 4096 })
			kept := g.keep()
			code := map[int]stream.Code{400: "", 413: stream.TooLarge, 415: stream.UnsupportedType, 422: stream.InvalidRecord}[test.status]
			res := g.do(t, "POST /streams/s", test.body, test.headers...)
			if code == "" {
				var p problem
				res.json(t, &p)
				code = stream.Code(strings.TrimPrefix(p.Type, "/problems/"))
			}
			p := res.wantProblem(t, code, test.status)
			if p.Outcome != "not_stored" || len(*kept) > 0 || len(res.body) > 4000 {
				t.Errorf("outcome %q, stored %v, %d bytes", p.Outcome, *kept, len(res.body))
			}
			if len(test.says) == 1 {
				if !strings.Contains(p.Detail, test.says[0]) || len(p.Errors) != 1 {
					t.Errorf("%+v", p)
				}
				return
			}
			var got []string
			for i, v := range p.Errors {
				text := v.Pointer + " " + v.Detail
				if i < len(test.says) {
					text = text[:min(len(text), len(test.says[i]))]
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(test.says, got); test.says != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCloudEventsBatchResults(t *testing.T) {
	body := `[{"specversion":"1.0","id":"1","source":"s","type":"t","data":1},
		{"specversion":"1.0","id":"2","source":"s","type":"t"}, 7,
		{"specversion":"1.0","id":"3","source":"s","type":"t","partitionkey":"k","data":{"big":"` + strings.Repeat("x", 1024) + `"}},
		{"specversion":"1.0","id":"4","source":"s","type":"t","data":2}]`
	g := newGateway(t, func(o *httpapi.Options) { o.Limits.Record = 1024 })
	kept := g.keep()
	res := g.do(t, "POST /streams/s?schema=Order:2", body, batched)
	var got batch
	res.json(t, &got)
	if res.StatusCode != 207 || got.Stored != 2 || got.Failed != 3 {
		t.Fatal(res.StatusCode, res.body)
	}
	var kinds []string
	for _, r := range got.Results {
		kinds = append(kinds, strings.TrimSpace(fmt.Sprintln(r["type"], r["line"], r["outcome"])))
	}
	if diff := cmp.Diff([]string{"<nil> <nil> <nil>", "/problems/invalid-record 2 not_stored", "/problems/invalid-request 3 not_stored", "/problems/too-large 4 not_stored", "<nil> <nil> <nil>"}, kinds); diff != "" {
		t.Error(diff)
	}
	for _, rec := range *kept {
		if !rec.Plain || rec.Schema.String() != "Order:2" {
			t.Errorf("%+v", rec)
		}
	}
	streamed := g.do(t, "POST /streams/s", body, batched, "Accept: application/x-ndjson")
	if streamed.StatusCode != 200 || !strings.HasSuffix(streamed.body, `{"stored":2,"failed":3}`+"\n") {
		t.Error(streamed.StatusCode, streamed.body)
	}
	for _, query := range []string{"key=k", "partition=1", "tombstone=true", "schema=a+b"} {
		g.do(t, "POST /streams/s?"+query, body, batched).wantProblem(t, stream.InvalidRequest, 400)
	}
}

func TestCloudEventWithoutWaiting(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	res := g.do(t, "POST /streams/s", `{"specversion":"1.0","id":"1","source":"s","type":"t","data":1}`, structured, "Prefer: respond-async")
	if res.StatusCode != 202 || len(*kept) != 1 || !(*kept)[0].Plain {
		t.Error(res.StatusCode, res.body, *kept)
	}
	// The record's memory is used again: what was an event leaves nothing behind.
	g.do(t, "POST /streams/s", "1")
	if rec := (*kept)[1]; rec.Plain || len(rec.Headers) > 0 {
		t.Errorf("%+v", rec)
	}
}
