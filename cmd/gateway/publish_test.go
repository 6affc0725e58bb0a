package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

func TestPublishOneRecord(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		g.register(t, "Order", order, "orders.eu")
		b.DeleteLater(t, b.Prefix()+"orders.eu", b.Prefix()+"_sluice.schemas")
		g.put(t, "/streams/orders.eu", `{"partitions":3}`).want(t, 200)

		// What the client sends is what lies in Kafka, to the byte.
		data := "{ \"id\" : 7,\n\t\"n\":1.0e2, \"s\":\"\\u00fc ü\" }"
		a := g.do(t, request{"POST", "/streams/orders.eu?key=k%201&partition=2&timestamp=2026-01-31T12:00:00.123Z", data, map[string]string{
			"Content-Type": "application/json", "Kafka-Header-Source": "test ü", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		}})
		got := a.want(t, 201)
		want := map[string]any{
			"stream": "orders.eu", "partition": json.Number("2"), "offset": json.Number("0"), "timestamp": "2026-01-31T12:00:00.123Z", "key": "k 1",
			"headers": map[string]any{"source": "test ü", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
			"schema":  "Order:1",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("answer (-want +got):\n%s", d)
		}
		at := a.header.Get("Location")
		if at != "/streams/orders.eu/records/2/0" {
			t.Errorf("got Location %q", at)
		}
		stored := b.Consume(t, b.Prefix()+"orders.eu", 1)[0]
		if want := `{"schema":"Order:1","data":` + data + `}`; string(stored.Value) != want {
			t.Errorf("got value %q, want %q", stored.Value, want)
		}
		if string(stored.Key) != "k 1" || stored.Timestamp.UnixMilli() != 1769860800123 {
			t.Errorf("got key %q, timestamp %v", stored.Key, stored.Timestamp)
		}
		read := g.get(t, at).want(t, 200)
		want["data"] = map[string]any{"id": json.Number("7"), "n": json.Number("1.0e2"), "s": "ü ü"}
		if d := cmp.Diff(want, read); d != "" {
			t.Errorf("read (-want +got):\n%s", d)
		}

		// What was read can be published again.
		again := g.do(t, request{"POST", "/streams/orders.eu", g.get(t, at).body + "\n", map[string]string{"Content-Type": "application/x-ndjson"}})
		again.want(t, 201)
		if second := g.get(t, "/streams/orders.eu/records/2/1").want(t, 200); second["offset"] != json.Number("1") {
			t.Errorf("got %v", second)
		} else if second["offset"] = json.Number("0"); !cmp.Equal(read, second) {
			t.Errorf("published again (-first +second):\n%s", cmp.Diff(read, second))
		}
	})
}

func TestPublishTombstones(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		g.register(t, "Order", order, "state")
		b.DeleteLater(t, b.Prefix()+"state", b.Prefix()+"_sluice.schemas")
		a := g.do(t, request{"POST", "/streams/state?key=k&tombstone=true", "", nil})
		a.want(t, 201)
		got := g.get(t, a.header.Get("Location")).want(t, 200)
		if v, there := got["value"]; !there || v != nil || got["key"] != "k" || got["schema"] != nil {
			t.Errorf("got %v", got)
		}
		if r := b.Consume(t, b.Prefix()+"state", 1)[0]; r.Value != nil {
			t.Errorf("got value %q", r.Value)
		}
		g.post(t, "/streams/state?tombstone=true", "").problem(t, 422, "invalid-record")
		g.post(t, "/streams/state?key=k&tombstone=true", "{}").problem(t, 422, "invalid-record")
	})
}

