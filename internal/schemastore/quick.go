package schemastore

import (
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/internal/stream/jsonscan"
)

// Nearly all data matches its schema, and nearly all schemas use a few plain
// keywords. For these there is a second way: rules made of the nodes that the
// engine compiled, which look at the bytes of the text once and make no values
// of them. They say only what is certain. Whatever is not (a keyword they do
// not have, an unusual text, data that does not match) the engine decides, and
// its words are the answer. So the two can differ in one way alone: that a rule
// accepts what the engine refuses; the tests compare them on all they can get.

// verdict is what a rule says about a value.
type verdict int

const (
	unsure verdict = iota
	invalid
	valid
)

// quick checks texts against the rules of one schema. It is safe for
// concurrent use.
type quick struct {
	root *rule
	runs sync.Pool // of *run
}

// newQuick makes rules of a compiled schema. They are read from its nodes, which
// must be as the compiler left them. It gives nil where nothing would be decided.
func newQuick(n *jsonschema.Schema) *quick {
	b := ruleBuilder{map[*jsonschema.Schema]*rule{}}
	root := b.rule(n)
	if hopeless(root) {
		return nil
	}
	return &quick{root: root, runs: sync.Pool{New: func() any { return new(run) }}}
}

// accepts says whether data is certainly one JSON text, within all limits, that
// matches the schema.
func (q *quick) accepts(data []byte) bool {
	if q == nil {
		return false
	}
	r := q.runs.Get().(*run)
	r.text.Reset(data)
	r.steps = stepsFor(len(data))
	end, v := r.value(q.root, r.text.Space(0), MaxDepth)
	ok := v == valid && r.text.Rest(end)
	r.text.Reset(nil)
	q.runs.Put(r)
	return ok
}

// run is one text on its way.
type run struct {
	text  jsonscan.Scanner
	steps int // that are left, of those that a validation may take
	print []byte
}

// charge takes steps, and says whether there were as many.
func (q *run) charge(steps int) bool {
	q.steps -= steps
	return q.steps >= 0
}

// value checks the value at a place, which may hold so many levels of arrays and
// objects. Its end is known, and its text was read to the end, where it is
// valid; what is invalid may have been read in part.
func (q *run) value(r *rule, at, levels int) (end int, v verdict) {
	for r.same != nil {
		r = r.same
	}
	if r.fixed != unchecked {
		return q.unchecked(r.fixed, at, levels)
	}
	if !q.charge(1 + r.branches) {
		return 0, unsure
	}
	end = jsonscan.Unsure
	if r.own {
		if end, v = q.own(r, at, levels); v != valid {
			return 0, v
		}
	}
	if r.branches > 0 {
		e, v := q.inPlace(r, at, levels)
		if v != valid {
			return 0, v
		}
		end = max(end, e)
	}
	if end < 0 { // nothing has read it, as with "not" alone
		return q.any(at, levels)
	}
	return end, valid
}

// unchecked is for true, false, and what the rules cannot decide.
func (q *run) unchecked(fixed fixed, at, levels int) (int, verdict) {
	switch fixed {
	case always:
		return q.any(at, levels)
	case never:
		return 0, invalid
	}
	return 0, unsure
}

// any reads a value that may be anything.
func (q *run) any(at, levels int) (int, verdict) {
	end := q.text.Value(at, levels)
	if end < 0 || !q.charge(1+(end-at)/textPerStep) {
		return 0, unsure
	}
	return end, valid
}

// own checks the keywords that do not apply other schemas to the same value.
func (q *run) own(r *rule, at, levels int) (int, verdict) {
	t := typeOf(q.text.At(at))
	switch {
	case t == 0:
		return 0, unsure
	case t == typeNumber:
		return q.number(r, at)
	case r.types != 0 && r.types&t == 0:
		return 0, invalid
	}
	switch t {
	case typeObject:
		switch {
		case r.choices != nil:
			return 0, r.choices.container()
		case r.object != nil:
			return q.object(r.object, at, levels)
		}
	case typeArray:
		switch {
		case r.choices != nil:
			return 0, r.choices.container()
		case r.array != nil:
			return q.array(r.array, at, levels)
		}
	case typeString:
		return q.str(r, at)
	default:
		end := q.text.Literal(at)
		if end < 0 {
			return 0, unsure
		}
		if r.choices != nil && r.choices.literals&t == 0 {
			return 0, invalid
		}
		return end, valid
	}
	return q.any(at, levels)
}

// inPlace applies other schemas to the same value. The end is that of one which
// has read it, or Unsure.
func (q *run) inPlace(r *rule, at, levels int) (end int, v verdict) {
	end = jsonscan.Unsure
	for _, sub := range r.all {
		if end, v = q.value(sub, at, levels); v != valid {
			return 0, v
		}
	}
	if len(r.some) > 0 {
		e, v := q.someOf(r.some, at, levels)
		if v != valid {
			return 0, v
		}
		end = e
	}
	if len(r.one) > 0 {
		e, v := q.oneOf(r.one, at, levels)
		if v != valid {
			return 0, v
		}
		end = e
	}
	if r.not != nil {
		switch _, v := q.value(r.not, at, levels); v {
		case valid:
			return 0, invalid
		case unsure:
			return 0, unsure
		}
	}
	if r.cond != nil {
		e, v := q.condition(r, at, levels)
		if v != valid {
			return 0, v
		}
		end = max(end, e)
	}
	return end, valid
}

func (q *run) someOf(rules []*rule, at, levels int) (int, verdict) {
	all := invalid
	for _, sub := range rules {
		end, v := q.value(sub, at, levels)
		if v == valid {
			return end, valid
		}
		if v == unsure {
			all = unsure
		}
	}
	return 0, all
}

func (q *run) oneOf(rules []*rule, at, levels int) (end int, v verdict) {
	v = invalid
	for _, sub := range rules {
		e, one := q.value(sub, at, levels)
		switch {
		case one == unsure:
			return 0, unsure
		case one == valid && v == valid:
			return 0, invalid
		case one == valid:
			end, v = e, valid
		}
	}
	return end, v
}

func (q *run) condition(r *rule, at, levels int) (int, verdict) {
	next := r.otherwise
	end, v := q.value(r.cond, at, levels)
	switch v {
	case unsure:
		return 0, unsure
	case valid:
		next = r.then
	case invalid:
		end = jsonscan.Unsure
	}
	if next == nil {
		return end, valid
	}
	return q.value(next, at, levels)
}
