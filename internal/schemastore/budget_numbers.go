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
// keyword that looks at it. Most numbers are short decimals, and most limits
// too: for these the keywords are replaced by plain comparisons, with the same
// results.

// replaceLimits takes minimum, maximum and multipleOf away from the engine.
func replaceLimits(n *jsonschema.Schema) {
	l := newLimits(n)
	if l == nil {
		return
	}
	n.Minimum, n.Maximum, n.ExclusiveMinimum, n.ExclusiveMaximum, n.MultipleOf = nil, nil, nil, nil, nil
	n.Extensions = append(n.Extensions, *l)
}

// newLimits gives nil for a node without any.
func newLimits(n *jsonschema.Schema) *limits {
	l := limits{
		minimum: newLimit(n.Minimum), maximum: newLimit(n.Maximum),
		above: newLimit(n.ExclusiveMinimum), below: newLimit(n.ExclusiveMaximum),
		multipleOf: newLimit(n.MultipleOf),
	}
	if l == (limits{}) {
		return nil
	}
	return &l
}

// limits are the keywords that only look at numbers.
type limits struct{ minimum, maximum, above, below, multipleOf *limit }

// limit is one keyword's value.
type limit struct {
	decimal

	exact *big.Rat
}

func newLimit(r *big.Rat) *limit {
	if r == nil {
		return nil
	}
	return &limit{decimal: decimalOf(r), exact: r}
}

// Validate reports each limit that the number v is beyond.
func (l limits) Validate(ctx *jsonschema.ValidatorContext, v any) {
	n := datum{}
	switch v := v.(type) {
	case int64:
		n.decimal = decimal{digits: v, ok: true}
	case json.Number:
		n = numberOf([]byte(v))
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

// hold says whether the number is within all limits.
func (l *limits) hold(n *datum) bool {
	return (l.minimum == nil || n.compare(l.minimum) >= 0) &&
		(l.maximum == nil || n.compare(l.maximum) <= 0) &&
		(l.above == nil || n.compare(l.above) > 0) &&
		(l.below == nil || n.compare(l.below) < 0) &&
		(l.multipleOf == nil || n.multipleOf(l.multipleOf))
}

// datum is the number that is looked at: a short decimal, or else a literal that
// becomes a fraction once somebody asks.
type datum struct {
	decimal

	literal []byte
	exact   *big.Rat
}

// numberOf reads a number literal that was checked: it is well-formed, and not
// too large.
func numberOf(literal []byte) datum { return datum{decimal: readDecimal(literal), literal: literal} }

func (n *datum) rat() *big.Rat {
	if n.exact == nil {
		if n.literal == nil {
			n.exact = new(big.Rat).SetInt64(n.digits)
		} else {
			n.exact, _ = new(big.Rat).SetString(string(n.literal))
		}
	}
	return n.exact
}

func (n *datum) compare(l *limit) int {
	if n.ok && l.ok {
		return n.decimal.compare(l.decimal)
	}
	return n.rat().Cmp(l.exact)
}

func (n *datum) multipleOf(l *limit) bool {
	if n.ok && l.ok {
		if is, known := n.decimal.multipleOf(l.decimal); known {
			return is
		}
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