func TestPublishManyLines(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		g.register(t, "Order", order, "lines")
		b.DeleteLater(t, b.Prefix()+"lines", b.Prefix()+"_sluice.schemas")
		lines := func(accept, body string) answer {
			h := map[string]string{"Content-Type": "application/x-ndjson"}
			if accept != "" {
				h["Accept"] = accept
			}
			return g.do(t, request{"POST", "/streams/lines", body, h})
		}
		mixed := `{"key":"a","data":{"id":1}}` + "\r\n" + `{"key":"a","data":{"id":"x"}}` + "\n\n" + `nonsense` + "\n" + `{"key":"a","headers":{"h":["1",null,{"base64":"/w=="}]},"data":{"id":2}}`
		got := lines("", mixed).want(t, 207)
		if got["stored"] != json.Number("2") || got["failed"] != json.Number("2") {
			t.Errorf("got %v", got)
		}
		var kinds []string
		for _, r := range got["results"].([]any) {
			r := r.(map[string]any)
			kinds = append(kinds, fmt.Sprint(r["type"], r["line"], r["offset"]))
		}
		if d := cmp.Diff([]string{"<nil> <nil>0", "/problems/schema-violation2<nil>", "/problems/malformed-json4<nil>", "<nil> <nil>1"}, kinds); d != "" {
			t.Errorf("results (-want +got):\n%s", d)
		}
		lines("", `{"data":{}}`+"\n"+`{"data":[]}`).want(t, 422)
		streamed := lines("application/x-ndjson", strings.Repeat(`{"key":"a","data":{"id":3}}`+"\n", 2500))
		if streamed.status != 200 || !strings.HasPrefix(streamed.header.Get("Content-Type"), "application/x-ndjson") {
			t.Fatalf("got %d %s", streamed.status, streamed.header.Get("Content-Type"))
		}
		out := strings.Split(strings.TrimSpace(streamed.body), "\n")
		if len(out) != 2501 || !strings.Contains(out[2500], `"stored":2500`) {
			t.Fatalf("got %d lines, the last %s", len(out), out[len(out)-1])
		}
		for i, line := range out[:2500] {
			if !strings.Contains(line, fmt.Sprintf(`"offset":%d,`, i+2)) {
				t.Fatalf("line %d is %s", i, line)
			}
		}
		if many := lines("", strings.Repeat(`{"key":"a","data":{"id":3}}`+"\n", 1200)).want(t, 201); many["stored"] != json.Number("1200") {
			t.Errorf("got %v", many)
		}
		if n := len(b.Consume(t, b.Prefix()+"lines", 3702)); n != 3702 {
			t.Errorf("got %d records", n)
		}
	})
}

func TestPublishWithoutWaiting(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		g.register(t, "Order", order, "async")
		b.DeleteLater(t, b.Prefix()+"async", b.Prefix()+"_sluice.schemas")
		prefer := map[string]string{"Prefer": "respond-async"}
		a := g.do(t, request{"POST", "/streams/async", `{"id":1}`, prefer})
		if a.want(t, 202); a.header.Get("Preference-Applied") != "respond-async" {
			t.Errorf("got Preference-Applied %q", a.header.Get("Preference-Applied"))
		}
		g.do(t, request{"POST", "/streams/async", `{"id":"x"}`, prefer}).problem(t, 422, "schema-violation")
		b.Consume(t, b.Prefix()+"async", 1)
	})
}

func TestPublishWithoutAnEnvelope(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		g.register(t, "Order", order)
		b.DeleteLater(t, b.Prefix()+"_sluice.schemas")
		topic := b.Topic(t, "plain", 1, nil)
		g.put(t, "/streams/plain", `{"schema":"Order:1","envelope":false}`).want(t, 200)
		g.do(t, request{"POST", "/streams/plain", ` {"id":1}`, map[string]string{"Kafka-Header-A": "1"}}).want(t, 201)
		r := b.Consume(t, topic, 1)[0]
		want := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "sluice_schema", Value: []byte("Order:1")}}
		if d := cmp.Diff(want, r.Headers); d != "" || string(r.Value) != ` {"id":1}` {
			t.Errorf("got value %q, headers (-want +got):\n%s", r.Value, d)
		}
		got := g.get(t, "/streams/plain/records/0/0").want(t, 200)
		if got["schema"] != "Order:1" || !cmp.Equal(got["headers"], map[string]any{"a": "1"}) {
			t.Errorf("got %v", got)
		}
	})
}

