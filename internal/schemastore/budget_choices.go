package schemastore

import (
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// choices are the values of an enum or a const. The engine compares the value
// with each of them and parses numbers anew each time, so that a large enum
// multiplies with the data; one look-up in a set of fingerprints says the same.
type choices struct {
	keyword string // "enum" or "const"
	values  []any
	prints  map[string]bool
	shapes  string // the first bytes of the fingerprints: other values need none
	budget  *budget
}

// replaceChoices takes enum and const away from the engine.
func replaceChoices(n *jsonschema.Schema, b *budget) []*choices {
	var all []*choices
	if n.Const != nil {
		all = append(all, newChoices("const", []any{*n.Const}, b))
		n.Const = nil
	}
	if n.Enum != nil {
		all = append(all, newChoices("enum", n.Enum.Values, b))
		n.Enum = nil
	}
	return all
}

func newChoices(keyword string, values []any, b *budget) *choices {
	c := &choices{keyword: keyword, values: values, prints: map[string]bool{}, budget: b}
	for _, v := range values {
		print := string(appendFingerprint(nil, v))
		c.prints[print] = true
		if strings.IndexByte(c.shapes, print[0]) < 0 {
			c.shapes += print[:1]
		}
	}
	return c
}

// check gives a *notChosen when v is none of the values.
func (c *choices) check(v any) error {
	if strings.IndexByte(c.shapes, shapeOf(v)) < 0 {
		return &notChosen{c}
	}
	var buf [64]byte
	print := appendFingerprint(buf[:0], v)
	c.budget.charge(len(print) / textPerStep)
	if !c.prints[string(print)] {
		return &notChosen{c}
	}
	return nil
}

// notChosen travels through the engine as the error of a format.
type notChosen struct{ *choices }

func (e *notChosen) Error() string { return "none of the values of " + e.keyword }

// describe puts the fault into words.
func (e *notChosen) describe() (keyword, detail string) {
	if e.keyword == "const" {
		return "const", "must be " + showConst(e.values[0])
	}
	return "enum", "must be one of " + showValues(e.values)
}
