// Package jsonscan finds where JSON values begin and end, and makes nothing of
// them. It answers only when it is certain: what it passes is one JSON value by
// RFC 8259, in UTF-8, without duplicate names, lone surrogates or numbers of
// unreasonable size. What it does not pass may be wrong or only unusual (an
// escape in a name, very many names in one object, a long exponent); callers
// then ask a full decoder, which also has the words for what is wrong.
//
// It is not a decoder, and it has no errors.
package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	maxNames  = 128 // names in one object that are compared with each other
	maxNumber = 400 // bytes of a number
	maxPower  = 2   // digits of an exponent
)

// Unsure is the end of what is not certainly a value.
const Unsure = -1

// Scanner scans one text after the other. The zero value is ready; it is not
// for concurrent use.
type Scanner struct {
	data  []byte
	names []span // of the objects that are open, the innermost last
}

type span struct{ start, end int }

// Reset begins with another text, which must stay as it is; Reset(nil) lets go
// of the last one.
func (s *Scanner) Reset(data []byte) {
	s.data, s.names = data, s.names[:0]
}

// At gives the byte at a place, and 0, which no JSON text has, beyond the end.
func (s *Scanner) At(i int) byte {
	if uint(i) < uint(len(s.data)) {
		return s.data[i]
	}
	return 0
}

// Bytes gives a part of the text.
func (s *Scanner) Bytes(start, end int) []byte { return s.data[start:end:end] }

// Rest says whether only white space follows from a place on.
func (s *Scanner) Rest(at int) bool { return s.Space(at) == len(s.data) }

// Space gives the place of the first byte from at on that is no white space.
func (s *Scanner) Space(at int) int {
	for at < len(s.data) {
		switch s.data[at] {
		case ' ', '\t', '\r', '\n':
			at++
		default:
			return at
		}
	}
	return at
}

// Value gives the end of the value that begins at a place, with at most so many
// levels of arrays and objects.
func (s *Scanner) Value(at, levels int) int {
	switch c := s.At(at); c {
	case '"':
		end, _ := s.String(at)
		return end
	case '{':
		return s.object(at, levels)
	case '[':
		return s.array(at, levels)
	case 't', 'f', 'n':
		return s.Literal(at)
	default:
		end, _ := s.Number(at)
		return end
	}
}

// Literal gives the end of true, false or null.
func (s *Scanner) Literal(at int) int {
	word := "null"
	switch s.At(at) {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	}
	if end := at + len(word); end <= len(s.data) && string(s.data[at:end]) == word {
		return end
	}
	return Unsure
}

func (s *Scanner) array(at, levels int) int {
	if levels <= 0 {
		return Unsure
	}
	at = s.Space(at + 1)
	if s.At(at) == ']' {
		return at + 1
	}
	for {
		end := s.Value(at, levels-1)
		if end < 0 {
			return Unsure
		}
		at = s.Space(end)
		switch s.At(at) {
		case ',':
			at = s.Space(at + 1)
		case ']':
			return at + 1
		default:
			return Unsure
		}
	}
}

func (s *Scanner) object(at, levels int) int {
	if levels <= 0 {
		return Unsure
	}
	mark := s.Mark()
	end := s.members(at, levels, mark)
	s.Release(mark)
	return end
}

func (s *Scanner) members(at, levels, mark int) int {
	at = s.Space(at + 1)
	if s.At(at) == '}' {
		return at + 1
	}
	for {
		start, end, value := s.Name(at)
		if value < 0 || !s.Note(mark, start, end) {
			return Unsure
		}
		if end = s.Value(value, levels-1); end < 0 {
			return Unsure
		}
		at = s.Space(end)
		switch s.At(at) {
		case ',':
			at = s.Space(at + 1)
		case '}':
			return at + 1
		default:
			return Unsure
		}
	}
}

// Name reads a member's name and the colon behind it: the name is the text from
// start to end, and the value begins at value, which is Unsure for anything
// else and for a name with escapes.
func (s *Scanner) Name(at int) (start, end, value int) {
	if s.At(at) != '"' {
		return 0, 0, Unsure
	}
	end, plain := s.String(at)
	if end < 0 || !plain && bytes.IndexByte(s.data[at:end], '\\') >= 0 {
		return 0, 0, Unsure
	}
	if value = s.Space(end); s.At(value) != ':' {
		return 0, 0, Unsure
	}
	return at + 1, end - 1, s.Space(value + 1)
}