// A stream is made by its first record, with the schema's retention; an
// existing topic is never bound by a publish.
func TestPublishMakesStreams(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		b.DeleteLater(t, b.Prefix()+"new.one", b.Prefix()+"_sluice.schemas")
		g.post(t, "/schemas/Kept/versions", `{"schema":true,"retention":"7d"}`).want(t, 201)
		g.post(t, "/streams/new.one", `{}`).problem(t, 404, "unknown-stream")
		g.post(t, "/streams/new.one?schema=Nope", `{}`).problem(t, 404, "unknown-schema")
		g.post(t, "/streams/new.one?schema=Kept:1", `{}`).want(t, 201)
		got := g.get(t, "/streams/new.one").want(t, 200)
		if got["schema"] != "Kept:1" || got["retention"] != "7d" {
			t.Errorf("got %v", got)
		}
		g.post(t, "/streams/new_one?schema=Kept", `{}`).problem(t, 409, "name-collision")
		g.register(t, "Other", "true")
		g.post(t, "/streams/new.one?schema=Other", `{}`).problem(t, 409, "schema-mismatch")

		b.Topic(t, "theirs", 1, nil)
		g.post(t, "/streams/theirs?schema=Kept", `{}`).problem(t, 409, "unbound-stream")
		g.post(t, "/streams/theirs", `{}`).problem(t, 409, "unbound-stream")
		if s := g.get(t, "/streams/theirs").want(t, 200); s["schema"] != nil {
			t.Errorf("the topic was bound: %v", s)
		}
	})
}

func TestPublishRefuses(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		g.register(t, "Order", order, "strict")
		b.DeleteLater(t, b.Prefix()+"strict", b.Prefix()+"_sluice.schemas")
		b.Topic(t, "small", 1, map[string]string{"max.message.bytes": "500"})
		g.put(t, "/streams/small", `{"schema":"Order"}`).want(t, 200)
		for _, tc := range []struct {
			name   string
			r      request
			status int
			slug   string
		}{
			{"violation", request{"POST", "/streams/strict", `{"id":1.5}`, nil}, 422, "schema-violation"},
			{"not JSON", request{"POST", "/streams/strict", `{"id":1`, nil}, 400, "malformed-json"},
			{"two values", request{"POST", "/streams/strict", `{"id":1} {}`, nil}, 400, "malformed-json"},
			{"a name twice", request{"POST", "/streams/strict", `{"id":1,"id":2}`, nil}, 400, "malformed-json"},
			{"no body", request{"POST", "/streams/strict", ``, nil}, 400, "malformed-json"},
			{"a big number", request{"POST", "/streams/strict", `{"id":1e400000000}`, nil}, 422, "invalid-record"},
			{"beyond the record limit", request{"POST", "/streams/strict", `"` + strings.Repeat("x", 1<<20) + `"`, nil}, 413, "too-large"},
			{"beyond the topic's limit", request{"POST", "/streams/small", `{"id":1,"x":"` + strings.Repeat("x", 600) + `"}`, nil}, 413, "too-large"},
			{"partition out of range", request{"POST", "/streams/strict?partition=9", `{"id":1}`, nil}, 422, "invalid-record"},
			{"partition negative", request{"POST", "/streams/strict?partition=-1", `{"id":1}`, nil}, 400, "invalid-request"},
			{"partition no number", request{"POST", "/streams/strict?partition=x", `{"id":1}`, nil}, 400, "invalid-request"},
			{"bad timestamp", request{"POST", "/streams/strict?timestamp=yesterday", `{"id":1}`, nil}, 400, "invalid-request"},
			{"unknown parameter", request{"POST", "/streams/strict?kay=1", `{"id":1}`, nil}, 400, "invalid-request"},
			{"unknown version", request{"POST", "/streams/strict?schema=Order:9", `{"id":1}`, nil}, 404, "unknown-schema"},
			{"bad schema", request{"POST", "/streams/strict?schema=Order:x", `{"id":1}`, nil}, 400, "invalid-request"},
			{"media type", request{"POST", "/streams/strict", `<id/>`, map[string]string{"Content-Type": "text/xml"}}, 415, "unsupported-type"},
			{"stream id", request{"POST", "/streams/%2e%2e", `{}`, nil}, 400, "invalid-request"},
			{"slash", request{"POST", "/streams/a%2Fb", `{}`, nil}, 400, "invalid-request"},
			{"NUL", request{"POST", "/streams/a%00b", `{}`, nil}, 400, "invalid-request"},
			{"underscore", request{"POST", "/streams/_sluice.schemas", `{}`, nil}, 400, "invalid-request"},
			{"too long", request{"POST", "/streams/" + strings.Repeat("x", 250), `{}`, nil}, 400, "invalid-request"},
			{"reserved header", request{"POST", "/streams/strict", `{"id":1}`, map[string]string{"Kafka-Header-Sluice_schema": "X:1"}}, 422, "invalid-record"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				p := g.do(t, tc.r).problem(t, tc.status, tc.slug)
				if p["outcome"] != "not_stored" {
					t.Errorf("got outcome %v", p["outcome"])
				}
				if len(p["detail"].(string)) > 500 || strings.Contains(p["detail"].(string), "ckafka") {
					t.Errorf("got detail %q", p["detail"])
				}
			})
		}
		// Nothing of all that was stored: the next record is the first.
		if got := g.post(t, "/streams/strict", `{"id":1}`).want(t, 201); got["offset"] != json.Number("0") {
			t.Errorf("got %v", got)
		}
		if strings.Contains(g.log.String(), strings.Repeat("x", 50)) {
			t.Error("a payload is in the log")
		}
	})
}

