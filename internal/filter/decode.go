package filter

import (
	"errors"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/go-json-experiment/json/jsontext"
)

var errNotJSON = errors.New("the data is not JSON")

// decode makes a value of JSON, which is known to be valid; of other text it
// makes an error. Of an object only the wanted members are decoded, nil for
// all. No data is null.
func decode(data []byte, wanted map[string]bool) ref.Val {
	if data == nil {
		return types.NullValue
	}
	d := decoder{text: string(data)} // one copy, of which all strings are parts
	v := d.value(wanted)
	if d.failed {
		return types.WrapErr(errNotJSON)
	}
	return v
}

type decoder struct {
	text   string
	pos    int
	values int // so far
	failed bool
}

// weight is that of a container which began at a place, when there were so
// many values.
func (d *decoder) weight(start, values int) int {
	return d.pos - start + valueWeight*(d.values-values)
}

// peek gives the next byte that is not white space, 0 at the end.
func (d *decoder) peek() byte {
	for ; d.pos < len(d.text); d.pos++ {
		switch c := d.text[d.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take passes over a byte that must come next.
func (d *decoder) take(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.pos++
	return true
}

func (d *decoder) fail() ref.Val {
	d.failed, d.pos = true, len(d.text)
	return types.NullValue
}

func (d *decoder) value(wanted map[string]bool) ref.Val {
	d.values++
	switch d.peek() {
	case '{':
		return d.object(wanted)
	case '[':
		return d.array()
	case '"':
		return types.String(d.str())
	case 't':
		return d.word("true", types.True)
	case 'f':
		return d.word("false", types.False)
	case 'n':
		return d.word("null", types.NullValue)
	default:
		return d.number()
	}
}

func (d *decoder) word(w string, v ref.Val) ref.Val {
	if !strings.HasPrefix(d.text[d.pos:], w) {
		return d.fail()
	}
	d.pos += len(w)
	return v
}

func (d *decoder) object(wanted map[string]bool) ref.Val {
	start, values := d.pos, d.values
	d.pos++
	m := map[string]any{}
	if d.take('}') {
		return newObject(m, d.weight(start, values))
	}
	for more := true; more; more = d.take(',') {
		name, ok := d.name()
		switch {
		case !ok:
			return d.fail()
		case wanted == nil || wanted[name]:
			m[name] = d.value(nil)
		default:
			d.skip()
		}
	}
	if !d.take('}') {
		return d.fail()
	}
	return newObject(m, d.weight(start, values))
}

// name reads a member's name, and the colon after it.
func (d *decoder) name() (string, bool) {
	if d.peek() != '"' {
		return "", false
	}
	name := d.str()
	return name, d.take(':')
}

func (d *decoder) array() ref.Val {
	start, values := d.pos, d.values
	d.pos++
	var elements []ref.Val
	if d.take(']') {
		return newArray(elements, d.weight(start, values))
	}
	for more := true; more; more = d.take(',') {
		elements = append(elements, d.value(nil))
	}
	if !d.take(']') {
		return d.fail()
	}
	return newArray(elements, d.weight(start, values))
}

// str reads a string. What stands for no character of Unicode, half of a
// surrogate pair, becomes U+FFFD.
func (d *decoder) str() string {
	end, escaped := d.stringEnd()
	if end < 0 {
		d.fail()
		return ""
	}
	quoted := d.text[d.pos:end]
	d.pos = end
	if !escaped {
		return quoted[1 : len(quoted)-1]
	}
	b, _ := jsontext.AppendUnquote(nil, quoted)
	return string(b)
}

// stringEnd finds the end of the string that begins here, -1 if it has none.
func (d *decoder) stringEnd() (end int, escaped bool) {
	for i := d.pos + 1; i < len(d.text); i++ {
		switch d.text[i] {
		case '"':
			return i + 1, escaped
		case '\\':
			escaped = true
			i++
		}
	}
	return -1, escaped
}

// number reads a number: an int where it is written as one and fits, a uint
// where it is only just too large, or else a double.
func (d *decoder) number() ref.Val {
	start, whole := d.pos, true
	for ; d.pos < len(d.text); d.pos++ {
		c := d.text[d.pos]
		if c == '.' || c == 'e' || c == 'E' || c == '+' {
			whole = false
		} else if c != '-' && (c < '0' || c > '9') {
			break
		}
	}
	text := d.text[start:d.pos]
	if whole {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return types.Int(n)
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return types.Uint(n)
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // beyond the range it is infinite, or zero
		return d.fail()
	}
	return types.Double(f)
}

// skip passes over a value that nobody wants.
func (d *decoder) skip() {
	depth := 0
	for d.peek(); d.pos < len(d.text); d.pos++ {
		switch d.text[d.pos] {
		case '"':
			end, _ := d.stringEnd()
			if end < 0 {
				d.fail()
				return
			}
			d.pos = end - 1
		case '{', '[':
			depth++
		case '}', ']', ',':
			if depth == 0 {
				return
			}
			if d.text[d.pos] != ',' {
				depth--
			}
		}
	}
}
