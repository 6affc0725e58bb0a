package schemastore

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// leaf puts one fault of the engine into our words. A fault with many names is
// as many violations, each at its place.
func (l *leaves) leaf(e *jsonschema.ValidationError) {
	at := e.InstanceLocation
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			l.add(at, "required", "lacks the member "+quoteName(name))
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			l.add(push(at, name), "additionalProperties", "is not a member the schema knows, and others are not allowed")
		}
	case *kind.Dependency:
		l.dependency(at, "dependencies", k.Prop, k.Missing)
	case *kind.DependentRequired:
		l.dependency(at, "dependentRequired", k.Prop, k.Missing)
	case *kind.FalseSchema:
		l.add(at, falseKeyword(e.SchemaURL), "is not allowed here, whatever its value")
	default:
		keyword, detail := describe(e.ErrorKind)
		l.add(at, keyword, detail)
	}
}

func (l *leaves) dependency(at []string, keyword, property string, missing []string) {
	for _, name := range missing {
		l.add(at, keyword, "lacks the member "+quoteName(name)+", which must be there if "+quoteName(property)+" is")
	}
}

// falseKeyword names the keyword whose value is false.
func falseKeyword(location string) string {
	_, pointer, _ := strings.Cut(location, "#")
	last := pointer[strings.LastIndexByte(pointer, '/')+1:]
	if kind, ok := schemaKeyword(last); ok && kind != dict && kind != list {
		return last
	}
	return "false"
}

// describe gives the keyword and a sentence about the value, its subject.
func describe(k jsonschema.ErrorKind) (keyword, detail string) {
	if got, want, ok := typeFault(k); ok {
		return "type", typeDetail(got, want)
	}
	switch k := k.(type) {
	case *kind.Enum: // from a metaschema, as the rest is ours
		return "enum", "must be one of " + showValues(k.Want)
	case *kind.Const:
		return "const", "must be " + showConst(k.Want)
	case *kind.Format:
		if e, ok := errors.AsType[*notChosen](k.Err); ok {
			return e.describe()
		}
		return "format", formatDetail(k)
	case *kind.Not:
		return "not", "matches what it must not match"
	case *kind.OneOf:
		return "oneOf", fmt.Sprintf("matches more than one alternative, numbers %d and %d, and must match exactly one", k.Subschemas[0]+1, k.Subschemas[1]+1)
	case *kind.RefCycle:
		return "$ref", "cannot be checked: the schema leads back to itself here without end"
	case *kind.InvalidJsonValue:
		return "", "cannot be checked"
	}
	if keyword, detail, ok := describeSize(k); ok {
		return keyword, detail
	}
	if keyword, detail, ok := describeText(k); ok {
		return keyword, detail
	}
	path := k.KeywordPath()
	if len(path) > 0 {
		return path[0], "does not match " + path[0]
	}
	return "", "does not match"
}

// describeSize is describe for counts of members and items.
func describeSize(k jsonschema.ErrorKind) (keyword, detail string, ok bool) {
	switch k := k.(type) {
	case *kind.MinProperties:
		return "minProperties", fewer(k.Got, k.Want, "member"), true
	case *kind.MaxProperties:
		return "maxProperties", more(k.Got, k.Want, "member"), true
	case *kind.MinItems:
		return "minItems", fewer(k.Got, k.Want, "item"), true
	case *kind.MaxItems:
		return "maxItems", more(k.Got, k.Want, "item"), true
	case *kind.AdditionalItems:
		return "additionalItems", "has " + count(k.Count, "item") + " too many", true
	case *kind.UniqueItems:
		return "uniqueItems", fmt.Sprintf("has equal items, at %d and %d", k.Duplicates[0], k.Duplicates[1]), true
	case *kind.Contains:
		return "contains", "has no item that matches", true
	case *kind.MinContains:
		return "minContains", "has " + count(len(k.Got), "matching item") + ", and must have at least " + strconv.Itoa(k.Want), true
	case *kind.MaxContains:
		return "maxContains", "has " + count(len(k.Got), "matching item") + ", and may have at most " + strconv.Itoa(k.Want), true
	}
	return "", "", false
}

// describeText is describe for strings and numbers.
func describeText(k jsonschema.ErrorKind) (keyword, detail string, ok bool) {
	switch k := k.(type) {
	case *kind.MinLength:
		return "minLength", fewer(k.Got, k.Want, "character"), true
	case *kind.MaxLength:
		return "maxLength", more(k.Got, k.Want, "character"), true
	case *kind.Pattern:
		return "pattern", "does not match the pattern " + shorten(k.Want, maxText), true
	case *kind.Minimum:
		return "minimum", "is less than " + showNumber(k.Want), true
	case *kind.Maximum:
		return "maximum", "is greater than " + showNumber(k.Want), true
	case *kind.ExclusiveMinimum:
		return "exclusiveMinimum", "is not greater than " + showNumber(k.Want), true
	case *kind.ExclusiveMaximum:
		return "exclusiveMaximum", "is not less than " + showNumber(k.Want), true
	case *kind.MultipleOf:
		return "multipleOf", "is not a multiple of " + showNumber(k.Want), true
	}
	return "", "", false
}

func typeDetail(got string, want []string) string {
	return "is of type " + got + ", and must be " + strings.Join(want, " or ")
}

// formatDetail names the reason for a pattern alone: other formats' reasons
// may hold parts of the value.
func formatDetail(k *kind.Format) string {
	if k.Want == "regex" && k.Err != nil {
		return "is not a pattern the gateway can run (RE2, without lookaround and back references): " + shorten(k.Err.Error(), maxText)
	}
	return "is not a valid " + quoteName(k.Want)
}

func showConst(want any) string {
	switch want.(type) {
	case []any, map[string]any:
		return "equal to the constant in the schema"
	}
	return showValue(want)
}

func fewer(got, want int, noun string) string {
	return "has " + count(got, noun) + ", and must have at least " + count(want, noun)
}

func more(got, want int, noun string) string {
	return "has " + count(got, noun) + ", and may have at most " + count(want, noun)
}
