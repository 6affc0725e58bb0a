// Package recordjson writes records as JSON: the record object, which is the
// one form of a record in all answers, events and webhooks, and its parts.
//
// It does not read records, and knows nothing of where the text goes.
package recordjson

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// TimeLayout is RFC 3339 with milliseconds, always three digits.
const TimeLayout = "2006-01-02T15:04:05.000Z07:00"

// MaxTimestamp is the last millisecond that RFC 3339 can write, of year 9999.
const MaxTimestamp = 253402300799999

// AppendRecord appends the record object to dst, on one line.
func AppendRecord(dst []byte, rec *stream.Record) []byte {
	dst = appendPlace(dst, rec)
	dst = appendContent(dst, rec)
	return append(dst, '}')
}

// AppendWithoutData appends the record object without the members data and
// value: where the record lies and what it is, the answer to a publish.
func AppendWithoutData(dst []byte, rec *stream.Record) []byte {
	return append(appendPlace(dst, rec), '}')
}

// appendPlace appends the object, still open, up to the member schema.
func appendPlace(dst []byte, rec *stream.Record) []byte {
	dst = append(dst, `{"stream":`...)
	dst = AppendString(dst, rec.Stream)
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendInt(dst, int64(rec.Partition), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, rec.Offset, 10)
	dst = append(dst, `,"timestamp":`...)
	dst = appendTime(dst, rec.Timestamp)
	dst = append(dst, `,"key":`...)
	dst = AppendBytes(dst, rec.Key)
	dst = append(dst, `,"headers":`...)
	dst = appendHeaders(dst, rec.Headers)
	dst = append(dst, `,"schema":`...)
	if rec.Schema == "" {
		return append(dst, "null"...)
	}
	return AppendString(dst, rec.Schema)
}

// appendContent appends the member data, or value where there is none.
func appendContent(dst []byte, rec *stream.Record) []byte {
	if rec.Data != nil {
		dst = append(dst, `,"data":`...)
		return AppendOneLine(dst, rec.Data)
	}
	dst = append(dst, `,"value":`...)
	if rec.Value == nil { // a tombstone
		return append(dst, "null"...)
	}
	return appendBase64(dst, rec.Value)
}

// appendTime appends null for a record without a time, and for one that RFC
// 3339 cannot write.
func appendTime(dst []byte, t time.Time) []byte {
	if ms := t.UnixMilli(); t.IsZero() || ms < 0 || ms > MaxTimestamp {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = appendTimeText(dst, t.UTC())
	return append(dst, '"')
}

// appendTimeText appends what TimeLayout gives for a time in UTC of a year of
// four digits, in a fifth of the time.
func appendTimeText(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(appendDigits(dst, year, 4), '-')
	dst = append(appendDigits(dst, int(month), 2), '-')
	dst = append(appendDigits(dst, day, 2), 'T')
	dst = append(appendDigits(dst, hour, 2), ':')
	dst = append(appendDigits(dst, minute, 2), ':')
	dst = append(appendDigits(dst, second, 2), '.')
	return append(appendDigits(dst, t.Nanosecond()/int(time.Millisecond), 3), 'Z')
}

// appendDigits appends n, which is not negative, with width digits.
func appendDigits(dst []byte, n, width int) []byte {
	dst = append(dst, "0000"[:width]...)
	for i := len(dst) - 1; width > 0; i, width = i-1, width-1 {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// appendHeaders appends an object in which a name that repeats has the list of
// its values. Names stand in the order of their first appearance.
func appendHeaders(dst []byte, headers []stream.Header) []byte {
	dst = append(dst, '{')
	for rest := groupHeaders(headers); len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Name == rest[0].Name {
			n++
		}
		if len(rest) < len(headers) { // not the first
			dst = append(dst, ',')
		}
		dst = AppendString(dst, rest[0].Name)
		dst = append(dst, ':')
		dst = appendHeaderValues(dst, rest[:n])
		rest = rest[n:]
	}
	return append(dst, '}')
}

// groupHeaders puts headers of one name beside each other. A record of another
// client may have very many, so the effort must not grow with their square.
func groupHeaders(headers []stream.Header) []stream.Header {
	if len(headers) < 2 {
		return headers
	}
	first := make(map[string]int, len(headers))
	for i, h := range headers {
		if _, ok := first[h.Name]; !ok {
			first[h.Name] = i
		}
	}
	if len(first) == len(headers) {
		return headers
	}
	grouped := slices.Clone(headers)
	slices.SortStableFunc(grouped, func(a, b stream.Header) int { return first[a.Name] - first[b.Name] })
	return grouped
}

// appendHeaderValues appends what one name has: its value, or a list of them.
func appendHeaderValues(dst []byte, same []stream.Header) []byte {
	if len(same) == 1 {
		return AppendBytes(dst, same[0].Value)
	}
	dst = append(dst, '[')
	for i, h := range same {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendBytes(dst, h.Value)
	}
	return append(dst, ']')
}

// AppendBytes appends a key or a header's value: null, a string, or base64
// where it is not UTF-8.
func AppendBytes(dst, b []byte) []byte {
	switch {
	case b == nil:
		return append(dst, "null"...)
	case !utf8.Valid(b):
		return appendBase64(dst, b)
	}
	return AppendString(dst, b)
}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, `{"base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, `"}`...)
}

// AppendString appends a JSON string. What is not UTF-8 becomes U+FFFD; only
// names of headers that other clients wrote can have any.
func AppendString[T ~[]byte | ~string](dst []byte, s T) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// AppendOneLine appends JSON, which must be valid: as it is, or without the
// white space between tokens when that breaks lines. Line breaks cannot stand
// elsewhere in JSON.
func AppendOneLine(dst, data []byte) []byte {
	if !hasLineBreak(data) {
		return append(dst, data...)
	}
	inString := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			dst = append(dst, c, data[i+1])
			i++
			continue
		case c == '"':
			inString = !inString
		case !inString && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		dst = append(dst, data[i])
	}
	return dst
}

func hasLineBreak(b []byte) bool {
	return bytes.IndexByte(b, '\n') >= 0 || bytes.IndexByte(b, '\r') >= 0
}
