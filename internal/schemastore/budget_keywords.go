package schemastore

import (
	"errors"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// replaceKeywords takes two keywords away from the engine and puts our own in
// their place.
func replaceKeywords(n *jsonschema.Schema, b *budget) {
	if n.UniqueItems {
		n.UniqueItems = false
		n.Extensions = append(n.Extensions, uniqueItems{b})
	}
	if n.PropertyNames != nil {
		n.Extensions = append(n.Extensions, propertyNames{n.PropertyNames})
		n.PropertyNames = nil
	}
}

// uniqueItems finds equal items by an exact fingerprint of each. The engine
// hashes items without marking where one string ends and the next begins, so a
// sender can make any number of different items collide, and it then compares
// each with each.
type uniqueItems struct{ budget *budget }

// Validate reports the first two items that are equal.
func (u uniqueItems) Validate(ctx *jsonschema.ValidatorContext, v any) {
	items, ok := v.([]any)
	if !ok || len(items) < 2 {
		return
	}
	u.budget.charge(len(items))
	first := make(map[string]int, len(items))
	var buf []byte
	for i, item := range items {
		buf = appendFingerprint(buf[:0], item)
		u.budget.charge(len(buf) / textPerStep)
		if j, ok := first[string(buf)]; ok {
			ctx.AddError(&kind.UniqueItems{Duplicates: [2]int{j, i}})
			return
		}
		first[string(buf)] = i
	}
}

// propertyNames checks names as values of their own place. The engine validates
// them apart from the rest, which costs it the place of what it finds there.
type propertyNames struct{ schema *jsonschema.Schema }

// Validate reports each name that the schema does not take.
func (p propertyNames) Validate(ctx *jsonschema.ValidatorContext, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		err := ctx.Validate(p.schema, name, []string{name})
		if fault, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
			ctx.AddErrors([]*jsonschema.ValidationError{fault}, &kind.PropertyNames{Property: name})
		}
	}
}
