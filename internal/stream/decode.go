package stream

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// Interpret fills in a record's schema and data from its stored value and
// headers, which must be set. There is data where the value is an envelope, or
// JSON under a SchemaHeader, or JSON that somebody else wrote; otherwise the
// value speaks for itself. SchemaHeader is taken out of the headers.
func (r *Record) Interpret() {
	if r.Value == nil || !utf8.Valid(r.Value) {
		return
	}
	if i := slices.IndexFunc(r.Headers, isSchemaHeader); i >= 0 {
		if json.Valid(r.Value) {
			r.Schema, r.Data = string(r.Headers[i].Value), r.Value
			r.Headers = slices.DeleteFunc(r.Headers, isSchemaHeader)
		}
		return
	}
	if schema, data, ok := OpenEnvelope(r.Value); ok {
		r.Schema, r.Data = schema, data
		return
	}
	if json.Valid(r.Value) {
		r.Data = r.Value
	}
}

func isSchemaHeader(h Header) bool {
	return h.Name == SchemaHeader && isRef(string(h.Value))
}
