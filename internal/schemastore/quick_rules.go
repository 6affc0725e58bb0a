package schemastore

import (
	"math/bits"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// types is a set of JSON types. An integer is also of typeNumber by its first
// byte; typeInteger alone wants it whole.
type types uint8

const (
	typeNull types = 1 << iota
	typeTrue
	typeFalse
	typeNumber
	typeString
	typeArray
	typeObject
	typeInteger
)

// typeOf gives the type that a value of that first byte can only have, 0 for
// none.
func typeOf(first byte) types {
	switch first {
	case '"':
		return typeString
	case '{':
		return typeObject
	case '[':
		return typeArray
	case 't':
		return typeTrue
	case 'f':
		return typeFalse
	case 'n':
		return typeNull
	}
	if first == '-' || '0' <= first && first <= '9' {
		return typeNumber
	}
	return 0
}

// fixed is the answer of a rule that does not look at the value.
type fixed uint8

const (
	unchecked fixed = iota // it does look
	always
	never
	undecided // a keyword that the rules do not have
)

// rule is one node of a schema.
type rule struct {
	fixed    fixed
	same     *rule // the only thing this one does is to apply that one
	own      bool  // some of the next five are set
	types    types // 0: any
	choices  *scalars
	text     *textRule
	limits   *limits
	object   *objectRule
	array    *arrayRule
	branches int // schemas for the same value: those that follow

	all, some, one        []*rule
	not                   *rule
	cond, then, otherwise *rule
}

// ruleBuilder makes rules of nodes, each once: schemas lead back to themselves.
type ruleBuilder struct {
	rules map[*jsonschema.Schema]*rule
}

func (b *ruleBuilder) rule(n *jsonschema.Schema) *rule {
	if r := b.rules[n]; r != nil {
		return r
	}
	r := &rule{}
	b.rules[n] = r
	switch {
	case n.Bool != nil && *n.Bool:
		r.fixed = always
	case n.Bool != nil:
		r.fixed = never
	case beyondRules(n):
		r.fixed = undecided
	default:
		b.fill(r, n)
	}
	return r
}

// beyondRules says whether a node has a keyword that the rules do not have.
func beyondRules(n *jsonschema.Schema) bool {
	return n.RecursiveRef != nil || n.DynamicRef != nil ||
		n.PropertyNames != nil || len(n.Dependencies) > 0 || len(n.DependentRequired) > 0 || len(n.DependentSchemas) > 0 ||
		n.UnevaluatedProperties != nil || n.UnevaluatedItems != nil ||
		n.Contains != nil || n.MinContains != nil || n.MaxContains != nil ||
		n.ContentEncoding != nil || n.ContentMediaType != nil || n.ContentSchema != nil ||
		len(n.Extensions) > 0
}

func (b *ruleBuilder) fill(r *rule, n *jsonschema.Schema) {
	if n.Ref != nil {
		r.all = append(r.all, b.rule(n.Ref))
		if n.DraftVersion < 2019 {
			b.alone(r, n)
			return
		}
	}
	r.all = append(r.all, b.list(n.AllOf)...)
	r.some, r.one = b.list(n.AnyOf), b.list(n.OneOf)
	r.not = b.maybe(n.Not)
	if n.Then != nil || n.Else != nil {
		r.cond, r.then, r.otherwise = b.maybe(n.If), b.maybe(n.Then), b.maybe(n.Else)
	}
	r.branches = len(r.all) + len(r.some) + len(r.one)
	if r.not != nil {
		r.branches++
	}
	if r.cond != nil {
		r.branches++
	}
	r.types = typesOf(n.Types)
	r.choices = newScalars(n)
	r.text = newTextRule(n)
	r.limits = newLimits(n)
	r.array = b.array(n)
	object, decided := b.object(n)
	r.object = object
	r.own = r.types != 0 || r.choices != nil || r.text != nil || r.limits != nil || r.object != nil || r.array != nil
	switch {
	case !decided || n.Const != nil && n.Enum != nil:
		r.fixed = undecided
	case !r.own && r.branches == 0:
		r.fixed = always
	case !r.own && r.branches == 1 && len(r.all) == 1:
		r.same = r.all[0]
	}
}

// alone is for a reference of the older drafts, which do not look at what stands
// beside it. The engine does look at "const" there.
func (b *ruleBuilder) alone(r *rule, n *jsonschema.Schema) {
	if r.choices = newScalars(n); r.choices == nil {
		r.same = r.all[0]
		return
	}
	r.own, r.branches = true, 1
}

func (b *ruleBuilder) list(nodes []*jsonschema.Schema) []*rule {
	var rules []*rule
	for _, n := range nodes {
		rules = append(rules, b.rule(n))
	}
	return rules
}

func (b *ruleBuilder) maybe(n *jsonschema.Schema) *rule {
	if n == nil {
		return nil
	}
	return b.rule(n)
}

// hopeless says whether a rule can accept nothing: then it is not worth asking.
func hopeless(r *rule) bool {
	for r.same != nil {
		r = r.same
	}
	return r.fixed == undecided || slices.ContainsFunc(r.all, hopeless)
}

func typesOf(t *jsonschema.Types) types {
	if t == nil {
		return 0
	}
	var set types
	for _, name := range t.ToStrings() {
		switch name {
		case "null":
			set |= typeNull
		case "boolean":
			set |= typeTrue | typeFalse
		case "number":
			set |= typeNumber
		case "integer":
			set |= typeInteger
		case "string":
			set |= typeString
		case "array":
			set |= typeArray
		case "object":
			set |= typeObject
		}
	}
	return set
}

// nameSet is a set of an object rule's names, by their index.
type nameSet [maxRuleNames / 64]uint64

// maxRuleNames is how many names of its own a rule for objects may have.
const maxRuleNames = 256

func (s *nameSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s *nameSet) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s *nameSet) holds(all *nameSet) bool {
	for i := range s {
		if bits.OnesCount64(all[i]&^s[i]) > 0 {
			return false
		}
	}
	return true
}
