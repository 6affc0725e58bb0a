package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"sluice/internal/stream"
)

// eventHeader begins the HTTP headers that are an event's attributes, in the
// spelling net/http gives names.
const eventHeader = "Ce-"

// hasEventHeaders says whether the request is a CloudEvent in binary mode: it
// has one of the attributes that every event has. With some of them missing it
// is a faulty event, never a record without them.
func hasEventHeaders(h http.Header) bool {
	return h["Ce-Specversion"] != nil || h["Ce-Id"] != nil || h["Ce-Source"] != nil || h["Ce-Type"] != nil
}

// binaryEvent reads an event whose attributes are HTTP headers. An empty body
// is no data.
func binaryEvent(h http.Header, body []byte) *event {
	e := &event{inHeaders: true}
	if len(body) > 0 {
		e.data = body
	}
	for name, values := range h {
		short, found := strings.CutPrefix(name, eventHeader)
		if !found {
			continue
		}
		short = strings.ToLower(short)
		if short == attrDataContentType {
			e.problems = append(e.problems, stream.Violation{Pointer: "#", Keyword: "ce-" + short, Detail: "ce-datacontenttype is no header: in binary mode the data's type is the Content-Type"})
			continue
		}
		if len(values) > 1 {
			e.wrong(short, "is given more than once")
			continue
		}
		value, ok := decodeEventHeader(values[0])
		if !ok {
			e.wrong(short, "is not UTF-8, or its percent-encoding is not")
			continue
		}
		e.attributes = append(e.attributes, attribute{short, value})
	}
	if values := h["Content-Type"]; len(values) > 0 && values[0] != "" {
		e.attributes = append(e.attributes, attribute{attrDataContentType, values[0]})
	}
	// The map has no order; the problems should have one.
	slices.SortFunc(e.attributes, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	slices.SortFunc(e.problems, func(a, b stream.Violation) int { return strings.Compare(a.Keyword, b.Keyword) })
	return e
}

// decodeEventHeader undoes what senders do to values that HTTP headers cannot
// carry as they are: first double quotes (older versions of CloudEvents), then
// percent-encoding. A percent sign that begins no code stands for itself, as
// many senders mean it.
func decodeEventHeader(s string) (string, bool) {
	s = unquoteHeader(s)
	if strings.IndexByte(s, '%') < 0 {
		return s, utf8.ValidString(s)
	}
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		decoded = append(decoded, c)
	}
	return string(decoded), utf8.Valid(decoded)
}

// unquoteHeader undoes a quoted string (RFC 9110 §5.6.4); other text stays.
func unquoteHeader(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
