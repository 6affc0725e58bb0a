package filter

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
	"cel.dev/cel-go/parser"
)

// What one unit of cost, some 50 ns, is enough for.
const (
	bytesPerUnit = 64   // compared, copied or searched
	stepsPerUnit = 32   // of a regular expression: bytes times instructions
	errorCost    = 10   // errors have texts
	zoneCost     = 1000 // a named time zone is read from a file each time
)

// charged makes the nodes of a program pay for what they give, from the budget
// of the subject that is looked at. A call's arguments have paid for
// themselves before it looks at them, so calls that are in proportion to them
// need not be known one by one.
//
// CEL's own tracker takes a list for one value however large its elements are,
// and searches what it remembers, longer with each round of a macro, so that
// it costs seconds itself.
func charged(node interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	switch n := node.(type) {
	case interpreter.InterpretableConst, interpreter.InterpretableConstructor:
		return node, nil
	case interpreter.InterpretableAttribute:
		named, ok := n.Attr().(interpreter.NamespacedAttribute)
		if ok && named.CandidateVariableNames()[0] == parser.HiddenAccumulatorName {
			// A macro's result so far, which it does not look through.
			return &chargedAttribute{n, false}, nil
		}
		return &chargedAttribute{n, ok}, nil
	case interpreter.InterpretableCall:
		cost := 1
		if o := n.OverloadID(); strings.HasPrefix(o, "timestamp_to_") && strings.HasSuffix(o, "_tz") {
			cost = zoneCost
		}
		return &chargedCall{n, cost}, nil
	}
	return &chargedNode{node}, nil
}

type chargedAttribute struct {
	interpreter.InterpretableAttribute
	weighed bool // its value may be a list that only it gives
}

// AddQualifier adds a step to the attribute's path.
func (a *chargedAttribute) AddQualifier(q interpreter.Qualifier) (interpreter.Attribute, error) {
	_, err := a.InterpretableAttribute.AddQualifier(q)
	return a, err
}

// Exec evaluates the attribute.
func (a *chargedAttribute) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := a.InterpretableAttribute.Exec(frame)
	if a.weighed {
		charge(frame, 1, v)
	} else {
		charge(frame, 1, nil)
	}
	return v
}

type chargedCall struct {
	interpreter.InterpretableCall
	cost int
}

// Exec evaluates the call.
func (c *chargedCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	charge(frame, c.cost, nil) // before a file is read
	v := c.InterpretableCall.Exec(frame)
	charge(frame, 0, v)
	return v
}

type chargedNode struct{ interpreter.InterpretableV2 }

// Exec evaluates the node.
func (n *chargedNode) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := n.InterpretableV2.Exec(frame)
	charge(frame, 1, v)
	return v
}

// charge takes units, and those of a value, from the budget. Where it is used
// up the evaluation ends at once, by the panic that CEL's own limit uses.
func charge(frame *interpreter.ExecutionFrame, units int, v ref.Val) {
	found, _ := frame.ResolveName(variable)
	s, ok := found.(*subject)
	if !ok {
		return // while it is planned, on constants
	}
	if v != nil {
		units += weigh(v, s.budget*bytesPerUnit) / bytesPerUnit
		if types.IsError(v) {
			units += errorCost
		}
	}
	if s.budget -= units; s.budget < 0 {
		panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "the filter costs too much on this record"})
	}
}

// boundedMatches are matches() with its pattern compiled once, as a function
// and as a method.
func boundedMatches() []*interpreter.RegexOptimization {
	var all []*interpreter.RegexOptimization
	for _, overload := range []string{overloads.Matches, overloads.MatchesString} {
		all = append(all, &interpreter.RegexOptimization{
			Function: overloads.Matches, OverloadID: overload, RegexIndex: 1, Factory: boundedMatch,
		})
	}
	return all
}

func boundedMatch(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	size, err := programSize(pattern)
	if err != nil {
		return nil, err
	}
	return &match{call, re, size}, nil
}

// match is a call of matches() with a literal pattern.
type match struct {
	interpreter.InterpretableCall
	pattern *regexp.Regexp
	size    int // instructions
}

// Exec matches the text. It pays first, for a match cannot be interrupted.
func (m *match) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := m.Args()[0].Exec(frame)
	text, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	charge(frame, 1+len(text)*m.size/stepsPerUnit, nil)
	return types.Bool(m.pattern.MatchString(string(text)))
}

// Eval is Exec without a frame.
func (m *match) Eval(vars interpreter.Activation) ref.Val {
	return m.Exec(interpreter.AsFrame(vars))
}
