package schemastore

import (
	"math"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// fewNames is how many names are compared one by one; more are looked up.
const fewNames = 8

// objectRule is what a schema says about objects.
type objectRule struct {
	names    []string // that the schema knows
	index    map[string]int
	members  []*rule // by the name's index; nil for a name that is only required
	required nameSet
	patterns []patternRule
	other    *rule // of members that nothing else is about; nil: anything
	min, max int
}

type patternRule struct {
	*pattern

	rule *rule
}

// object makes the rule, nil where the schema says nothing about objects, and
// false for a schema with very many names.
func (b *ruleBuilder) object(n *jsonschema.Schema) (o *objectRule, ok bool) {
	o = &objectRule{index: map[string]int{}, min: atLeast(n.MinProperties), max: atMost(n.MaxProperties)}
	for name, sub := range n.Properties {
		o.add(name, b.rule(sub))
	}
	for _, name := range n.Required {
		o.add(name, nil)
	}
	if len(o.names) > maxRuleNames {
		return nil, false
	}
	for re, sub := range n.PatternProperties {
		p, ok := re.(*pattern)
		if !ok {
			return nil, false
		}
		o.patterns = append(o.patterns, patternRule{p, b.rule(sub)})
	}
	switch additional := n.AdditionalProperties.(type) {
	case bool:
		if !additional {
			o.other = &rule{fixed: never}
		}
	case *jsonschema.Schema:
		o.other = b.rule(additional)
	}
	for _, name := range n.Required {
		o.required.add(o.index[name])
	}
	if len(o.names) == 0 && len(o.patterns) == 0 && o.other == nil && o.min == 0 && o.max == math.MaxInt {
		return nil, true
	}
	return o, true
}

func (o *objectRule) add(name string, r *rule) {
	if _, known := o.index[name]; known {
		return
	}
	o.index[name] = len(o.names)
	o.names, o.members = append(o.names, name), append(o.members, r)
}

func (o *objectRule) find(name []byte) int {
	if len(o.names) <= fewNames {
		for i, known := range o.names {
			if known == string(name) {
				return i
			}
		}
		return -1
	}
	if i, ok := o.index[string(name)]; ok {
		return i
	}
	return -1
}

// object checks an object. A name that is unusual, or there twice, is for the
// engine to look at.
func (q *run) object(o *objectRule, at, levels int) (int, verdict) {
	if levels <= 0 {
		return 0, unsure
	}
	mark := q.text.Mark()
	end, v := q.members(o, at, levels, mark)
	q.text.Release(mark)
	return end, v
}

func (q *run) members(o *objectRule, at, levels, mark int) (int, verdict) {
	var seen nameSet
	count := 0
	at = q.text.Space(at + 1)
	if q.text.At(at) == '}' {
		return o.end(at+1, count, &seen)
	}
	for {
		start, stop, value := q.text.Name(at)
		if value < 0 {
			return 0, unsure
		}
		name := q.text.Bytes(start, stop)
		known := o.find(name)
		switch {
		case known < 0 && !q.text.Note(mark, start, stop), known >= 0 && seen.has(known):
			return 0, unsure
		case known >= 0:
			seen.add(known)
		}
		end, v := q.member(o, known, name, value, levels-1)
		if v != valid {
			return 0, v
		}
		count++
		at = q.text.Space(end)
		switch q.text.At(at) {
		case ',':
			at = q.text.Space(at + 1)
		case '}':
			return o.end(at+1, count, &seen)
		default:
			return 0, unsure
		}
	}
}

// end checks what is known only when all members were seen.
func (o *objectRule) end(end, count int, seen *nameSet) (int, verdict) {
	if count < o.min || count > o.max || !seen.holds(&o.required) {
		return 0, invalid
	}
	return end, valid
}

// member applies all that the rule has for a member of that name.
func (q *run) member(o *objectRule, known int, name []byte, at, levels int) (end int, v verdict) {
	if !q.charge(1) {
		return 0, unsure
	}
	applied := known >= 0 && o.members[known] != nil
	if applied {
		if end, v = q.value(o.members[known], at, levels); v != valid {
			return 0, v
		}
	}
	for _, p := range o.patterns {
		if !q.charge(1 + p.size*len(name)/textPerStep) {
			return 0, unsure
		}
		if p.Match(name) {
			applied = true
			if end, v = q.value(p.rule, at, levels); v != valid {
				return 0, v
			}
		}
	}
	switch {
	case applied:
		return end, valid
	case o.other != nil:
		return q.value(o.other, at, levels)
	}
	return q.any(at, levels)
}

func atLeast(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func atMost(n *int) int {
	if n == nil {
		return math.MaxInt
	}
	return *n
}
