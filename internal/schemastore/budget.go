package schemastore

import (
	"encoding/json"

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
	dynamicCost  = 50  // the engine looks through all places it came through
	textPerStep  = 100 // instructions of a pattern, times bytes
	valuePerStep = 8   // values of an enum or const that are compared
	setPerStep   = 4   // names or indexes in the sets for unevaluated…
)

// cost is the price of a node.
type cost struct {
	fixed   int // whatever the value
	members int // for each member of an object
	items   int // for each item of an array
	names   int // pattern instructions for each byte of the members' names
	text    int // the same for a string
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
		types := replaceIntegers(n)
		replaceLimits(n)
		replaceKeywords(n, b)
		n.Format = metered(n.Format, types, costs[i], b)
	}
}

// metered gives the format that checks what the node's own format did and more.
func metered(format *jsonschema.Format, types *wantedTypes, c cost, b *budget) *jsonschema.Format {
	name, validate := "", func(any) error { return nil }
	if format != nil {
		name, validate = format.Name, refineFormat(format.Name, format.Validate)
	}
	return &jsonschema.Format{Name: name, Validate: func(v any) error {
		if err := types.check(v); err != nil {
			return err
		}
		b.charge(c.of(v))
		return validate(v)
	}}
}

func (c cost) of(v any) int {
	switch v := v.(type) {
	case map[string]any:
		steps := c.fixed + c.members*len(v)
		if c.names > 0 {
			for name := range v {
				steps += c.names * len(name) / textPerStep
			}
		}
		return steps
	case []any:
		return c.fixed + c.items*len(v)
	case string:
		return c.fixed + c.text*len(v)/textPerStep
	case json.Number:
		return c.fixed + len(v)/textPerStep
	}
	return c.fixed
}

func (g *graph) costOf(n *jsonschema.Schema) cost {
	c := cost{text: 1, fixed: (len(n.Required) + len(n.DependentRequired) + len(n.Dependencies)) / valuePerStep}
	for _, names := range n.DependentRequired {
		c.fixed += len(names) / valuePerStep
	}
	for _, names := range n.Dependencies {
		if names, ok := names.([]string); ok {
			c.fixed += len(names) / valuePerStep
		}
	}
	children := inPlace(n)
	c.fixed += visits(children, false)
	if n.DynamicRef != nil || n.RecursiveRef != nil {
		c.fixed += dynamicCost
	}
	if g.uneval {
		sets := (len(children) + setPerStep - 1) / setPerStep
		c.members, c.items = sets, sets
	}
	g.chargeMembers(n, &c)
	c.items += visits(collect(n.Contains), false) + visits(itemSchemas(n), true)
	if p, ok := n.Pattern.(*pattern); ok {
		c.text += p.size
	}
	if n.Format != nil {
		c.text += 4
	}
	return c
}

func (g *graph) chargeMembers(n *jsonschema.Schema, c *cost) {
	var alternatives []*jsonschema.Schema // of which one applies to a member
	for _, s := range n.Properties {
		alternatives = append(alternatives, s)
	}
	if s, ok := n.AdditionalProperties.(*jsonschema.Schema); ok {
		alternatives = append(alternatives, s)
	}
	c.members += visits(alternatives, true)
	for re, s := range n.PatternProperties {
		c.members += visits(collect(s), false)
		if p, ok := re.(*pattern); ok {
			c.names += p.size
		}
	}
	c.members += visits(collect(n.PropertyNames, n.UnevaluatedProperties), false)
}

// itemSchemas gives the schemas of which one applies to an item.
func itemSchemas(n *jsonschema.Schema) []*jsonschema.Schema {
	all := forItems(n)
	if n.Contains != nil {
		all = all[1:]
	}
	return all
}

// visits prices the visit of all nodes, or of the dearest one.
func visits(nodes []*jsonschema.Schema, oneOf bool) int {
	sum, dearest := 0, 0
	for _, n := range nodes {
		price := 1 + entryCost(n)
		sum += price
		dearest = max(dearest, price)
	}
	if oneOf {
		return dearest
	}
	return sum
}

// entryCost prices what the engine does at a node before it reaches the meter:
// comparing the value with enum and const.
func entryCost(n *jsonschema.Schema) int {
	steps := 0
	if n.Enum != nil {
		for _, v := range n.Enum.Values {
			steps += valueCost(v)
		}
	}
	if n.Const != nil {
		steps += valueCost(*n.Const)
	}
	return steps / valuePerStep
}

// valueCost counts the values in v. Numbers count eightfold: the engine parses
// both sides anew for each comparison.
func valueCost(v any) int {
	switch v := v.(type) {
	case map[string]any:
		steps := 1
		for _, member := range v {
			steps += valueCost(member)
		}
		return steps
	case []any:
		steps := 1
		for _, item := range v {
			steps += valueCost(item)
		}
		return steps
	case json.Number:
		return valuePerStep * (1 + len(v)/textPerStep)
	case int64:
		return valuePerStep
	}
	return 1
}
