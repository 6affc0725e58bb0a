package schemastore

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON Schema's patterns are ECMA-262's, which RE2 reads almost everywhere as
// they are meant. Where it would read them otherwise, or not at all though it
// could run them, toRE2 says it in RE2's words. What RE2 cannot run is left as
// it is, for RE2 to refuse.

const (
	// spaces is what \s means in ECMA-262, as the inside of a class, and
	// notSpaces the rest. RE2 has only ASCII's in mind.
	spaces    = `\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
	notSpaces = `\x00-\x08\x0e-\x1f\x21-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
	// notNewline is what the dot means.
	notNewline = `[^\n\r\x{2028}\x{2029}]`
	anything   = `[\x00-\x{10ffff}]`
	nothing    = `[^\x00-\x{10ffff}]`
)

// translator goes once through a pattern.
type translator struct {
	in      string
	out     strings.Builder
	class   bool // inside [ ]
	flagged bool // the pattern sets flags, which ECMA-262 cannot: the dot is RE2's
}

func toRE2(source string) (string, error) {
	t := &translator{in: source, flagged: setsFlags(source)}
	for t.in != "" {
		if err := t.next(); err != nil {
			return "", err
		}
	}
	return t.out.String(), nil
}

// setsFlags says whether a pattern holds something like (?i) or (?s:…).
func setsFlags(source string) bool {
	return strings.Contains(source, "(?") && regexp.MustCompile(`\(\?[imsU-]+[:)]`).MatchString(source)
}

func (t *translator) next() error {
	switch c := t.in[0]; {
	case c == '\\':
		return t.escape()
	case t.class && c == '[':
		t.put(1, `\[`) // RE2 would look for [:alpha:]
	case t.class && c == ']':
		t.class = false
		t.put(1, "]")
	case t.class:
		t.put(1, t.in[:1])
	case strings.HasPrefix(t.in, "[^]"):
		t.put(3, anything)
	case strings.HasPrefix(t.in, "[]"):
		t.put(2, nothing)
	case strings.HasPrefix(t.in, "[^"):
		t.class = true
		t.put(2, "[^")
	case c == '[':
		t.class = true
		t.put(1, "[")
	case c == '.' && !t.flagged:
		t.put(1, notNewline)
	default:
		t.put(1, t.in[:1])
	}
	return nil
}

// put consumes n bytes and writes s for them.
func (t *translator) put(n int, s string) {
	t.in = t.in[n:]
	t.out.WriteString(s)
}

// putRune consumes n bytes and writes a character for them.
func (t *translator) putRune(n int, r rune) { t.put(n, fmt.Sprintf(`\x{%x}`, r)) }

func (t *translator) escape() error {
	if len(t.in) < 2 {
		t.put(1, `\`) // RE2 will complain
		return nil
	}
	switch c := t.in[1]; c {
	case 's':
		t.set(spaces, "[")
	case 'S':
		t.set(notSpaces, "[")
	case 'c':
		return t.control()
	case 'u':
		return t.unicode()
	case 'p', 'P':
		return t.property()
	case '0':
		t.putRune(2, 0)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9', 'k':
		return errors.New("back references cannot be run")
	case 'a', 'C', 'Q', 'E':
		return fmt.Errorf(`\%c has no meaning in ECMA-262`, c)
	case 'b':
		if t.class {
			t.putRune(2, '\b')
			return nil
		}
		t.put(2, `\b`)
	default:
		_, size := utf8.DecodeRuneInString(t.in[1:])
		t.put(1+size, t.in[:1+size])
	}
	return nil
}

// set writes the inside of a class.
func (t *translator) set(inside, open string) {
	if !t.class {
		t.put(2, open+inside+"]")
		return
	}
	t.put(2, inside)
	if strings.HasPrefix(t.in, "-") && !strings.HasPrefix(t.in, "-]") {
		t.put(1, `\-`) // not a range from the last character of the set
	}
}

// control is \cA to \cZ.
func (t *translator) control() error {
	if len(t.in) < 3 || !isLetter(t.in[2]) {
		return errors.New(`\c needs a letter after it`)
	}
	t.putRune(3, rune(t.in[2]&31))
	return nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// unicode is \uXXXX, two of them for a surrogate pair, or \u{X…}.
func (t *translator) unicode() error {
	if inside, ok := braced(t.in[2:]); ok {
		r, err := strconv.ParseUint(inside, 16, 32)
		if err != nil || !utf8.ValidRune(rune(r)) {
			return errors.New(`\u{…} is not a character`)
		}
		t.putRune(2+len(inside)+2, rune(r))
		return nil
	}
	r, ok := hex4(t.in)
	if !ok {
		return errors.New(`\u needs four hexadecimal digits after it`)
	}
	if !utf16.IsSurrogate(r) {
		t.putRune(6, r)
		return nil
	}
	low, ok := hex4(t.in[6:])
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return errors.New("half a surrogate pair is not a character")
	}
	t.putRune(12, r)
	return nil
}

// hex4 reads \uXXXX.
func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[:2] != `\u` {
		return 0, false
	}
	r, err := strconv.ParseUint(s[2:6], 16, 32)
	return rune(r), err == nil
}

// braced gives what stands in the braces that s begins with.
func braced(s string) (string, bool) {
	if !strings.HasPrefix(s, "{") {
		return "", false
	}
	inside, _, ok := strings.Cut(s[1:], "}")
	return inside, ok
}

// property is \p{…}: RE2 knows the short names of general categories, and
// scripts without "Script=".
func (t *translator) property() error {
	name, ok := braced(t.in[2:])
	if !ok {
		return fmt.Errorf(`\%c needs a name in braces after it`, t.in[1])
	}
	short := name
	if key, value, ok := strings.Cut(name, "="); ok {
		switch key {
		case "General_Category", "gc", "Script", "sc":
			short = value
		default:
			return fmt.Errorf("the Unicode property %s cannot be run", shorten(key, maxName))
		}
	}
	if category, ok := generalCategory(short); ok {
		short = category
	}
	t.put(2+len(name)+2, t.in[:2]+"{"+short+"}")
	return nil
}

// generalCategory gives RE2's name for a Unicode general category's long name.
func generalCategory(long string) (string, bool) {
	short, ok := map[string]string{
		"Letter": "L", "Cased_Letter": "LC", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Titlecase_Letter": "Lt",
		"Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Combining_Mark": "M", "Nonspacing_Mark": "Mn",
		"Spacing_Mark": "Mc", "Enclosing_Mark": "Me", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd",
		"Letter_Number": "Nl", "Other_Number": "No", "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc",
		"Dash_Punctuation": "Pd", "Open_Punctuation": "Ps", "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi",
		"Final_Punctuation": "Pf", "Other_Punctuation": "Po", "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc",
		"Modifier_Symbol": "Sk", "Other_Symbol": "So", "Separator": "Z", "Space_Separator": "Zs", "Line_Separator": "Zl",
		"Paragraph_Separator": "Zp", "Other": "C", "Control": "Cc", "cntrl": "Cc", "Format": "Cf", "Private_Use": "Co",
	}[long]
	return short, ok
}
