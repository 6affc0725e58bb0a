package stream

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// The envelope is how a record is stored: an object of exactly two members,
// kafkaesk's format. The data bytes stand in it as the client sent them.
const (
	envelopeOpen = `{"schema":"`
	envelopeMid  = `","data":`
)

// AppendEnvelope appends {"schema":…,"data":…} to dst. The data must be one
// JSON text.
func AppendEnvelope(dst []byte, schema SchemaRef, data []byte) []byte {
	dst = append(dst, envelopeOpen...)
	dst = appendRef(dst, schema) // its characters need no escape
	dst = append(dst, envelopeMid...)
	dst = append(dst, data...)
	return append(dst, '}')
}

// appendRef appends the reference's text, as String gives it.
func appendRef(dst []byte, ref SchemaRef) []byte {
	dst = append(dst, ref.Name...)
	if ref.Version != 0 {
		dst = strconv.AppendInt(append(dst, ':'), int64(ref.Version), 10)
	}
	return dst
}

// EnvelopeSize gives the length of what AppendEnvelope appends.
func EnvelopeSize(schema SchemaRef, data []byte) int {
	return len(envelopeOpen) + len(schema.String()) + len(envelopeMid) + len(data) + 1
}

// OpenEnvelope splits a stored value into schema and data, and false for a
// value that is not an envelope: anything but a JSON object of exactly the
// members "schema", a schema reference, and "data", in either order. The data
// is a part of value.
func OpenEnvelope(value []byte) (schema string, data []byte, ok bool) {
	if rest, found := bytes.CutPrefix(value, []byte(envelopeOpen)); found {
		if name, after, found := bytes.Cut(rest, []byte(envelopeMid)); found && len(after) > 1 && after[len(after)-1] == '}' {
			data = after[:len(after)-1]
			// What AppendEnvelope wrote, unless the data closes early and more
			// members follow: then the slice is not one JSON text.
			if isRef(string(name)) && json.Valid(data) {
				return string(name), data, true
			}
		}
	}
	return openForeign(value)
}

// openForeign reads an envelope that another client wrote: spaces, other
// order, escapes.
func openForeign(value []byte) (schema string, data []byte, ok bool) {
	if b := bytes.TrimLeft(value, " \t\r\n"); len(b) == 0 || b[0] != '{' {
		return "", nil, false
	}
	d := json.NewDecoder(bytes.NewReader(value))
	if _, err := d.Token(); err != nil {
		return "", nil, false
	}
	var hasSchema, hasData bool
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return "", nil, false
		}
		switch {
		case name == "schema" && !hasSchema:
			if d.Decode(&schema) != nil || !isRef(schema) {
				return "", nil, false
			}
			hasSchema = true
		case name == "data" && !hasData:
			var raw json.RawMessage
			if d.Decode(&raw) != nil {
				return "", nil, false
			}
			end := d.InputOffset()
			data, hasData = value[end-int64(len(raw)):end], true
		default:
			return "", nil, false
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return "", nil, false
	}
	rest := bytes.Trim(value[d.InputOffset():], " \t\r\n")
	return schema, data, hasSchema && hasData && len(rest) == 0
}

// isRef says whether s reads as a schema reference. kafkaesk's names hold only
// what ours do.
func isRef(s string) bool {
	_, err := ParseSchemaRef(s)
	return err == nil
}
