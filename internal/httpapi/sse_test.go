package httpapi_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

const somewhere = "p1.u3SZ0h8BKyVb"

func TestFramesOfEachView(t *testing.T) {
	full := stream.Record{
		Stream: "orders.eu", Partition: 3, Offset: 42, Timestamp: noon, Key: []byte("k1"), Schema: "Order:1",
		Data: []byte("{\n  \"note\": \"a  b\"\n}"), Value: []byte("{\"schema\":\"Order:1\",\n\"data\":{}}"),
	}
	noJSON := stream.Record{Stream: "s", Offset: 1, Timestamp: noon, Value: []byte("hello\r\nworld\r")}
	binary := stream.Record{Stream: "s", Offset: 1, Timestamp: noon, Value: []byte{0xff, '\n'}}
	tombstone := stream.Record{Stream: "s", Offset: 2, Timestamp: noon, Key: []byte("k")}
	empty := stream.Record{Stream: "s", Offset: 2, Timestamp: noon, Value: []byte{}}
	object := func(rest string) string {
		return `{"stream":"s","partition":0,"offset":` + rest
	}
	at := `"timestamp":"2026-01-31T12:00:00.123Z",`
	for name, tc := range map[string]struct {
		view   string
		record stream.Record
		want   pageEvent
	}{
		"record":               {"record", full, pageEvent{"message", `{"stream":"orders.eu","partition":3,"offset":42,` + at + `"key":"k1","headers":{},"schema":"Order:1","data":{"note":"a  b"}}`, somewhere}},
		"record, no JSON":      {"record", noJSON, pageEvent{"message", object(`1,` + at + `"key":null,"headers":{},"schema":null,"value":{"base64":"aGVsbG8NCndvcmxkDQ=="}}`), somewhere}},
		"record, tombstone":    {"record", tombstone, pageEvent{"message", object(`2,` + at + `"key":"k","headers":{},"schema":null,"value":null}`), somewhere}},
		"data":                 {"data", full, pageEvent{"message", `{"note":"a  b"}`, somewhere}},
		"data, no JSON":        {"data", noJSON, pageEvent{"record", object(`1,` + at + `"key":null,"headers":{},"schema":null,"value":{"base64":"aGVsbG8NCndvcmxkDQ=="}}`), somewhere}},
		"data, tombstone":      {"data", tombstone, pageEvent{"record", object(`2,` + at + `"key":"k","headers":{},"schema":null,"value":null}`), somewhere}},
		"value":                {"value", full, pageEvent{"message", "{\"schema\":\"Order:1\",\n\"data\":{}}", somewhere}},
		"value, line ends":     {"value", noJSON, pageEvent{"message", "hello\nworld\n", somewhere}},
		"value, not UTF-8":     {"value", binary, pageEvent{"record", object(`1,` + at + `"key":null,"headers":{},"schema":null,"value":{"base64":"/wo="}}`), somewhere}},
		"value, tombstone":     {"value", tombstone, pageEvent{"record", object(`2,` + at + `"key":"k","headers":{},"schema":null,"value":null}`), somewhere}},
		"value, nothing in it": {"value", empty, pageEvent{"message", "", somewhere}},
	} {
		frame := framesOf(t, tc.view).Record([]byte("before"), &tc.record, []byte(somewhere))
		text, kept := strings.CutPrefix(string(frame), "before")
		if !kept || !strings.HasPrefix(text, "id: "+somewhere+"\n") {
			t.Errorf("%s: %q", name, frame)
		}
		got := parseEvents(text)
		if diff := cmp.Diff([]pageEvent{tc.want}, got.events, cmp.AllowUnexported(pageEvent{})); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", name, diff)
		}
	}
}

func TestFrameOfAGap(t *testing.T) {
	gap := stream.Gap{Partition: stream.Partition{Stream: "orders.eu", Number: 3}, From: 10, To: 5}
	want := []pageEvent{{"gap", `{"stream":"orders.eu","partition":3,"from":10,"to":5}`, somewhere}}
	for _, view := range []string{"record", "data", "value"} {
		got := parseEvents(string(framesOf(t, view).Gap(nil, gap, []byte(somewhere)))).events
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(pageEvent{})); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", view, diff)
		}
	}
}

func TestFramesAllocateNothing(t *testing.T) {
	rec := stream.Record{
		Stream: "orders.eu", Partition: 3, Offset: 42, Timestamp: noon, Key: []byte("k1"), Schema: "Order:1",
		Headers: []stream.Header{{Name: "source", Value: []byte("shop")}},
		Data:    []byte("{\n\"note\": \"a\"\n}"), Value: []byte("a\nb"),
	}
	dst, position := make([]byte, 0, 4096), []byte(somewhere)
	for _, view := range []string{"record", "data", "value"} {
		frames := framesOf(t, view)
		if n := testing.AllocsPerRun(100, func() { dst = frames.Record(dst[:0], &rec, position) }); n > 0 {
			t.Errorf("%s: %v allocations", view, n)
		}
	}
}

// What is published is what a page reads, whatever is in it: in view value but
// for the kind of line ends, in view data but for white space.
func FuzzEventFrames(f *testing.F) {
	for _, s := range []string{"", " ", "\n", "\r", "\r\n", "a\rb\r\n\nc", "data: x\n\nid: evil\nevent: end\n", "\uFEFF", "\x00", "{\"a\" :\r[1,\n\"\\n\"]}", ": x", "\xff", "a\u2028b"} {
		f.Add([]byte(s))
	}
	value, data, whole := framesOf(f, "value"), framesOf(f, "data"), framesOf(f, "record")
	f.Fuzz(func(t *testing.T, content []byte) {
		rec := stream.Record{Stream: "s", Timestamp: noon, Value: content}
		rec.Interpret()
		text := string(value.Record(nil, &rec, []byte(somewhere)))
		want := pageEvent{"message", strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(content)), somewhere}
		if utf8.Valid(content) {
			onlyEvent(t, text, want)
		}
		if rec.Data == nil || bytes.Contains(content, []byte("\\u")) { // jsontext judges surrogates otherwise than encoding/json
			return
		}
		compact := jsontext.Value(bytes.Clone(rec.Data))
		if err := compact.Compact(jsontext.AllowDuplicateNames(true)); err != nil {
			return
		}
		got := parseEvents(string(data.Record(nil, &rec, []byte(somewhere)))).events
		if len(got) != 1 || got[0].name != "message" || got[0].lastID != somewhere {
			t.Fatalf("%q: %+v", content, got)
		}
		again := jsontext.Value(got[0].data)
		if err := again.Compact(jsontext.AllowDuplicateNames(true)); err != nil || string(again) != string(compact) {
			t.Errorf("%q: got %q, %v", content, again, err)
		}
		object := parseEvents(string(whole.Record(nil, &rec, []byte(somewhere)))).events
		var members map[string]jsontext.Value
		if len(object) != 1 || json.Unmarshal([]byte(object[0].data), &members, jsontext.AllowDuplicateNames(true)) != nil {
			t.Errorf("%q: %+v", content, object)
		}
	})
}

func onlyEvent(t *testing.T, text string, want pageEvent) {
	t.Helper()
	if diff := cmp.Diff([]pageEvent{want}, parseEvents(text).events, cmp.AllowUnexported(pageEvent{})); diff != "" {
		t.Errorf("%q: want (-), got (+):\n%s", text, diff)
	}
}
