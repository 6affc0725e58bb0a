package schemastore

import (
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/internal/stream"
)

// Steps that one validation may take: leastSteps and stepsPerByte up to
// plainSteps, which is half a second, and from there on a step per byte, so
// that a larger record may not take longer than as many smaller ones.
const (
	leastSteps   = 20_000
	stepsPerByte = 8
	plainSteps   = 1_000_000
)

// When data does not match, the engine keeps all it finds in a tree, with the
// whole path at each node, until the last violation is listed. reportMemory
// bounds the tree, in bytes.
const (
	reportMemory = 128 << 20
	faultSize    = 400 // bytes, by measurement, without the path
	pathSize     = 16  // bytes for each level
)

// Validator checks data against one schema. It is safe for concurrent use.
type Validator struct {
	engines *pool
	quick   *quick // nil: the engine decides all
}

// Validate says whether data, one JSON text as the client sent it, matches the
// schema. The error is MalformedJSON for what is not one JSON text, with its
// place in words; InvalidRecord for data beyond MaxDepth, MaxNumberLength or
// MaxExponent, and for data that takes the schema more steps than a validation
// may have; SchemaViolation with all violations, sorted, at most MaxViolations
// and one more that counts the rest. The time it takes is bounded, so it has no
// context; callers beyond the number of compiled copies wait for each other.
func (v *Validator) Validate(data []byte) error {
	if v.quick.accepts(data) {
		return nil
	}
	e, err := v.engines.take()
	if err != nil {
		return err
	}
	defer v.engines.put(e)
	return e.validate(data)
}

func (e *engine) validate(data []byte) error {
	value, err := e.decoder.decode(data)
	if err != nil {
		return err
	}
	steps := stepsFor(len(data))
	fault, err := e.run(e.verdict, value, steps)
	switch {
	case err != nil:
		return err
	case fault != nil:
		return nil // what the verdict refuses, the schema accepts
	}
	return e.report(value, min(steps, reportMemory/(faultSize+pathSize*e.decoder.deepest)))
}

func stepsFor(size int) int {
	return max(min(leastSteps+stepsPerByte*size, plainSteps), size)
}

// report looks again at data that does not match, and lists why.
func (e *engine) report(value any, steps int) error {
	fault, err := e.run(e.schema, value, steps)
	switch {
	case stream.CodeOf(err) == stream.InvalidRecord:
		return violated([]stream.Violation{{Pointer: "#", Detail: "the data does not match, and is too large or has too many faults for a list of the places: send less at once to see them"}})
	case err != nil:
		return err
	case fault == nil:
		return broken(errors.New("the verdict and the report on one datum differ"))
	}
	return violated(violationsOf(fault))
}

// run validates within the given number of steps. The fault is nil for data
// that the schema accepts.
func (e *engine) run(schema *jsonschema.Schema, value any, steps int) (fault *jsonschema.ValidationError, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exhausted:
			err = stream.Errorf(stream.InvalidRecord, "checking the data against its schema takes too many steps: send less at once, or make the schema's alternatives fewer")
		default:
			err = broken(fmt.Errorf("panic: %v", r))
		}
	}()
	e.budget.left = steps
	err = schema.Validate(value)
	if err == nil || errors.As(err, &fault) {
		return fault, nil
	}
	return nil, broken(err)
}

func violated(violations []stream.Violation) *stream.Error {
	e := stream.Errorf(stream.SchemaViolation, "the data does not match its schema: see errors")
	e.Violations = violations
	return e
}

func broken(err error) *stream.Error {
	return stream.Errorf(stream.Internal, "the data could not be checked").Because(err)
}
