package httpapi

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// The names of control events; data events have none, so that a page's
// onmessage gets them. None is "error", which EventSource keeps for itself.
const (
	eventRecord  = "record"  // a record that the view has no data of
	eventGap     = "gap"     // records that are gone
	eventProblem = "problem" // what went wrong
	eventEnd     = "end"     // the last one, with the reason
)

// readView says how records are shown to readers.
type readView string

// The views.
const (
	showRecord readView = "record" // the record object
	showData   readView = "data"   // its data alone
	showValue  readView = "value"  // the stored bytes
)

// eventFrames writes records as Server-Sent Events (the WHATWG's HTML standard,
// section 9.2). Each frame begins with its id, the position after the record.
// It allocates nothing but dst's memory.
type eventFrames struct{ view readView }

// Name names the view, which is all that the frames depend on.
func (f eventFrames) Name() string { return string(f.view) }

// Record appends a record's event.
func (f eventFrames) Record(dst []byte, r *stream.Record, position []byte) []byte {
	dst = appendID(dst, position)
	switch {
	case f.view == showData && r.Data != nil:
		dst = append(dst, "data: "...)
		dst = recordjson.AppendOneLine(dst, r.Data)
	case f.view == showValue && r.Value != nil && utf8.Valid(r.Value):
		return append(appendTextLines(dst, r.Value), '\n')
	case f.view == showRecord:
		dst = append(dst, "data: "...)
		dst = recordjson.AppendRecord(dst, r)
	default: // no text can stand for it
		dst = appendEventName(dst, eventRecord)
		dst = append(dst, "data: "...)
		dst = recordjson.AppendRecord(dst, r)
	}
	return append(dst, "\n\n"...)
}

// Gap appends a gap's event.
func (eventFrames) Gap(dst []byte, g stream.Gap, position []byte) []byte {
	dst = appendID(dst, position)
	dst = appendEventName(dst, eventGap)
	dst = append(dst, "data: "...)
	dst = appendGap(dst, g)
	return append(dst, "\n\n"...)
}

func appendID(dst, position []byte) []byte {
	dst = append(dst, "id: "...)
	dst = append(dst, position...)
	return append(dst, '\n')
}

func appendEventName(dst []byte, name string) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, name...)
	return append(dst, '\n')
}

// appendRetry appends how long a reader shall wait before it connects again.
func appendRetry(dst []byte, d time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, d.Milliseconds(), 10)
	return append(dst, '\n')
}

// appendControl appends a control event with its data, one line of JSON, and
// no id: a reader keeps the one it has.
func appendControl(dst []byte, name string, data []byte) []byte {
	dst = appendEventName(dst, name)
	dst = append(dst, "data: "...)
	dst = append(dst, bytes.TrimRight(data, "\n")...)
	return append(dst, "\n\n"...)
}

// appendTextLines appends a "data:" line for each line of the text. A receiver
// joins them with LF, whatever ended them here: that is all the format can
// carry.
func appendTextLines(dst, text []byte) []byte {
	for {
		end := bytes.IndexAny(text, "\r\n")
		line, rest := text, []byte(nil)
		if end >= 0 {
			line, rest = text[:end], text[end+1:]
			if text[end] == '\r' && len(rest) > 0 && rest[0] == '\n' {
				rest = rest[1:]
			}
		}
		dst = append(dst, "data: "...)
		dst = append(dst, line...)
		dst = append(dst, '\n')
		if end < 0 {
			return dst
		}
		text = rest
	}
}

// appendGap appends a gap as an object.
func appendGap(dst []byte, g stream.Gap) []byte {
	dst = append(dst, `{"stream":`...)
	dst = recordjson.AppendString(dst, g.Stream)
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendInt(dst, int64(g.Number), 10)
	dst = append(dst, `,"from":`...)
	dst = strconv.AppendInt(dst, g.From, 10)
	dst = append(dst, `,"to":`...)
	dst = strconv.AppendInt(dst, g.To, 10)
	return append(dst, '}')
}