func TestPublishWhenTheQueueIsToldToBeSmall(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b, "--kafka-settings", `{"queue.buffering.max.messages":1,"linger.ms":200}`)
	g.register(t, "Order", order, "tiny")
	statuses := make(chan answer, 20)
	for range cap(statuses) {
		go func() {
			a, err := g.try(t.Context(), request{"POST", "/streams/tiny", `{"id":1}`, nil})
			if err != nil {
				a.body = err.Error()
			}
			statuses <- a
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		a := <-statuses
		count[a.status]++
		if a.status == 503 {
			a.problem(t, 503, "overloaded")
			if a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	}
	if count[201] == 0 || count[503] == 0 || count[201]+count[503] != cap(statuses) {
		t.Errorf("got %v", count)
	}
	if n := len(b.Consume(t, b.Prefix()+"tiny", count[201])); n != count[201] {
		t.Errorf("got %d records, want %d", n, count[201])
	}
}

func TestPublishWhileKafkaIsAway(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	g.register(t, "Order", order, "away")
	g.post(t, "/streams/away", `{"id":1}`).want(t, 201)
	b.Stop(t)
	kafkatest.Eventually(t, patience, func() error {
		if a := g.get(t, "/health/ready"); a.status != 503 {
			return fmt.Errorf("still ready: %s", a.body)
		}
		return nil
	})
	a := g.post(t, "/streams/away", `{"id":2}`)
	if p := a.problem(t, 503, "kafka-unavailable"); p["outcome"] != "not_stored" || a.header.Get("Retry-After") == "" {
		t.Errorf("got %v, Retry-After %q", p, a.header.Get("Retry-After"))
	}
	g.get(t, "/streams").problem(t, 503, "kafka-unavailable")
	g.get(t, "/health/live").want(t, 200)
	b.Start(t)
	g.awaitReady(t)
	if got := g.post(t, "/streams/away", `{"id":3}`).want(t, 201); got["offset"] != json.Number("1") {
		t.Errorf("got %v: nothing was to be queued while Kafka was away", got)
	}
}
