package httpapi

import (
	"encoding/base64"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// eventDecoder reads events in CloudEvents' JSON format, one after another. The
// zero value is ready.
type eventDecoder struct{ objectDecoder }

// decode makes an event of its JSON object. Data that is JSON is a part of
// text. An error means that text is no JSON object; what is wrong with the
// event itself is among its problems.
func (d *eventDecoder) decode(text []byte) (*event, error) {
	if err := d.open(text); err != nil {
		return nil, err
	}
	e := &event{}
	for d.more() {
		name, err := d.name()
		if err != nil {
			return nil, err
		}
		member := string(name)
		value, err := d.value()
		if err != nil {
			return nil, err
		}
		e.member(member, value)
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	e.completeType()
	return e, nil
}

// member takes over a member of the object.
func (e *event) member(name string, value []byte) {
	switch {
	case name != "data" && value[0] == 'n': // as good as left out
	case name != "data" && name != "data_base64":
		e.attribute(name, value)
	case e.data != nil:
		e.wrong(name, "is given beside data or data_base64: an event has one of them")
	case name == "data":
		e.data = value
	default:
		e.data = e.base64(value)
	}
}

// attribute takes over an attribute.
func (e *event) attribute(name string, value []byte) {
	text := string(value)
	switch value[0] {
	case '"':
		text = string(unquote(value))
	case 't', 'f':
		if isStringAttribute(name) {
			e.wrong(name, "is a string")
			return
		}
	default:
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < math.MinInt32 || n > math.MaxInt32 || isStringAttribute(name) {
			e.wrong(name, "is no value for an attribute: these are strings, and in extensions true, false, and whole numbers of 32 bits")
			return
		}
	}
	e.attributes = append(e.attributes, attribute{name, text})
}

// isStringAttribute says whether the attribute is one of those that CloudEvents
// defines; all of them are strings.
func isStringAttribute(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "subject", "time", "dataschema", attrDataContentType, attrPartitionKey:
		return true
	}
	return false
}

// base64 gives the data that a string of base64 stands for.
func (e *event) base64(value []byte) []byte {
	if value[0] != '"' {
		e.wrong("data_base64", "is a string of base64")
		return value
	}
	data, err := base64.StdEncoding.Strict().AppendDecode([]byte{}, unquote(value))
	switch {
	case err != nil:
		e.wrong("data_base64", "is not base64 (the standard alphabet, with padding)")
	case !jsontext.Value(data).IsValid():
		e.wrong("data_base64", "does not stand for a JSON text, and the data is checked against a JSON Schema; send JSON, best as data")
	}
	return data
}

// completeType names the type that data has in the JSON format without saying
// so: elsewhere it has to be said (JSON format 1.0.2, §3.1).
func (e *event) completeType() {
	if _, named := e.get(attrDataContentType); !named && e.data != nil {
		e.attributes = append(e.attributes, attribute{attrDataContentType, "application/json"})
	}
}

// structuredEvent makes the record of an event that is a JSON object.
func structuredEvent(text []byte, rec *stream.Outgoing) error {
	var d eventDecoder
	e, err := d.decode(text)
	if err != nil {
		return err
	}
	return e.fill(rec)
}
