package main_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

// seenEvent is an event as a receiver has it: all attributes but datacontenttype
// in their canonical string form.
type seenEvent struct {
	Attributes map[string]string
	Type       string // datacontenttype
	Data       string
}

// eventVector is an event in some form, and what it is.
type eventVector struct {
	name    string
	headers [][2]string // of the request, or of the record
	body    string
	want    []seenEvent
}

// attributesOf gives the attributes that every vector has, and more.
func attributesOf(id string, more ...string) map[string]string {
	m := map[string]string{"specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext/subcontext", "id": id}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

func ceHeaders(id, contentType string, more ...string) [][2]string {
	h := [][2]string{{"ce-specversion", "1.0"}, {"ce-type", "com.example.someevent"}, {"ce-source", "/mycontext/subcontext"}, {"ce-id", id}}
	for i := 0; i < len(more); i += 2 {
		h = append(h, [2]string{more[i], more[i+1]})
	}
	if contentType != "" {
		h = append(h, [2]string{"Content-Type", contentType})
	}
	return h
}

func ceObject(id, more string) string {
	return fmt.Sprintf(`{"specversion":"1.0","type":"com.example.someevent","source":"/mycontext/subcontext","id":%q%s}`, id, more)
}

const (
	wholeType = "application/cloudevents+json"
	batchType = "application/cloudevents-batch+json"
	jsonType  = "application/json"
)

// httpVectors are the examples of CloudEvents' HTTP binding, and cases of what
// it and the JSON format ask for (1.0.2; the sections are named). Their data is
// JSON, as the gateway checks it.
func httpVectors() []eventVector {
	whole := func(more ...string) [][2]string {
		return [][2]string{{"Content-Type", strings.Join(append([]string{wholeType}, more...), "; ")}}
	}
	one := func(id, contentType, data string, more ...string) []seenEvent {
		return []seenEvent{{attributesOf(id, more...), contentType, data}}
	}
	const euro, emoji = "Euro € 😀", "%20"
	return []eventVector{
		{"3.1.4 binary, the example", ceHeaders("h1", "application/json; charset=utf-8", "ce-time", "2018-04-05T03:56:24Z"), `{"a":1}`, one("h1", "application/json; charset=utf-8", `{"a":1}`, "time", "2018-04-05T03:56:24Z")},
		{"3.1.3.2 percent-encoding, the example", ceHeaders("h2", jsonType, "ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"), "1", one("h2", jsonType, "1", "subject", euro)},
		{"3.1.3.2 percent-encoding in lower case", ceHeaders("h3", jsonType, "ce-subject", "Euro%20%e2%82%ac%20%f0%9f%98%80"), "1", one("h3", jsonType, "1", "subject", euro)},
		{"3.1.3.2 unneeded encoding", ceHeaders("h4", jsonType, "ce-subject", "%41%2d"), "1", one("h4", jsonType, "1", "subject", "A-")},
		{"3.1.3.2 decoded once", ceHeaders("h5", jsonType, "ce-subject", "%2520"), "1", one("h5", jsonType, "1", "subject", emoji)},
		{"3.1.3.2 quotes and percent", ceHeaders("h6", jsonType, "ce-subject", "a%22b%25c%20d"), "1", one("h6", jsonType, "1", "subject", `a"b%c d`)},
		{"3.1.3.2 a quoted string, of older senders", ceHeaders("h7", jsonType, "ce-subject", `"a \"b\""`), "1", one("h7", jsonType, "1", "subject", `a "b"`)},
		{"3.1.3.2 spaces as they are", ceHeaders("h8", jsonType, "ce-subject", "a b  c"), "1", one("h8", jsonType, "1", "subject", "a b  c")},
		{"3.1.3.1 extensions", ceHeaders("h9", jsonType, "ce-comexampleextension1", "value", "ce-n", "5", "ce-empty", ""), "1", one("h9", jsonType, "1", "comexampleextension1", "value", "n", "5", "empty", "")},
		{"3.1.1 another JSON type", ceHeaders("h10", "application/vnd.example+json;v=2"), "[]", one("h10", "application/vnd.example+json;v=2", "[]")},
		{"3.1.1 no type", ceHeaders("h11", ""), "true", one("h11", jsonType, "true")},
		{"3.1.2 data as it is", ceHeaders("h12", jsonType), " {\"a\" :\t1.0e400,\"\\u00fc\":\"ü\" }\n", one("h12", jsonType, " {\"a\" :\t1.0e400,\"\\u00fc\":\"ü\" }\n")},
		{"3.2.3 structured, the example", whole(), ceObject("s1", `,"time":"2018-04-05T03:56:24Z","datacontenttype":"application/json","data":{"a":1}`), one("s1", jsonType, `{"a":1}`, "time", "2018-04-05T03:56:24Z")},
		{"3.2.1 type with a parameter", whole("charset=UTF-8"), ceObject("s2", `,"data":1`), one("s2", jsonType, "1")},
		{"3.2.1 type with a quoted parameter, in capitals", [][2]string{{"Content-Type", `Application/CloudEvents+JSON;Charset="utf-8"`}}, ceObject("s3", `,"data":1`), one("s3", jsonType, "1")},
		{"3.2.3 structured, headers beside it", append(whole(), [2]string{"ce-id", "other"}, [2]string{"ce-specversion", "1.0"}), ceObject("s4", `,"data":1`), one("s4", jsonType, "1")},
		{"JSON 2.2 types of attributes, nulls", whole(), ceObject("s5", `,"i":-2147483648,"b":true,"unset":null,"subject":"\u20ac \ud83d\ude00","data":1`), one("s5", jsonType, "1", "i", "-2147483648", "b", "true", "subject", "€ 😀")},
		{"JSON 3.1.1 a string is JSON", whole(), ceObject("s6", `,"datacontenttype":"application/json","data":"I'm just a string"`), one("s6", jsonType, `"I'm just a string"`)},
		{"JSON 3.1.1 null is data", whole(), ceObject("s7", `,"data":null`), one("s7", jsonType, "null")},
		{"JSON 3.1.1 base64", whole(), ceObject("s8", `,"datacontenttype":"text/json","data_base64":"eyAiYSI6MSB9"`), one("s8", "text/json", `{ "a":1 }`)},
		{"3.3.4 batch, the example", [][2]string{{"Content-Type", "application/cloudevents-batch+json; charset=utf-8"}}, "[" + ceObject("b1", `,"data":1`) + ",\n" + ceObject("b2", `,"comexampleothervalue":5,"data":{"b":2}`) + "]", append(one("b1", jsonType, "1"), one("b2", jsonType, `{"b":2}`, "comexampleothervalue", "5")...)},
	}
}

// kafkaVectors are records as others write them, by CloudEvents' Kafka binding
// (1.0.2, section 3), with data of any kind. A header's value "\x00" is null.
func kafkaVectors() []eventVector {
	binary := func(id, contentType string, more ...string) [][2]string {
		h := [][2]string{{"ce_specversion", "1.0"}, {"ce_type", "com.example.someevent"}, {"ce_source", "/mycontext/subcontext"}, {"ce_id", id}}
		for i := 0; i < len(more); i += 2 {
			h = append(h, [2]string{more[i], more[i+1]})
		}
		return append(h, [2]string{"content-type", contentType})
	}
	whole := [][2]string{{"content-type", "application/cloudevents+json; charset=UTF-8"}}
	one := func(id, contentType, data string, more ...string) []seenEvent {
		return []seenEvent{{attributesOf(id, more...), contentType, data}}
	}
	return []eventVector{
		{"3.2 binary, the example", binary("k1", "application/avro", "ce_time", "2018-04-05T03:56:24Z"), "\x02\xff\x00avro", one("k1", "application/avro", "\x02\xff\x00avro", "time", "2018-04-05T03:56:24Z")},
		{"3.2.3 values in UTF-8", binary("k2", "text/plain; charset=utf-8", "ce_subject", "Euro € 😀 100%"), "ü", one("k2", "text/plain; charset=utf-8", "ü", "subject", "Euro € 😀 100%")},
		{"3.2 JSON, other headers beside", binary("k3", jsonType, "other", "x", "ce_nothing", "\x00", "ce_Bad", "x", "ce_empty", ""), "{}", one("k3", jsonType, "{}", "empty", "")},
		{"3.3 structured, the example", whole, ceObject("k4", `,"time":"2018-04-05T03:56:24Z","datacontenttype":"application/xml","data":"<a b=\"c\"/>"`), one("k4", "application/xml", `<a b="c"/>`, "time", "2018-04-05T03:56:24Z")},
		{"3.3 structured, JSON", whole, ceObject("k5", `,"subject":"\u20ac%20","comexampleothervalue":5,"on":false,"data": {"a" : 1e400}`), one("k5", jsonType, `{"a" : 1e400}`, "subject", "€%20", "comexampleothervalue", "5", "on", "false")},
		{"3.3 structured, bytes", whole, ceObject("k6", `,"datacontenttype":"application/octet-stream","data_base64":"`+base64.StdEncoding.EncodeToString([]byte{0xff, 0, '\n'})+`"`), one("k6", "application/octet-stream", "\xff\x00\n")},
	}
}

// sdkCannot are events that CloudEvents' own library for Go cannot read from
// their JSON, where the specification says otherwise.
var sdkCannot = map[string]string{
	"h10": "it takes data of a type that ends with +json for a string",
	"h12": "it takes no number beyond a float64",
	"k5":  "it takes no number beyond a float64",
}

// eventReceiver is an endpoint that keeps what comes, by path and id. Events in
// binary mode it reads with CloudEvents' own library, those in JSON itself and,
// to compare, with that library.
type eventReceiver struct {
	*httptest.Server

	mu    sync.Mutex
	seen  map[string]map[string]seenEvent
	wrong []error
}

func newEventReceiver(t *testing.T) *eventReceiver {
	r := &eventReceiver{seen: map[string]map[string]seenEvent{"/binary": {}, "/structured": {}, "/batch": {}}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *eventReceiver) take(w http.ResponseWriter, req *http.Request) {
	events, err := readEvents(req)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.wrong = append(r.wrong, fmt.Errorf("%s: %w", req.URL.Path, err))
	}
	for _, e := range events {
		r.seen[req.URL.Path][e.Attributes["id"]] = e
	}
	w.WriteHeader(http.StatusNoContent)
}

func readEvents(req *http.Request) ([]seenEvent, error) {
	if req.URL.Path == "/binary" {
		return readBinary(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	objects := []json.RawMessage{body}
	if want := map[string]string{"/structured": wholeType, "/batch": batchType}[req.URL.Path]; req.Header.Get("Content-Type") != want {
		return nil, fmt.Errorf("the type is %q", req.Header.Get("Content-Type"))
	}
	if req.URL.Path == "/batch" {
		if err := json.Unmarshal(body, &objects); err != nil {
			return nil, err
		}
	}
	var list []seenEvent
	for _, object := range objects {
		e, err := readObject(object)
		if err != nil {
			return nil, err
		}
		if sdkCannot[e.Attributes["id"]] == "" {
			var theirs event.Event
			if err := json.Unmarshal(object, &theirs); err != nil {
				return nil, err
			}
			if diff := cmp.Diff(seen(theirs), e); diff != "" {
				return nil, fmt.Errorf("the library (-) and this test (+) read %s otherwise:\n%s", object, diff)
			}
		}
		list = append(list, e)
	}
	return list, nil
}

// readBinary reads an event in binary mode. The library leaves out the decoding
// of section 3.1.3.2.
func readBinary(req *http.Request) ([]seenEvent, error) {
	theirs, err := cehttp.NewEventFromHTTPRequest(req)
	if err != nil {
		return nil, err
	}
	e := seen(*theirs)
	for name, values := range req.Header {
		if attribute, found := strings.CutPrefix(strings.ToLower(name), "ce-"); found {
			if e.Attributes[attribute], err = url.PathUnescape(values[0]); err != nil {
				return nil, err
			}
		}
	}
	return []seenEvent{e}, theirs.Validate()
}

// readObject reads an event in the JSON format, by its section 3.
func readObject(text []byte) (seenEvent, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return seenEvent{}, err
	}
	e := seenEvent{Attributes: map[string]string{}, Type: jsonType}
	for name, value := range members {
		var of string
		if json.Unmarshal(value, &of) != nil {
			of = string(value)
		}
		switch {
		case name == "datacontenttype":
			e.Type = of
		case name != "data" && name != "data_base64" && string(value) != "null":
			e.Attributes[name] = of
		}
	}
	if encoded, given := members["data_base64"]; given && string(encoded) != "null" {
		var data []byte // encoding/json takes base64 for it
		err := json.Unmarshal(encoded, &data)
		e.Data = string(data)
		return e, err
	}
	if strings.Contains(e.Type, "json") {
		e.Data = string(members["data"])
		return e, nil
	}
	return e, json.Unmarshal(members["data"], &e.Data)
}

// seen gives an event of the library's in plain words.
func seen(e event.Event) seenEvent {
	m := map[string]string{"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type()}
	if e.Subject() != "" {
		m["subject"] = e.Subject()
	}
	if !e.Time().IsZero() {
		m["time"] = types.FormatTime(e.Time())
	}
	for name, value := range e.Extensions() {
		text, err := types.Format(value)
		if err != nil {
			text = err.Error()
		}
		m[name] = text
	}
	contentType := e.DataContentType()
	if contentType == "" { // in JSON it may be left out
		contentType = jsonType
	}
	return seenEvent{m, contentType, string(e.Data())}
}

// await waits for an event, and says what is wrong with it.
func (r *eventReceiver) await(t *testing.T, path string, want seenEvent) {
	t.Helper()
	id := want.Attributes["id"]
	if path != "/binary" && strings.Contains(want.Type, "json") { // around a value there may be white space, or not
		want.Data = strings.TrimSpace(want.Data)
	}
	var got seenEvent
	kafkatest.Eventually(t, 2*patience, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		var came bool
		if got, came = r.seen[path][id]; !came {
			return fmt.Errorf("%s did not come to %s; %d others did: %w", id, path, len(r.seen[path]), errors.Join(r.wrong...))
		}
		return nil
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: want (-), got (+):\n%s", path, diff)
	}
}

// What is published in any mode of CloudEvents' HTTP binding, and what others
// wrote to Kafka in either mode of the Kafka binding, lies in Kafka as that
// binding wants it, and comes to endpoints as the same event, in each mode.
func TestCloudEventsBothWays(t *testing.T) {
	b := kafkatest.Embedded(t)
	r := newEventReceiver(t)
	g := pushGateway(t, b)
	g.register(t, "Any", "true")
	g.put(t, "/streams/events", `{"schema":"Any","envelope":false,"partitions":1}`).want(t, 201)
	foreign := b.Topic(t, "foreign", 1, nil)
	for path, settings := range map[string]string{
		"binary": `"view":"cloudevents"`, "structured": `"view":"cloudevents-structured"`, "batch": `"view":"cloudevents","batch":{"max_records":5}`,
	} {
		g.post(t, "/subscriptions", fmt.Sprintf(`{"id":%q,"streams":"events,foreign","from":"earliest","endpoint":{"url":%q},%s}`, path, r.URL+"/"+path, settings)).want(t, 201)
	}
	var all []eventVector
	for _, v := range httpVectors() {
		g.publishVector(t, v)
		all = append(all, v)
	}
	for i, rec := range b.Consume(t, b.Prefix()+"events", countEvents(all)) {
		checkStored(t, rec, eventAt(all, i))
	}
	for _, v := range kafkaVectors() {
		rec := &kgo.Record{Topic: foreign, Value: []byte(v.body)}
		for _, h := range v.headers {
			value := []byte(h[1])
			if h[1] == "\x00" {
				value = nil
			}
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: value})
		}
		b.Produce(t, rec)
		all = append(all, v)
	}
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			for _, want := range v.want {
				for _, path := range []string{"/binary", "/structured", "/batch"} {
					r.await(t, path, want)
				}
			}
		})
	}
}