// Mark begins an object: Note compares the names that it was told since.
func (s *Scanner) Mark() int { return len(s.names) }

// Note remembers a name of the object that began at a mark, and says whether it
// is certainly the only one of that name.
func (s *Scanner) Note(mark, start, end int) bool {
	own := s.names[mark:]
	if len(own) >= maxNames {
		return false
	}
	for _, o := range own {
		if o.end-o.start == end-start && string(s.data[o.start:o.end]) == string(s.data[start:end]) {
			return false
		}
	}
	s.names = append(s.names, span{start, end})
	return true
}

// Release ends the object that began at a mark.
func (s *Scanner) Release(mark int) { s.names = s.names[:mark] }

// String gives the end of the string that begins at a place, behind its quote.
// A plain one is of ASCII without escapes.
func (s *Scanner) String(at int) (end int, plain bool) {
	i, ascii := at+1, true
	for {
		i = skipPlain(s.data, i)
		switch c := s.At(i); {
		case c == '"':
			if !ascii && !utf8.Valid(s.data[at+1:i]) {
				return Unsure, false
			}
			return i + 1, ascii
		case c == '\\':
			return s.escaped(at, i)
		case c < ' ': // a control character, or the end of the text
			return Unsure, false
		}
		ascii = false
		for i++; s.At(i) >= utf8.RuneSelf; i++ {
		}
	}
}

// escaped goes on with a string from its first escape.
func (s *Scanner) escaped(start, at int) (end int, plain bool) {
	for i := at; ; {
		i = skipPlain(s.data, i)
		switch c := s.At(i); {
		case c == '"':
			if !utf8.Valid(s.data[start+1 : i]) {
				return Unsure, false
			}
			return i + 1, false
		case c == '\\':
			n := s.escape(i)
			if n == 0 {
				return Unsure, false
			}
			i += n
		case c < ' ':
			return Unsure, false
		default:
			i++
		}
	}
}

// escape gives the length of an escape, 0 for none and for half a surrogate
// pair.
func (s *Scanner) escape(at int) int {
	switch s.At(at + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
	default:
		return 0
	}
	first, ok := s.hex(at + 2)
	switch {
	case !ok || first >= 0xDC00 && first < 0xE000:
		return 0
	case first < 0xD800 || first >= 0xE000:
		return 6
	}
	second, ok := s.hex(at + 8)
	if !ok || s.At(at+6) != '\\' || s.At(at+7) != 'u' || second < 0xDC00 || second >= 0xE000 {
		return 0
	}
	return 12
}

func (s *Scanner) hex(at int) (n int, ok bool) {
	for i := at; i < at+4; i++ {
		switch c := s.At(i); {
		case '0' <= c && c <= '9':
			n = n<<4 | int(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | int(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// Number gives the end of the number that begins at a place. A plain one has
// neither fraction nor exponent.
func (s *Scanner) Number(at int) (end int, plain bool) {
	i, plain := at, true
	if s.At(i) == '-' {
		i++
	}
	digits := i
	i = s.digits(i)
	if i == digits || i > digits+1 && s.data[digits] == '0' {
		return Unsure, false
	}
	if s.At(i) == '.' {
		fraction := i + 1
		if i = s.digits(fraction); i == fraction {
			return Unsure, false
		}
		plain = false
	}
	if c := s.At(i); c == 'e' || c == 'E' {
		i++
		if c = s.At(i); c == '+' || c == '-' {
			i++
		}
		power := i
		if i = s.digits(i); i == power || i > power+maxPower {
			return Unsure, false
		}
		plain = false
	}
	if i-at > maxNumber {
		return Unsure, false
	}
	return i, plain
}

func (s *Scanner) digits(i int) int {
	for i < len(s.data) && s.data[i]-'0' <= 9 {
		i++
	}
	return i
}

// skipPlain gives the place of the first byte from i on that is a quote, a
// backslash, a control character or not ASCII; eight bytes are looked at
// together.
func skipPlain(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// The lowest bit that is set is right, those above it may not be.
		found := (w | (w-ones*' ')&^w | (quote-ones)&^quote | (slash-ones)&^slash) & tops
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
		i += 8
	}
	for i < len(b) && b[i] >= ' ' && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}
