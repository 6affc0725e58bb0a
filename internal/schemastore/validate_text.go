package schemastore

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a client sent is never echoed at length: an answer must not grow with
// the payload, and values do not belong into logs.
const (
	maxText    = 120  // bytes of a pattern, a reason, a list
	maxName    = 64   // bytes of a property name, or of a value of the schema
	maxPointer = 1024 // bytes of a pointer
	maxListed  = 10   // values of an enum
)

// shorten cuts s at limit bytes, between characters.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func quoteName(s string) string { return strconv.Quote(shorten(s, maxName)) }

// plainPointer writes a JSON Pointer as RFC 6901 has it, in full.
func plainPointer(tokens []string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// fragment writes a JSON Pointer as a URI fragment (RFC 6901 §6). A name or a
// pointer that is too long ends in "…" and leads nowhere.
func fragment(tokens []string) string {
	var b strings.Builder
	b.WriteByte('#')
	for _, token := range tokens {
		b.WriteByte('/')
		escapeToken(&b, shorten(token, maxName))
		if b.Len() > maxPointer {
			b.WriteString("/%E2%80%A6")
			break
		}
	}
	return b.String()
}

// escapeToken writes what a fragment can hold as it is (RFC 3986 §3.5), "~" and
// "/" as RFC 6901 asks, and percent-encodes the rest.
func escapeToken(b *strings.Builder, token string) {
	for i := range len(token) {
		switch c := token[i]; {
		case c == '~':
			b.WriteString("~0")
		case c == '/':
			b.WriteString("~1")
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._!$&'()*+,;=:@?", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(b, "%%%02X", c)
		}
	}
}

// showValue writes a value of the schema, an enum's for example.
func showValue(v any) string {
	switch v := v.(type) {
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	case string:
		return quoteName(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "a value"
	}
	return shorten(string(b), maxName)
}

func showValues(values []any) string {
	var b strings.Builder
	for i, v := range values {
		if i == maxListed {
			fmt.Fprintf(&b, ", … (%d in all)", len(values))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(showValue(v))
	}
	return b.String()
}

// showNumber writes a limit of the schema as a decimal.
func showNumber(r *big.Rat) string {
	if r.IsInt() {
		return shorten(r.Num().String(), maxName)
	}
	places, exact := r.FloatPrec()
	if !exact || places > maxName {
		return shorten(r.FloatString(10), maxName)
	}
	return shorten(r.FloatString(places), maxName)
}

// count writes "1 item", "2 items".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