func (g *gateway) publishVector(t *testing.T, v eventVector) {
	t.Helper()
	req := request{method: "POST", path: "/streams/events", body: v.body, header: map[string]string{}}
	for _, h := range v.headers {
		req.header[h[0]] = h[1]
	}
	if a := g.do(t, req); a.status != http.StatusCreated {
		t.Fatalf("%s: %d %s", v.name, a.status, a.body)
	}
}

func countEvents(vectors []eventVector) (n int) {
	for _, v := range vectors {
		n += len(v.want)
	}
	return n
}

func eventAt(vectors []eventVector, i int) seenEvent {
	for _, v := range vectors {
		if i < len(v.want) {
			return v.want[i]
		}
		i -= len(v.want)
	}
	return seenEvent{}
}

// checkStored holds a record against the Kafka binding's binary mode.
func checkStored(t *testing.T, rec *kgo.Record, want seenEvent) {
	t.Helper()
	got := seenEvent{Attributes: map[string]string{}, Data: string(rec.Value)}
	for _, h := range rec.Headers {
		if name, found := strings.CutPrefix(h.Key, "ce_"); found {
			got.Attributes[name] = string(h.Value)
		}
		if h.Key == "content-type" {
			got.Type = string(h.Value)
		}
	}
	if got.Type == "" { // the sender said none
		got.Type = jsonType
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s in Kafka: want (-), got (+):\n%s", want.Attributes["id"], diff)
	}
}
