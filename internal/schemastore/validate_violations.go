package schemastore

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"sluice/internal/stream"
)

// MaxViolations is how many violations an error lists; one more tells how many
// are left out.
const MaxViolations = 100

// violationsOf lists the leaves of the engine's tree of faults, sorted and each
// once: the branches of an anyOf often complain about the same.
func violationsOf(fault *jsonschema.ValidationError) []stream.Violation {
	var l leaves
	l.walk(fault)
	slices.SortFunc(l.found, func(a, b stream.Violation) int {
		return cmp.Or(comparePointers(a.Pointer, b.Pointer), strings.Compare(a.Keyword, b.Keyword), strings.Compare(a.Detail, b.Detail))
	})
	found := slices.Compact(l.found)
	if left := len(found) + l.more - MaxViolations; left > 0 {
		found = append(found[:MaxViolations:MaxViolations], stream.Violation{Pointer: "#", Detail: count(left, "more violation") + " not listed"})
	}
	return found
}

// comparePointers sorts as a reader of the data would meet the places: items by
// number, not by digits.
func comparePointers(a, b string) int {
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		if x != y {
			i, errI := strconv.Atoi(x)
			j, errJ := strconv.Atoi(y)
			if errI == nil && errJ == nil {
				return cmp.Or(cmp.Compare(i, j), strings.Compare(x, y))
			}
			return strings.Compare(x, y)
		}
		if !moreA || !moreB {
			return strings.Compare(a, b)
		}
		a, b = restA, restB
	}
}

// maxGathered bounds the violations that are written out and sorted; beyond it
// they are counted alone.
const maxGathered = 10_000

// leaves gathers violations from a tree of faults.
type leaves struct {
	found []stream.Violation
	more  int // beyond maxGathered
}

func (l *leaves) add(at []string, keyword, detail string) {
	if len(l.found) == maxGathered {
		l.more++
		return
	}
	l.found = append(l.found, stream.Violation{Pointer: fragment(at), Keyword: keyword, Detail: detail})
}

func (l *leaves) walk(e *jsonschema.ValidationError) {
	switch k := e.ErrorKind.(type) {
	case *kind.PropertyNames:
		l.name(e, k.Property)
		return
	case *kind.AnyOf:
		if want, got, ok := onlyTypes(e); ok {
			l.add(e.InstanceLocation, "type", typeDetail(got, want))
			return
		}
		l.add(e.InstanceLocation, "anyOf", "matches none of the "+count(len(e.Causes), "alternative"))
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			l.add(e.InstanceLocation, "oneOf", "matches none of the "+count(len(e.Causes), "alternative"))
		} else {
			l.leaf(e)
		}
	case *kind.Contains, *kind.MinContains:
		// That no item matches is the fault; why each of them does not is not.
		l.leaf(e)
		return
	default:
		if len(e.Causes) == 0 {
			l.leaf(e)
		}
	}
	for _, cause := range e.Causes {
		l.walk(cause)
	}
}

// name lists what is wrong with a property's name, at the object.
func (l *leaves) name(e *jsonschema.ValidationError, property string) {
	var inner leaves
	for _, cause := range e.Causes {
		inner.walk(cause)
	}
	for _, v := range inner.found {
		l.add(e.InstanceLocation, "propertyNames", "the name "+quoteName(property)+" is not allowed: it "+v.Detail)
	}
}

// onlyTypes says whether all alternatives failed because of the value's type
// alone, as they do for an optional string: one sentence says it all.
func onlyTypes(e *jsonschema.ValidationError) (want []string, got string, ok bool) {
	for _, cause := range e.Causes {
		for len(cause.Causes) == 1 && isReference(cause) {
			cause = cause.Causes[0]
		}
		is, must, isType := typeFault(cause.ErrorKind)
		if !isType || len(cause.InstanceLocation) != len(e.InstanceLocation) {
			return nil, "", false
		}
		got = is
		for _, w := range must {
			if !slices.Contains(want, w) {
				want = append(want, w)
			}
		}
	}
	return want, got, len(want) > 0
}

func isReference(e *jsonschema.ValidationError) bool {
	_, ok := e.ErrorKind.(*kind.Reference)
	return ok
}
