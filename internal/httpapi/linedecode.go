package httpapi

import (
	"sluice/internal/stream"
	"sluice/internal/stream/jsonscan"
)

// maxHeaders bounds the headers of one record: decoded, each takes many times
// the memory of its text.
const maxHeaders = 1000

// lineDecoder reads the record objects of one request, one after another. The
// zero value is ready.
type lineDecoder struct {
	objectDecoder

	scanner jsonscan.Scanner
	targets bool // the member stream says where a record goes, and is required

	// The schema named by the line before, which is mostly the same again.
	schemaText string
	schema     stream.SchemaRef
}

// decode reads the record object in line into rec, whose Stream is set. Data
// and key are parts of line where that is possible. Duplicate names, invalid
// UTF-8 and anything after the object are refused.
func (d *lineDecoder) decode(line []byte, rec *stream.Outgoing) error {
	rec.Partition = stream.AnyPartition
	if d.quick(line, rec) {
		return nil
	}
	if err := d.open(line); err != nil {
		return err
	}
	for d.more() {
		if err := d.member(rec); err != nil {
			return err
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	return checkContent(rec)
}

func checkContent(rec *stream.Outgoing) error {
	switch {
	case rec.Tombstone && rec.Data != nil:
		return stream.Errorf(stream.InvalidRequest, `a line has "data" or "value", not both`)
	case rec.Tombstone && rec.Key == nil:
		return tombstoneWithoutKey()
	case !rec.Tombstone && rec.Data == nil:
		return stream.Errorf(stream.InvalidRequest, `the line has no "data" (for a tombstone, give "value":null and a key)`)
	}
	return nil
}

// member reads one name and its value.
func (d *lineDecoder) member(rec *stream.Outgoing) error {
	name, err := d.name()
	if err != nil {
		return err
	}
	switch string(name) {
	case "data":
		rec.Data, err = d.value()
		return err
	case "value":
		return d.setValue(rec)
	case "headers":
		return d.headers(rec)
	case "stream", "offset": // where the record lay that was read
		v, err := d.value()
		if err == nil && d.targets && name[0] == 's' {
			return d.target(v, rec)
		}
		return err
	case "key", "partition", "timestamp", "schema":
		return d.scalar(string(name), rec)
	default:
		return unknownMember(d.dec.StackPointer())
	}
}

func (d *lineDecoder) setValue(rec *stream.Outgoing) error {
	v, err := d.value()
	if err != nil {
		return err
	}
	if string(v) != "null" {
		return memberError("value", `can only be null, for a tombstone; what is stored is "data", checked against its schema`)
	}
	rec.Tombstone = true
	return nil
}

// scalar reads a member whose value is no object of its own; null is as good
// as leaving it out.
func (d *lineDecoder) scalar(name string, rec *stream.Outgoing) error {
	v, err := d.value()
	if err != nil {
		return err
	}
	if name == "key" {
		rec.Key, err = bytesOf(v)
		return wrapMember("key", err)
	}
	if string(v) == "null" {
		return nil
	}
	switch name {
	case "partition":
		rec.Partition, err = parsePartition(string(v))
	case "timestamp":
		rec.Timestamp, err = parseTimestamp(string(unquoteIfString(v)))
	case "schema":
		if v[0] != '"' {
			return memberError("schema", `is a string such as "Order:1", or null`)
		}
		rec.Schema, err = d.schemaRef(unquote(v))
	}
	return wrapMember(name, err)
}

func (d *lineDecoder) schemaRef(text []byte) (stream.SchemaRef, error) {
	if string(text) == d.schemaText && d.schemaText != "" {
		return d.schema, nil
	}
	ref, err := stream.ParseSchemaRef(string(text))
	if err == nil {
		d.schemaText, d.schema = string(text), ref
	}
	return ref, err
}

// headers reads the record's headers: an object of values or lists of values.
func (d *lineDecoder) headers(rec *stream.Outgoing) error {
	switch d.dec.PeekKind() {
	case 'n':
		_, err := d.value()
		return err
	case '{':
	default:
		if _, err := d.value(); err != nil {
			return err
		}
		return memberError("headers", `is an object such as {"name":"value"}`)
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return malformed(err)
	}
	for d.dec.PeekKind() == '"' {
		if err := d.header(rec); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return malformed(err)
	}
	return nil
}

func (d *lineDecoder) header(rec *stream.Outgoing) error {
	raw, err := d.name()
	if err != nil {
		return err
	}
	name := string(raw)
	if err := checkHeaderName(name); err != nil {
		return wrapMember("headers", err)
	}
	if d.dec.PeekKind() != '[' {
		return d.headerValue(rec, name)
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return malformed(err)
	}
	for k := d.dec.PeekKind(); k != ']' && k != 0; k = d.dec.PeekKind() {
		if err := d.headerValue(rec, name); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return malformed(err)
	}
	return nil
}

func (d *lineDecoder) headerValue(rec *stream.Outgoing, name string) error {
	v, err := d.value()
	if err != nil {
		return err
	}
	value, err := bytesOf(v)
	if err != nil {
		return wrapMember("headers", err)
	}
	if len(rec.Headers) >= maxHeaders {
		return atMember("headers", stream.Errorf(stream.InvalidRecord, "the record has too many headers: it may have %s", thousands(maxHeaders)))
	}
	rec.Headers = append(rec.Headers, stream.Header{Name: name, Value: value})
	return nil
}
