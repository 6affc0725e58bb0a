package httpapi_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// pageEvent is what a page's listener gets.
type pageEvent struct{ name, data, lastID string }

// eventParser follows the HTML standard, section 9.2.6 "Interpreting an event
// stream", step by step, independently of how the gateway writes.
type eventParser struct {
	events []pageEvent
	lastID string   // of the event source: what it would send as Last-Event-ID
	retry  string   // the newest reconnection time
	heard  []string // comments

	data, name, id string
	some           bool // the data buffer is not the empty string
}

// parseEvents reads a whole stream.
func parseEvents(text string) *eventParser {
	p := &eventParser{}
	text = decodeUTF8(text)
	text = strings.TrimPrefix(text, "\uFEFF")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	for text != "" {
		line, rest, ended := strings.Cut(text, "\n")
		if !ended {
			break // an incomplete line, and the event it belongs to, are dropped
		}
		p.line(line)
		text = rest
	}
	return p
}

// decodeUTF8 is the Encoding standard's: of ill-formed text each longest part
// that could have begun a character is one U+FFFD.
func decodeUTF8(text string) string {
	var b strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			size = illFormed(text)
		}
		b.WriteRune(r)
		text = text[size:]
	}
	return b.String()
}

// illFormed gives the length of the ill-formed part that text begins with.
func illFormed(text string) int {
	first, low, high, more := text[0], byte(0x80), byte(0xbf), 0
	switch {
	case 0xc2 <= first && first <= 0xdf:
		more = 1
	case 0xe0 <= first && first <= 0xef:
		more = 2
	case 0xf0 <= first && first <= 0xf4:
		more = 3
	}
	switch first { // overlong, surrogates, beyond Unicode
	case 0xe0:
		low = 0xa0
	case 0xed:
		high = 0x9f
	case 0xf0:
		low = 0x90
	case 0xf4:
		high = 0x8f
	}
	n := 1
	for n <= more && n < len(text) && low <= text[n] && text[n] <= high {
		low, high = 0x80, 0xbf
		n++
	}
	return n
}

func (p *eventParser) line(line string) {
	field, value, colon := strings.Cut(line, ":")
	switch {
	case line == "":
		p.dispatch()
	case colon && field == "":
		p.heard = append(p.heard, value)
	default:
		p.field(field, strings.TrimPrefix(value, " "))
	}
}

func (p *eventParser) field(name, value string) {
	switch name {
	case "event":
		p.name = value
	case "data":
		p.data += value + "\n"
		p.some = true
	case "id":
		if !strings.Contains(value, "\x00") {
			p.id = value
		}
	case "retry":
		if value != "" && strings.Trim(value, "0123456789") == "" {
			p.retry = value
		}
	}
}

func (p *eventParser) dispatch() {
	p.lastID = p.id
	if p.some {
		name := p.name
		if name == "" {
			name = "message"
		}
		p.events = append(p.events, pageEvent{name, strings.TrimSuffix(p.data, "\n"), p.lastID})
	}
	p.data, p.name, p.some = "", "", false
}

// The examples of the standard, so that the parser can be trusted.
func TestEventParserFollowsTheStandard(t *testing.T) {
	for text, want := range map[string][]pageEvent{
		"data: YHOO\ndata: +2\ndata: 10\n\n":                                                   {{"message", "YHOO\n+2\n10", ""}},
		": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third\n": {{"message", "first event", "1"}, {"message", "second event", ""}},
		"data\n\ndata\ndata\n\ndata:":                                                          {{"message", "", ""}, {"message", "\n", ""}},
		"data:test\n\ndata: test\n\n":                                                          {{"message", "test", ""}, {"message", "test", ""}},
		"event: add\rdata: 1\r\rdata: 2\r\n\r\n":                                               {{"add", "1", ""}, {"message", "2", ""}},
		"\uFEFFdata: x\n\nid: a\x00b\ndata: y\n\nevent: e\n\n":                                 {{"message", "x", ""}, {"message", "y", ""}},
	} {
		if diff := cmp.Diff(want, parseEvents(text).events, cmp.AllowUnexported(pageEvent{})); diff != "" {
			t.Errorf("%q: want (-), got (+):\n%s", text, diff)
		}
	}
	if p := parseEvents("retry: 12\nid: 7\n\nretry: x\n: hello\n"); p.retry != "12" || p.lastID != "7" || len(p.heard) != 1 {
		t.Errorf("%+v", p)
	}
}
