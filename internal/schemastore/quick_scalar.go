package schemastore

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// scalars are the values of an enum or a const.
type scalars struct {
	literals   types // null, true, false
	strings    []string
	numbers    map[string]bool // by their fingerprints
	containers bool            // some value is an array or an object
}

// newScalars gives nil for a node without enum and const.
func newScalars(n *jsonschema.Schema) *scalars {
	var values []any
	switch {
	case n.Const != nil:
		values = []any{*n.Const}
	case n.Enum != nil:
		values = n.Enum.Values
	default:
		return nil
	}
	s := &scalars{numbers: map[string]bool{}}
	for _, v := range values {
		switch shapeOf(v) {
		case shapeNull:
			s.literals |= typeNull
		case shapeTrue:
			s.literals |= typeTrue
		case shapeFalse:
			s.literals |= typeFalse
		case shapeString:
			s.strings = append(s.strings, v.(string))
		case shapeNumber:
			s.numbers[string(appendFingerprint(nil, v))] = true
		default:
			s.containers = true
		}
	}
	slices.Sort(s.strings)
	return s
}

// container is the answer for arrays and objects, which are not looked into.
func (s *scalars) container() verdict {
	if s.containers {
		return unsure
	}
	return invalid
}

func (s *scalars) text(text []byte) bool {
	if len(s.strings) <= fewNames {
		return slices.ContainsFunc(s.strings, func(one string) bool { return one == string(text) })
	}
	_, found := slices.BinarySearchFunc(s.strings, text, func(one string, text []byte) int { return cmp.Compare(one, string(text)) })
	return found
}

// textRule is what a schema says about strings.
type textRule struct {
	min, max int // characters
	counts   bool
	pattern  *pattern
	format   func(any) error
	cost     int
}

// newTextRule gives nil for a node that says nothing about strings. Formats are
// all about strings alone.
func newTextRule(n *jsonschema.Schema) *textRule {
	t := &textRule{min: atLeast(n.MinLength), max: atMost(n.MaxLength)}
	t.counts = t.min > 0 || t.max < math.MaxInt
	if n.Pattern != nil {
		t.pattern = n.Pattern.(*pattern) // patterns.compile made it
		t.cost = t.pattern.size
	}
	if n.Format != nil {
		t.format = refineFormat(n.Format.Name, n.Format.Validate)
		t.cost += 4 // as for the engine
	}
	if !t.counts && t.pattern == nil && t.format == nil {
		return nil
	}
	return t
}

// str checks a string.
func (q *run) str(r *rule, at int) (int, verdict) {
	end, plain := q.text.String(at)
	if end < 0 || !q.charge((end-at)/textPerStep) {
		return 0, unsure
	}
	if r.choices == nil && r.text == nil {
		return end, valid
	}
	text := q.text.Bytes(at+1, end-1)
	if !plain && bytes.IndexByte(text, '\\') >= 0 {
		var err error
		if text, err = jsontext.AppendUnquote(nil, q.text.Bytes(at, end)); err != nil {
			return 0, unsure
		}
	}
	if r.choices != nil && !r.choices.text(text) {
		return 0, invalid
	}
	if r.text != nil {
		if v := q.check(r.text, text, plain); v != valid {
			return 0, v
		}
	}
	return end, valid
}

func (q *run) check(t *textRule, text []byte, plain bool) verdict {
	if !q.charge(t.cost * len(text) / textPerStep) {
		return unsure
	}
	if t.counts {
		length := len(text)
		if !plain {
			length = utf8.RuneCount(text)
		}
		if length < t.min || length > t.max {
			return invalid
		}
	}
	if t.pattern != nil && !t.pattern.Match(text) {
		return invalid
	}
	if t.format != nil && t.format(string(text)) != nil {
		return invalid
	}
	return valid
}

// number checks a number, its type too.
func (q *run) number(r *rule, at int) (int, verdict) {
	end, plain := q.text.Number(at)
	if end < 0 || !q.charge((end-at)/digitsPerStep) {
		return 0, unsure
	}
	text := q.text.Bytes(at, end)
	if r.types != 0 && r.types&typeNumber == 0 {
		if r.types&typeInteger == 0 || !plain && !isWhole(string(text)) {
			return 0, invalid
		}
	}
	if r.choices != nil {
		q.print = appendFingerprint(q.print[:0], json.Number(text))
		if !r.choices.numbers[string(q.print)] {
			return 0, invalid
		}
	}
	if r.limits != nil {
		n := numberOf(text)
		if !r.limits.hold(&n) {
			return 0, invalid
		}
	}
	return end, valid
}
