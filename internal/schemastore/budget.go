package schemastore

import (
	"encoding/json"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The engine has no context and no limit, and a small schema can make it visit
// a value exponentially often. So every node of a compiled schema gets a meter:
// the engine asks a node's format before it goes on to other nodes, whatever
// the draft and the type of the value, and there the meter charges for what the
// node is about to do. One step is about a microsecond at most.

// budget is what is left of the steps of one validation.
type budget struct{ left int }

// exhausted is what the meter panics with: the engine knows no other way out.
type exhausted struct{}

func (b *budget) charge(steps int) {
	b.left -= steps
	if b.left < 0 {
		panic(exhausted{})
	}
}

// What things cost, in steps. Each visit of a node is paid for by the node that
// causes it, since a visit may end before it reaches the meter.
const (
	dynamicCost   = 50  // the engine looks through all places it came through
	textPerStep   = 100 // instructions of a pattern, times bytes
	namesPerStep  = 8   // required names that are looked up
	digitsPerStep = 16  // digits of a number in arithmetic
)

// cost is the price of a node.
type cost struct {
	fixed   int // whatever the value
	members int // for each member of an object
	items   int // for each item of an array
	names   int // pattern instructions for each byte of the members' names
	text    int // the same for a string
	sets    bool
}

// meter puts a meter at each node.
func (g *graph) meter(b *budget) {
	costs := make([]cost, len(g.nodes))
	for i, n := range g.nodes {
		costs[i] = g.costOf(n)
	}
	for i, n := range g.nodes { // the keywords replaced here had to be priced before
		if n.Bool != nil {
			continue
		}
		before := entry{types: replaceIntegers(n), choices: replaceChoices(n, b)}
		replaceLimits(n)
		replaceKeywords(n, b)
		n.Format = metered(n.Format, before, costs[i], b)
	}
}

// entry is what is checked at a node before anything else: what fails here has
// cost nothing yet.
type entry struct {
	types   *wantedTypes
	choices []*choices
}

func (e entry) check(v any) error {
	if err := e.types.check(v); err != nil {
		return err
	}
	for _, c := range e.choices {
		if err := c.check(v); err != nil {
			return err
		}
	}
	return nil
}

// metered gives the format that checks what the node's own format did and more.
func metered(format *jsonschema.Format, before entry, c cost, b *budget) *jsonschema.Format {
	name, validate := "", func(any) error { return nil }
	if format != nil {
		name, validate = format.Name, refineFormat(format.Name, format.Validate)
	}
	return &jsonschema.Format{Name: name, Validate: func(v any) error {
		if err := before.check(v); err != nil {
			return err
		}
		b.charge(c.of(v))
		return validate(v)
	}}
}

func (c cost) of(v any) int {
	steps := c.fixed
	switch v := v.(type) {
	case map[string]any:
		steps += c.members * len(v)
		for name, member := range v {
			steps += (1+c.names)*len(name)/textPerStep + c.setsOf(member)
		}
	case []any:
		steps += c.items * len(v)
		if c.sets {
			for _, item := range v {
				steps += c.setsOf(item)
			}
		}
	case string:
		steps += c.text * len(v) / textPerStep
	case json.Number: // arithmetic on all its digits, written out
		steps += len(v) / digitsPerStep
		if strings.ContainsAny(string(v), "eE") {
			steps += MaxExponent / digitsPerStep
		}
	}
	return steps
}

// setsOf prices the set of names or indexes that the engine makes of a member
// or an item even if its type is wrong.
func (c cost) setsOf(v any) int {
	if !c.sets {
		return 0
	}
	switch v := v.(type) {
	case map[string]any:
		return len(v)
	case []any:
		return len(v)
	}
	return 0
}

func (g *graph) costOf(n *jsonschema.Schema) cost {
	c := cost{text: 1, fixed: (len(n.Required) + len(n.DependentRequired) + len(n.Dependencies)) / namesPerStep}
	for _, names := range n.DependentRequired {
		c.fixed += len(names) / namesPerStep
	}
	for _, names := range n.Dependencies {
		if names, ok := names.([]string); ok {
			c.fixed += len(names) / namesPerStep
		}
	}
	children := inPlace(n)
	c.fixed += len(children)
	if n.DynamicRef != nil || n.RecursiveRef != nil {
		c.fixed += dynamicCost
	}
	if g.uneval {
		c.members, c.items, c.sets = len(children), len(children), true
	}
	g.chargeMembers(n, &c)
	c.items += len(collect(n.Contains)) + min(1, len(itemSchemas(n)))
	if p, ok := n.Pattern.(*pattern); ok {
		c.text += p.size
	}
	if n.Format != nil {
		c.text += 4
	}
	return c
}

// chargeMembers prices what a node does with each member of an object.
func (g *graph) chargeMembers(n *jsonschema.Schema, c *cost) {
	_, additional := n.AdditionalProperties.(*jsonschema.Schema)
	if len(n.Properties) > 0 || additional {
		c.members++
	}
	for re := range n.PatternProperties {
		c.members++
		if p, ok := re.(*pattern); ok {
			c.names += p.size
		}
	}
	c.members += len(collect(n.PropertyNames, n.UnevaluatedProperties))
}

// itemSchemas gives the schemas of which one applies to an item.
func itemSchemas(n *jsonschema.Schema) []*jsonschema.Schema {
	all := forItems(n)
	if n.Contains != nil {
		all = all[1:]
	}
	return all
}
