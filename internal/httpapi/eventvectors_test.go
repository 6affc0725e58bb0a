package httpapi_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// streamVector is a stream as bytes, and what an EventSource makes of it.
type streamVector struct {
	name   string // of the Web Platform Test, in its directory eventsource
	stream string
	events []pageEvent
	lastID string // the last event ID string at the end
	retry  string // the newest reconnection time; "": it was never set
}

// messages are events without a name and an id.
func messages(data ...string) []pageEvent {
	events := make([]pageEvent, len(data))
	for i, text := range data {
		events[i] = pageEvent{"message", text, ""}
	}
	return events
}

// The cases of the Web Platform Tests that are about the format. Where their
// page goes by in what order a server gives them, they are one stream here; a
// stream that ends in an empty line there ends in one here, too.
func streamVectors() []streamVector {
	long := strings.Repeat("x", 2*1024)
	seeded := func(line string) string { return "data:seed\nid:seed\n\n" + line + "\ndata:then\n\n" }
	kept := []pageEvent{{"message", "seed", "seed"}, {"message", "then", "seed"}}
	vectors := []streamVector{
		{"event-data", "data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end\n\n", messages("msg\nmsg", "", "end"), "", ""},
		{"format-bom", "\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n", messages("1", "3"), "", ""},
		{"format-bom-2", "\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:3\n\n", messages("2", "3"), "", ""},
		{"format-comments", "data:1\r:\x00\n:\r\ndata:2\n:" + long + "\rdata:3\n:data:fail\r:" + long + "\ndata:4\n\n", messages("1\n2\n3\n4"), "", ""},
		{"format-data-before-final-empty-line", "retry:1000\ndata:test1\n\nid:test\ndata:test2", messages("test1"), "", "1000"},
		{"format-data-before-final-empty-line, its line ended", "retry:1000\ndata:test1\n\nid:test\ndata:test2\n", messages("test1"), "", "1000"},
		{"format-field-data", "data:\n\ndata\ndata\n\ndata:test\n\n", messages("", "\n", "test"), "", ""},
		{"format-field-event", "event:test\ndata:x\n\ndata:x\n\n", []pageEvent{{"test", "x", ""}, {"message", "x", ""}}, "", ""},
		{"format-field-event-empty", "event: \ndata:data\n\n", messages("data"), "", ""},
		{"format-field-event, the last one counts", "event:a\nevent:b\ndata:x\n\n", []pageEvent{{"b", "x", ""}}, "", ""},
		{"format-field-event, without data it is forgotten", "event:a\n\ndata:x\n\n", messages("x"), "", ""},
		{"format-field-id", "id:\u2026\ndata:x\n\n", []pageEvent{{"message", "x", "\u2026"}}, "\u2026", ""},
		{"format-field-id-2", "id:1\ndata:a\n\ndata:b\n\nid\ndata:c\n\n", []pageEvent{{"message", "a", "1"}, {"message", "b", "1"}, {"message", "c", ""}}, "", ""},
		{"format-field-id-3", "id:1\n\ndata:a\n\n", []pageEvent{{"message", "a", "1"}}, "1", ""},
		{"format-field-id, alone", "id:1\n\n", nil, "1", ""},
		{"format-field-id, its event incomplete", "id:1\n", nil, "", ""},
		{"format-field-parsing", "data:\x00\ndata:  2\rData:1\ndata\x00:2\ndata:1\r\x00data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n", messages("\x00\n 2\n1\n3\n\n4"), "", ""},
		{"format-field-retry", "retry:03000\ndata:x\n\n", messages("x"), "", "03000"},
		{"format-field-retry-bogus", "retry:3000\nretry:1000x\ndata:x\n\n", messages("x"), "", "3000"},
		{"format-field-retry-empty", "retry\ndata:test\n\n", messages("test"), "", ""},
		{"format-field-retry-empty, after a time", "retry:7\nretry\nretry:\ndata:test\n\n", messages("test"), "", "7"},
		{"format-field-retry, at once", "retry:12", nil, "", ""},
		{"format-field-unknown", "data:test\n data\ndata\nfoobar:xxx\njustsomevalue\n:thisisacommentyay\ndata:test\n\n", messages("test\n\ntest"), "", ""},
		{"format-leading-space", "data:\ttest\rdata: \ndata:test\n\n", messages("\ttest\n\ntest"), "", ""},
		{"format-newlines", "data:test\r\ndata\ndata:test\r\n\r\n", messages("test\n\ntest"), "", ""},
		{"format-newlines, lone CR", "data:a\r\rdata:b\r\r\n", messages("a", "b"), "", ""},
		{"format-newlines, LF CR", "data:a\n\rdata:b\n\r", messages("a", "b"), "", ""},
		{"format-newlines, what is none", "data:a\u2028b\x0bc\x0cd\u0085e\n\n", messages("a\u2028b\x0bc\x0cd\u0085e"), "", ""},
		{"format-null-character", "data:\x00\n\n\n\n", messages("\x00"), "", ""},
		{"format-utf-8", "data:ok\u2026\n\n", messages("ok\u2026"), "", ""},
		{"format-utf-8, ill-formed", "data:a\xffb\xe2\x80c\xf0\x9f\x98d\xed\xa0\x80e\xc0\xaf\n\n", messages("a\ufffdb\ufffdc\ufffdd\ufffd\ufffd\ufffde\ufffd\ufffd"), "", ""},
	}
	for _, id := range []string{"\x00\x00", "x\x00", "\x00x", "x\x00x", " \x00"} {
		vectors = append(vectors, streamVector{"format-field-id-null", seeded("id:" + id), kept, "seed", ""})
	}
	return vectors
}

// The parser that the tests here read the gateway's streams with is right
// itself.
func TestEventParserPassesTheWebPlatformTests(t *testing.T) {
	for _, v := range streamVectors() {
		p := parseEvents(v.stream)
		if diff := cmp.Diff(v.events, p.events, cmp.AllowUnexported(pageEvent{})); diff != "" {
			t.Errorf("%s, %q: want (-), got (+):\n%s", v.name, v.stream, diff)
		}
		if p.lastID != v.lastID || p.retry != v.retry {
			t.Errorf("%s, %q: id %q, retry %q; want %q, %q", v.name, v.stream, p.lastID, p.retry, v.lastID, v.retry)
		}
	}
}
