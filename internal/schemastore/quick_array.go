package schemastore

import (
	"bytes"
	"math"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// fewItems is how many items are compared with each other for uniqueItems.
const fewItems = 16

// arrayRule is what a schema says about arrays.
type arrayRule struct {
	prefix   []*rule
	rest     *rule // of the items behind the prefix; nil: anything
	min, max int
	unique   bool
}

// array makes the rule, nil where the schema says nothing about arrays.
func (b *ruleBuilder) array(n *jsonschema.Schema) *arrayRule {
	a := &arrayRule{min: atLeast(n.MinItems), max: atMost(n.MaxItems), unique: n.UniqueItems}
	if n.DraftVersion >= 2020 {
		a.prefix, a.rest = b.list(n.PrefixItems), b.maybe(n.Items2020)
	} else {
		b.olderItems(a, n)
	}
	if len(a.prefix) == 0 && a.rest == nil && a.min == 0 && a.max == math.MaxInt && !a.unique {
		return nil
	}
	return a
}

// olderItems reads "items" as the drafts before 2020-12 have it.
func (b *ruleBuilder) olderItems(a *arrayRule, n *jsonschema.Schema) {
	switch items := n.Items.(type) {
	case *jsonschema.Schema:
		a.rest = b.rule(items)
		return // additionalItems does not count
	case []*jsonschema.Schema:
		a.prefix = b.list(items)
	}
	switch additional := n.AdditionalItems.(type) {
	case bool:
		if !additional {
			a.rest = &rule{fixed: never}
		}
	case *jsonschema.Schema:
		a.rest = b.rule(additional)
	}
}

func (q *run) array(a *arrayRule, at, levels int) (int, verdict) {
	if levels <= 0 {
		return 0, unsure
	}
	var items [fewItems]struct{ start, end int }
	count := 0
	at = q.text.Space(at + 1)
	if q.text.At(at) == ']' {
		return a.end(at+1, count)
	}
	for {
		end, v := q.item(a, count, at, levels-1)
		if v != valid {
			return 0, v
		}
		if a.unique {
			// Of strings without escapes the text alone says whether they are equal.
			text := q.text.Bytes(at, end)
			if count >= fewItems || text[0] != '"' || bytes.IndexByte(text, '\\') >= 0 {
				return 0, unsure
			}
			for _, other := range items[:count] {
				if bytes.Equal(text, q.text.Bytes(other.start, other.end)) {
					return 0, invalid
				}
			}
			items[count].start, items[count].end = at, end
		}
		count++
		at = q.text.Space(end)
		switch q.text.At(at) {
		case ',':
			at = q.text.Space(at + 1)
		case ']':
			return a.end(at+1, count)
		default:
			return 0, unsure
		}
	}
}

func (q *run) item(a *arrayRule, i, at, levels int) (int, verdict) {
	if !q.charge(1) {
		return 0, unsure
	}
	switch {
	case i < len(a.prefix):
		return q.value(a.prefix[i], at, levels)
	case a.rest != nil:
		return q.value(a.rest, at, levels)
	}
	return q.any(at, levels)
}

func (a *arrayRule) end(end, count int) (int, verdict) {
	if count < a.min || count > a.max {
		return 0, invalid
	}
	return end, valid
}
