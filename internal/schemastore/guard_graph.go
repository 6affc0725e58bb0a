package schemastore

import (
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/internal/stream"
)

const (
	// maxChain bounds how many subschemas may apply to one value one inside the
	// other, by $ref, allOf, not and the like. At each, the engine looks back
	// over the whole chain.
	maxChain = 64
	// maxWeight bounds how many subschemas may apply to one value in all: 18
	// levels of a two-way anyOf are 262,144, from one kilobyte of text.
	maxWeight = 20_000
)

// graph is a compiled schema: its nodes, and which of them apply to the same
// value.
type graph struct {
	nodes  []*jsonschema.Schema
	seen   map[*jsonschema.Schema]*nodeInfo
	uneval bool // some unevaluatedProperties or -Items: the engine keeps sets of names
}

// nodeInfo is what check finds out about a node.
type nodeInfo struct {
	state  int // of the depth-first search
	chain  int // longest way through nodes for the same value, this one included
	weight int // how many such nodes in all, each counted as often as it is reached
}

const (
	fresh = iota
	open
	done
)

func newGraph(roots []*jsonschema.Schema) *graph {
	g := &graph{seen: map[*jsonschema.Schema]*nodeInfo{}}
	pending := roots
	for len(pending) > 0 {
		n := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if g.seen[n] != nil {
			continue
		}
		g.seen[n] = &nodeInfo{}
		g.nodes = append(g.nodes, n)
		g.uneval = g.uneval || n.UnevaluatedItems != nil || n.UnevaluatedProperties != nil
		pending = append(pending, inPlace(n)...)
		pending = append(pending, forMembers(n)...)
		pending = append(pending, forItems(n)...)
	}
	return g
}

// check refuses a schema that applies to one value without end or too often.
func (g *graph) check() error {
	for _, n := range g.nodes {
		if err := g.weigh(n); err != nil {
			return err
		}
	}
	return nil
}

func (g *graph) weigh(n *jsonschema.Schema) error {
	info := g.seen[n]
	switch info.state {
	case done:
		return nil
	case open:
		return refused(stream.Violation{Pointer: schemaPointer(n.Location), Keyword: "$ref", Detail: "this subschema leads back to itself without going down into the data"})
	}
	info.state, info.chain, info.weight = open, 1, 1
	for _, child := range inPlace(n) {
		if err := g.weigh(child); err != nil {
			return err
		}
		c := g.seen[child]
		info.chain = max(info.chain, c.chain+1)
		info.weight = min(info.weight+c.weight, maxWeight+1)
	}
	info.state = done
	switch {
	case info.chain > maxChain:
		return refused(stream.Violation{Pointer: schemaPointer(n.Location), Detail: "more than " + strconv.Itoa(maxChain) + " subschemas apply to one value one inside the other: make it flatter"})
	case info.weight > maxWeight:
		return refused(stream.Violation{Pointer: schemaPointer(n.Location), Detail: "more than " + strconv.Itoa(maxWeight) + " subschemas apply to one value: the alternatives multiply, so make fewer of them"})
	}
	return nil
}

// inPlace gives the subschemas that n applies to the value it is applied to.
func inPlace(n *jsonschema.Schema) []*jsonschema.Schema {
	next := collect(n.Ref, n.RecursiveRef, n.Not, n.If, n.Then, n.Else)
	if n.DynamicRef != nil {
		next = append(next, n.DynamicRef.Ref)
	}
	next = append(next, n.AllOf...)
	next = append(next, n.AnyOf...)
	next = append(next, n.OneOf...)
	for _, s := range n.DependentSchemas {
		next = append(next, s)
	}
	for _, d := range n.Dependencies {
		if s, ok := d.(*jsonschema.Schema); ok {
			next = append(next, s)
		}
	}
	return next
}

// forMembers gives the subschemas for the members of an object, and their names.
func forMembers(n *jsonschema.Schema) []*jsonschema.Schema {
	next := collect(n.PropertyNames, n.UnevaluatedProperties)
	for _, s := range n.Properties {
		next = append(next, s)
	}
	for _, s := range n.PatternProperties {
		next = append(next, s)
	}
	if s, ok := n.AdditionalProperties.(*jsonschema.Schema); ok {
		next = append(next, s)
	}
	return next
}

// forItems gives the subschemas for the items of an array.
func forItems(n *jsonschema.Schema) []*jsonschema.Schema {
	next := collect(n.Contains, n.Items2020, n.UnevaluatedItems, n.ContentSchema)
	next = append(next, n.PrefixItems...)
	switch items := n.Items.(type) {
	case *jsonschema.Schema:
		next = append(next, items)
	case []*jsonschema.Schema:
		next = append(next, items...)
	}
	if s, ok := n.AdditionalItems.(*jsonschema.Schema); ok {
		next = append(next, s)
	}
	return next
}

func collect(nodes ...*jsonschema.Schema) []*jsonschema.Schema {
	var present []*jsonschema.Schema
	for _, n := range nodes {
		if n != nil {
			present = append(present, n)
		}
	}
	return present
}

// schemaPointer gives the fragment of a place in the schema, "#" when it lies
// in a built-in metaschema.
func schemaPointer(location string) string {
	if pointer, ok := strings.CutPrefix(location, schemaURL+"#"); ok {
		return "#" + pointer
	}
	return "#"
}
