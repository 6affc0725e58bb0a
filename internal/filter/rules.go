package filter

import (
	"regexp/syntax"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
)

// maxFreeCalls is how many functions and operators an expression may have whose
// cost is not watched. Each of them costs no more than decoding the record.
const maxFreeCalls = 32

// rules are what this package adds to those of CEL: refusals, and what was seen
// while looking for them.
type rules struct {
	members map[string]bool // of the data, that are read; nil: all
	watch   bool            // cost must be watched at run time

	source *ast.SourceInfo
	errors *common.Errors
	calls  int
	whole  bool // the data is read as a whole
}

// check looks through an expression that was parsed, not yet type-checked. The
// growth of values is what it is about: with neither of them could a text of
// 4 KiB make a value that is larger than the record to the power of three.
func check(parsed *cel.Ast) (*rules, *cel.Issues) {
	tree := parsed.NativeRep()
	r := &rules{
		members: map[string]bool{},
		source:  tree.SourceInfo(),
		errors:  common.NewErrors(parsed.Source()),
	}
	r.visit(tree.Expr(), false)
	if r.whole {
		r.members = nil
	}
	r.watch = r.watch || r.calls > maxFreeCalls
	return r, cel.NewIssues(r.errors)
}

func (r *rules) refuse(e ast.Expr, message string) {
	r.errors.ReportErrorAtID(e.ID(), r.source.GetStartLocation(e.ID()), "%s", message)
}

// visit looks at an expression and what is in it; inside says that it is in
// the body of a macro, where a variable stands for each element.
func (r *rules) visit(e ast.Expr, inside bool) {
	switch e.Kind() {
	case ast.IdentKind:
		if isVariable(e) {
			r.refuse(e, "record alone is no value: name one of its members ("+memberNames+")")
		}
	case ast.SelectKind:
		r.visitSelect(e, inside)
	case ast.CallKind:
		r.visitCall(e, inside)
	case ast.ListKind:
		r.visitLiteral(e.AsList().Elements(), inside)
	case ast.MapKind:
		var parts []ast.Expr
		for _, entry := range e.AsMap().Entries() {
			parts = append(parts, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		r.visitLiteral(parts, inside)
	case ast.StructKind: // CEL knows protobuf's
		r.refuse(e, "a filter cannot make messages")
	case ast.ComprehensionKind:
		r.visitMacro(e, inside)
	}
}

// visitMacro looks at all(), exists(), exists_one() or filter(), which are
// comprehensions by now.
func (r *rules) visitMacro(e ast.Expr, inside bool) {
	c := e.AsComprehension()
	r.watch = true
	if c.IterVar() == variable {
		r.refuse(e, "record is the record: give the elements another name")
	}
	r.visit(c.IterRange(), inside)
	step := c.LoopStep()
	if step.Kind() == ast.CallKind && step.AsCall().FunctionName() == operators.Conditional && addsTo(step.AsCall().Args()[1], c.AccuVar()) {
		step = step.AsCall().Args()[0] // the rest is not of the text: filter's result + [x], exists_one's count + 1
	}
	r.visit(step, true)
}

func addsTo(e ast.Expr, accumulator string) bool {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.Add {
		return false
	}
	first := e.AsCall().Args()[0]
	return first.Kind() == ast.IdentKind && first.AsIdent() == accumulator
}

// visitSelect looks at operand.name. It notes which members of the data are
// read, so that the others need not be decoded.
func (r *rules) visitSelect(e ast.Expr, inside bool) {
	s := e.AsSelect()
	switch {
	case isMember(s.Operand(), "data"):
		r.members[s.FieldName()] = true
	case isMember(e, "data"):
		// has(record.data) does not read it.
		r.whole = r.whole || !s.IsTestOnly()
	case isVariable(s.Operand()):
	default:
		r.visit(s.Operand(), inside)
	}
}

func (r *rules) visitCall(e ast.Expr, inside bool) {
	c := e.AsCall()
	args := c.Args()
	r.calls++
	switch c.FunctionName() {
	case operators.Index:
		if len(args) == 2 && isMember(args[0], "data") && isText(args[1]) {
			r.members[textOf(args[1])] = true
			return
		}
	case operators.Add:
		// Of texts and lists it makes longer ones.
		r.watch = true
	case overloads.Matches:
		r.watch = true
		r.visitPattern(e, args)
	}
	if c.IsMemberFunction() {
		r.visit(c.Target(), inside)
	}
	for _, a := range args {
		r.visit(a, inside)
	}
}

// visitPattern looks at the regular expression of text.matches(pattern), or
// matches(text, pattern).
func (r *rules) visitPattern(e ast.Expr, args []ast.Expr) {
	if len(args) == 0 {
		return // the checker will say it
	}
	pattern := args[len(args)-1]
	if !isText(pattern) {
		r.refuse(e, "the pattern of matches() must be a literal string")
		return
	}
	size, err := programSize(textOf(pattern))
	switch {
	case err != nil:
		r.refuse(pattern, err.Error())
	case size > maxPattern:
		r.refuse(pattern, "the pattern is too large: it may be as long as some "+strconv.Itoa(maxPattern)+" characters, with each repetition such as x{50} written out")
	}
}

// programSize counts the instructions of a regular expression, as regexp
// compiles it.
func programSize(pattern string) (int, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}

// visitLiteral looks at a list or map that is written out. In a macro's body
// its parts must be constant: [[d,d]].all(a, [[a,a]].all(b, …)) would grow with
// each step, as fast as the text can double it.
func (r *rules) visitLiteral(parts []ast.Expr, inside bool) {
	for _, part := range parts {
		if inside && part.Kind() != ast.LiteralKind {
			r.refuse(part, "inside of all(), exists(), exists_one() and filter(), lists and maps may hold constants only")
			return
		}
		r.visit(part, inside)
	}
}

// options are how the expression's program is made.
func (r *rules) options() []cel.ProgramOption {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if r.watch {
		options = append(options, cel.OptimizeRegex(boundedMatches()...), cel.CustomDecoratorV2(charged))
	}
	return options
}

// isVariable says whether e is the variable; a dot before a name looks it up
// outside of macros.
func isVariable(e ast.Expr) bool {
	return e.Kind() == ast.IdentKind && strings.TrimPrefix(e.AsIdent(), ".") == variable
}

func isMember(e ast.Expr, name string) bool {
	return e.Kind() == ast.SelectKind && e.AsSelect().FieldName() == name && isVariable(e.AsSelect().Operand())
}

func isText(e ast.Expr) bool {
	_, ok := literal(e)
	return ok
}

func textOf(e ast.Expr) string {
	s, _ := literal(e)
	return s
}

func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().Value().(string)
	return s, ok
}
