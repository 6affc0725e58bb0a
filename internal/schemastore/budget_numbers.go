package schemastore

import (
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// The engine parses a number anew, as a fraction of arbitrary size, for each
// keyword that looks at it. Most numbers are integers that fit a word, and
// most limits too: for these the keywords are replaced by plain comparisons,
// with the same results.

// replaceLimits takes minimum, maximum and multipleOf away from the engine.
func replaceLimits(n *jsonschema.Schema) {
	l := limits{
		minimum: newLimit(n.Minimum), maximum: newLimit(n.Maximum),
		above: newLimit(n.ExclusiveMinimum), below: newLimit(n.ExclusiveMaximum),
		multipleOf: newLimit(n.MultipleOf),
	}
	if l == (limits{}) {
		return
	}
	n.Minimum, n.Maximum, n.ExclusiveMinimum, n.ExclusiveMaximum, n.MultipleOf = nil, nil, nil, nil, nil
	n.Extensions = append(n.Extensions, l)
}

// limits are the keywords that only look at numbers.
type limits struct{ minimum, maximum, above, below, multipleOf *limit }

// limit is one keyword's value.
type limit struct {
	exact *big.Rat
	word  int64
	fits  bool // word is the value
}

func newLimit(r *big.Rat) *limit {
	if r == nil {
		return nil
	}
	l := &limit{exact: r, fits: r.IsInt() && r.Num().IsInt64()}
	if l.fits {
		l.word = r.Num().Int64()
	}
	return l
}

// Validate reports each limit that the number v is beyond.
func (l limits) Validate(ctx *jsonschema.ValidatorContext, v any) {
	n := datum{}
	switch v := v.(type) {
	case int64:
		n.word, n.fits = v, true
	case json.Number:
		n.literal = string(v)
	default:
		return
	}
	if l.minimum != nil && n.compare(l.minimum) < 0 {
		ctx.AddError(&kind.Minimum{Got: n.rat(), Want: l.minimum.exact})
	}
	if l.maximum != nil && n.compare(l.maximum) > 0 {
		ctx.AddError(&kind.Maximum{Got: n.rat(), Want: l.maximum.exact})
	}
	if l.above != nil && n.compare(l.above) <= 0 {
		ctx.AddError(&kind.ExclusiveMinimum{Got: n.rat(), Want: l.above.exact})
	}
	if l.below != nil && n.compare(l.below) >= 0 {
		ctx.AddError(&kind.ExclusiveMaximum{Got: n.rat(), Want: l.below.exact})
	}
	if l.multipleOf != nil && !n.multipleOf(l.multipleOf) {
		ctx.AddError(&kind.MultipleOf{Got: n.rat(), Want: l.multipleOf.exact})
	}
}

// datum is the number that is looked at: a word, or else a literal that becomes
// a fraction once somebody asks.
type datum struct {
	word    int64
	fits    bool
	literal string
	exact   *big.Rat
}

func (n *datum) rat() *big.Rat {
	if n.exact == nil {
		if n.fits {
			n.exact = new(big.Rat).SetInt64(n.word)
		} else {
			n.exact, _ = new(big.Rat).SetString(n.literal) // checked: well-formed, not too large
		}
	}
	return n.exact
}

func (n *datum) compare(l *limit) int {
	if n.fits && l.fits {
		switch {
		case n.word < l.word:
			return -1
		case n.word > l.word:
			return 1
		}
		return 0
	}
	return n.rat().Cmp(l.exact)
}

func (n *datum) multipleOf(l *limit) bool {
	if n.fits && l.fits {
		return n.word%l.word == 0 // the metaschemas want it above 0
	}
	return new(big.Rat).Quo(n.rat(), l.exact).IsInt()
}

// wantedTypes is "type" where it has "integer" in it.
type wantedTypes struct{ names []string }

// replaceIntegers takes "type" away from a node where it has "integer" and not
// "number" in it.
func replaceIntegers(n *jsonschema.Schema) *wantedTypes {
	if n.Types == nil {
		return nil
	}
	names := n.Types.ToStrings()
	if !slices.Contains(names, "integer") || slices.Contains(names, "number") {
		return nil
	}
	n.Types = nil
	return &wantedTypes{names}
}

// check gives a *wrongType when v is of none of the types.
func (w *wantedTypes) check(v any) error {
	if w == nil {
		return nil
	}
	got := ""
	switch v := v.(type) {
	case int64:
		return nil
	case json.Number:
		if isWhole(string(v)) {
			return nil
		}
		got = "number"
	case nil:
		got = "null"
	case bool:
		got = "boolean"
	case string:
		got = "string"
	case []any:
		got = "array"
	case map[string]any:
		got = "object"
	}
	if slices.Contains(w.names, got) {
		return nil
	}
	return &wrongType{got: got, want: w.names}
}

// wrongType travels through the engine as the error of a format.
type wrongType struct {
	got  string
	want []string
}

func (e *wrongType) Error() string { return "got " + e.got + ", want " + strings.Join(e.want, " or ") }

// typeFault gives the types in a fault that is about types.
func typeFault(k jsonschema.ErrorKind) (got string, want []string, ok bool) {
	switch k := k.(type) {
	case *kind.Type:
		return k.Got, k.Want, true
	case *kind.Format:
		if e, ok := errors.AsType[*wrongType](k.Err); ok {
			return e.got, e.want, true
		}
	}
	return "", nil, false
}
