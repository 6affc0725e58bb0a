package schemastore

import (
	"encoding/json"
	"net/url"
	"runtime"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/internal/stream"
)

const (
	// schemaURL is the name of the schema inside its compiler, and the base of
	// its relative references. Nothing is ever fetched.
	schemaURL = "sluice:///schema"
	// verdictURL names the schema that is valid where the other is not.
	verdictURL = "sluice:///verdict"
)

// settings is what the conformance tests change; the zero value is the product.
type settings struct {
	draft     *jsonschema.Draft // for schemas without $schema; nil: 2020-12
	resources map[string]any    // documents that references may lead to, by URL
}

// Compile makes a validator of a JSON Schema: draft 4, 6, 7, 2019-09 or 2020-12
// as "$schema" says, 2020-12 without one. Formats are assertions; names of
// formats that the drafts do not define are annotations, as the specification
// demands ("an implementation MUST NOT fail validation or cease processing due
// to an unknown format attribute"), and so are contentEncoding and
// contentMediaType. Patterns are those of ECMA-262, run by RE2.
//
// A schema that cannot be honoured in full (unknown $schema, a reference that
// leads nowhere or outside the schema, a pattern that RE2 cannot run, a keyword
// with a value it cannot have) or that is beyond a limit of this package is
// refused with InvalidSchema and the places at fault, as pointers into the
// schema. Text that is no JSON is MalformedJSON.
func Compile(schema json.RawMessage) (*Validator, error) {
	return compile(schema, settings{})
}

func compile(schema []byte, set settings) (*Validator, error) {
	if len(schema) > MaxSchemaSize {
		return nil, stream.Errorf(stream.InvalidSchema, "the schema is larger than %d KiB: leave out what it does not need, or split it", MaxSchemaSize>>10)
	}
	doc, err := newDecoder().decode(schema)
	if err != nil {
		return nil, schemaUnreadable(err)
	}
	survey, err := surveySchema(doc)
	if err != nil {
		return nil, err
	}
	build := func() (*engine, error) { return newEngine(survey, set) }
	first, err := build()
	if err != nil {
		return nil, err
	}
	copies := min(runtime.GOMAXPROCS(0), max(2, maxPooledNodes/first.nodes))
	v := &Validator{engines: newPool(first, copies, build), quick: first.quick}
	first.quick = nil
	return v, nil
}

// engine is one compiled copy of a schema. Its budget makes it usable by one
// validation at a time.
type engine struct {
	schema  *jsonschema.Schema
	verdict *jsonschema.Schema // {"not": schema}: stops at the first fault and describes none
	decoder *decoder
	budget  *budget
	nodes   int
	quick   *quick // of the first copy; one does for all
}

// newEngine compiles the surveyed schema. There is one compiler per
// compilation: it is a heap of unguarded maps, and what it loaded for one
// schema must not be visible to another.
func newEngine(s *survey, set settings) (*engine, error) {
	c := newCompiler(set)
	if err := c.AddResource(schemaURL, s.doc); err != nil {
		return nil, s.explain(err)
	}
	if err := c.AddResource(verdictURL, map[string]any{"not": map[string]any{}}); err != nil {
		return nil, s.explain(err)
	}
	root, err := c.Compile(schemaURL)
	if err != nil {
		return nil, s.explain(err)
	}
	verdict, err := c.Compile(verdictURL)
	if err != nil {
		return nil, s.explain(err)
	}
	verdict.Not = root
	g := newGraph(append([]*jsonschema.Schema{root}, dynamicTargets(c, s)...))
	if err := g.check(); err != nil {
		return nil, err
	}
	e := &engine{schema: root, verdict: verdict, decoder: newDecoder(), budget: &budget{}, nodes: len(g.nodes), quick: newQuick(root)}
	g.meter(e.budget) // which changes the nodes
	return e, nil
}

func newCompiler(set settings) *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // no scheme: no reference is followed out of the schema
	c.AssertFormat()
	c.DefaultDraft(jsonschema.Draft2020)
	if set.draft != nil {
		c.DefaultDraft(set.draft)
	}
	c.UseRegexpEngine(newPatterns().compile)
	for _, f := range extraFormats() {
		c.RegisterFormat(f)
	}
	for url, doc := range set.resources {
		// The only error is a URL that is a metaschema's, which is built in.
		_ = c.AddResource(url, doc)
	}
	return c
}

// dynamicTargets gives the nodes that only a $dynamicRef may reach: no other
// node points to them. The compiler answers with the node it has already.
func dynamicTargets(c *jsonschema.Compiler, s *survey) []*jsonschema.Schema {
	var targets []*jsonschema.Schema
	for _, pointer := range s.dynamic {
		if node, err := c.Compile(schemaURL + "#" + url.PathEscape(pointer)); err == nil {
			targets = append(targets, node)
		}
	}
	return targets
}
