package schemastore

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/stream"
)

// Limits of one schema. A schema comes from whoever may register one, and the
// gateway compiles it while others wait.
const (
	// MaxSchemaSize bounds the text, in bytes: what a schema costs in memory is
	// some hundred times its size.
	MaxSchemaSize = 512 << 10
	// MaxSubschemas bounds the subschemas, since the engine's compiler looks
	// each one up by a linear scan: 66,000 of them, 200 KB of text, take it more
	// than 20 s, 5,000 a fifth of a second.
	MaxSubschemas = 5000
	// maxForeignRefs bounds references to places where no keyword expects a
	// schema, for example below an unknown keyword. They are legal and rare, and
	// for each one the compiler copies all it knows of the document.
	maxForeignRefs = 32
	// maxPath bounds the pointer to a subschema, and each URL in a schema, in
	// bytes: the compiler keeps the whole path with each subschema, so one long
	// name above thousands of them would become gigabytes.
	maxPath = 2048
)

// Where keywords hold subschemas, over all drafts: what a draft does not know
// is counted too.
const (
	one  = iota // the value is a schema
	list        // an array of schemas
	dict        // an object with schemas as values
	some        // a schema or an array of them
)

// schemaKeyword says how a keyword's value holds schemas, and false for
// keywords that hold none.
func schemaKeyword(name string) (kind int, ok bool) {
	switch name {
	case "not", "if", "then", "else", "additionalProperties", "propertyNames", "unevaluatedProperties",
		"additionalItems", "contains", "unevaluatedItems", "contentSchema":
		return one, true
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return list, true
	case "properties", "patternProperties", "dependentSchemas", "dependencies", "definitions", "$defs":
		return dict, true
	case "items":
		return some, true
	}
	return 0, false
}

// survey is what one walk over a schema's document finds out.
type survey struct {
	doc       any
	positions map[string]bool // plain pointers to all subschemas
	refs      []reference
	dynamic   []string          // plain pointers to subschemas with $dynamicAnchor
	fault     *stream.Violation // the limit that is exceeded
}

// reference is a keyword that names another place.
type reference struct {
	at      []string // of the schema that holds it
	keyword string
	target  string
}

// surveySchema walks over the schema and refuses what the engine should not
// even see. It changes doc where the engine would misread it.
func surveySchema(doc any) (*survey, error) {
	s := &survey{doc: doc, positions: map[string]bool{}}
	if !s.visit(doc, nil) {
		return nil, refused(*s.fault)
	}
	foreign := 0
	for _, r := range s.refs {
		target, err := url.PathUnescape(r.target)
		if pointer, ok := strings.CutPrefix(target, "#"); ok && err == nil && strings.HasPrefix(pointer, "/") && !s.positions[pointer] {
			foreign++
		}
	}
	if foreign > maxForeignRefs {
		return nil, refused(stream.Violation{Pointer: "#", Keyword: "$ref", Detail: "more than " + strconv.Itoa(maxForeignRefs) + " references lead to places that are not subschemas: move the targets into $defs"})
	}
	return s, nil
}

// visit takes down the subschema v and all below it. It gives false, and sets
// the fault, when a limit is exceeded.
func (s *survey) visit(v any, at []string) bool {
	object, isObject := v.(map[string]any)
	if _, isBool := v.(bool); !isObject && !isBool {
		return true // the metaschema will complain
	}
	here := plainPointer(at)
	if len(here) > maxPath {
		return s.fail(at, "", "the path to this subschema is longer than "+strconv.Itoa(maxPath)+" bytes: shorten the names, or move it into $defs")
	}
	s.positions[here] = true
	if len(s.positions) > MaxSubschemas {
		return s.fail(nil, "", "the schema has more than "+strconv.Itoa(MaxSubschemas)+" subschemas: split it")
	}
	for name, value := range object {
		if !s.note(object, name, at) {
			return false
		}
		if kind, ok := schemaKeyword(name); ok && !s.descend(kind, value, push(at, name)) {
			return false
		}
	}
	return true
}

func (s *survey) descend(kind int, value any, at []string) bool {
	switch value := value.(type) {
	case map[string]any:
		if kind != dict {
			return kind == list || s.visit(value, at)
		}
		for name, v := range value {
			if !s.visit(v, push(at, name)) {
				return false
			}
		}
	case []any:
		if kind != list && kind != some {
			return true
		}
		for i, v := range value {
			if !s.visit(v, push(at, strconv.Itoa(i))) {
				return false
			}
		}
	case bool:
		return kind == dict || s.visit(value, at)
	}
	return true
}

func (s *survey) fail(at []string, keyword, detail string) bool {
	s.fault = &stream.Violation{Pointer: fragment(at), Keyword: keyword, Detail: detail}
	return false
}

// note takes down the keywords that need attention.
func (s *survey) note(object map[string]any, name string, at []string) bool {
	text, isText := object[name].(string)
	switch name {
	case "$ref", "$dynamicRef", "$recursiveRef", "$schema", "$id", "id", "$anchor", "$dynamicAnchor":
		if len(text) > maxPath {
			return s.fail(push(at, name), name, "this URL is longer than "+strconv.Itoa(maxPath)+" bytes")
		}
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
		object[name] = clampCount(object[name])
	}
	switch name {
	case "$ref", "$dynamicRef", "$recursiveRef", "$schema":
		if isText {
			s.refs = append(s.refs, reference{at: at, keyword: name, target: text})
		}
	case "$dynamicAnchor":
		s.dynamic = append(s.dynamic, plainPointer(at))
	}
	return true
}

// clampCount makes a whole number beyond an int64 the greatest int64: no length
// is greater. The engine would cut off its upper bits, and "minLength": 1e300
// would let everything pass.
func clampCount(v any) any {
	literal, ok := v.(json.Number)
	if !ok {
		return v
	}
	if r, ok := new(big.Rat).SetString(literal.String()); ok && r.IsInt() && r.Sign() > 0 && !r.Num().IsInt64() {
		return int64(math.MaxInt64)
	}
	return v
}

// push appends to a path that others share.
func push(at []string, token string) []string {
	return append(slices.Clip(at), token)
}

// refused is the one way to refuse a schema.
func refused(violations ...stream.Violation) *stream.Error {
	message := "the schema cannot be honoured in full"
	if len(violations) > 0 {
		message += ", at " + violations[0].Pointer + ": " + violations[0].Detail
	}
	e := stream.Errorf(stream.InvalidSchema, "%s", message)
	e.Violations = violations
	return e
}

// schemaUnreadable says that a limit of texts is one of schemas, too.
func schemaUnreadable(err error) error {
	e, ok := errors.AsType[*stream.Error](err)
	if !ok || e.Code != stream.InvalidRecord {
		return err
	}
	for i := range e.Violations {
		e.Violations[i].Detail, _, _ = strings.Cut(e.Violations[i].Detail, ":")
	}
	return refused(e.Violations...)
}
