package filter

import (
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// What an expression may be.
const (
	MaxLength  = 4096    // bytes of text
	maxDepth   = 48      // of brackets and operators in each other
	maxNodes   = 2000    // of the expression, its macros expanded
	maxNesting = 3       // of all, exists, exists_one and filter in each other
	maxPattern = 300     // instructions of a regular expression
	maxCost    = 100_000 // of one evaluation; one unit is some 50 ns
)

// Compiler makes filters of text. It may be used by several goroutines at
// once.
type Compiler struct {
	env    *cel.Env
	costly prometheus.Counter
}

// New makes a compiler, whose filters count in the registry what costs too much.
// It fails only if the library and this package do not fit together.
func New(reg prometheus.Registerer) (*Compiler, error) {
	env, err := newEnvironment()
	if err != nil {
		return nil, err
	}
	return &Compiler{env: env, costly: newCostly(reg)}, nil
}

// Compile makes a filter of an expression, which must be boolean as far as the
// types tell. The error's code is InvalidRequest; its message says what is
// wrong and where.
//
// Refused is what is longer than MaxLength or nested too deeply; a regular
// expression that is not a literal or is too large; a list or map inside of a
// macro that is not constant. An evaluation that costs too much, some
// milliseconds on a record that is made for it, fails and so does not match.
func (c *Compiler) Compile(text string) (stream.Filter, error) {
	switch {
	case text == "":
		return nil, stream.Errorf(stream.InvalidRequest, "the filter is empty: leave it out, or write one such as record.data.qty > 3")
	case len(text) > MaxLength:
		return nil, stream.Errorf(stream.InvalidRequest, "the filter is longer than %d bytes", MaxLength)
	case !utf8.ValidString(text):
		return nil, stream.Errorf(stream.InvalidRequest, "the filter is not UTF-8")
	}
	return c.compile(text)
}

func (c *Compiler) compile(text string) (stream.Filter, error) {
	parsed, issues := c.env.Parse(text)
	if issues.Err() != nil {
		return nil, explain(text, issues)
	}
	rules, issues := check(parsed)
	if issues.Err() != nil {
		return nil, explain(text, issues)
	}
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		return nil, explain(text, issues)
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, stream.Errorf(stream.InvalidRequest,
			"the filter is no condition, such as record.data.qty > 3: it gives %s", cel.FormatCELType(t))
	}
	program, err := c.env.Program(checked, rules.options()...)
	if err != nil {
		return nil, stream.Errorf(stream.InvalidRequest, "the filter cannot be used: %s", short(err.Error())).Because(err)
	}
	return &filter{text: text, program: program, members: rules.members, costly: c.costly}, nil
}

// filter is one compiled expression.
type filter struct {
	text    string
	program cel.Program
	members map[string]bool // of the data, that the expression reads; nil: all
	subject sync.Pool       // of *subject, for reuse
	costly  prometheus.Counter
}

// Match says whether the expression is true for the record. It never panics
// and never fails: what cannot be evaluated does not match.
func (f *filter) Match(r *stream.Record) bool {
	s, ok := f.subject.Get().(*subject)
	if !ok {
		s = &subject{members: f.members}
	}
	s.record, s.budget = r, maxCost
	out, _, err := f.program.Eval(s)
	if s.budget < 0 {
		f.costly.Inc()
	}
	s.record, s.data, s.headers = nil, nil, nil
	f.subject.Put(s)
	return err == nil && out == types.True
}

// String gives the expression as it was written.
func (f *filter) String() string { return f.text }
