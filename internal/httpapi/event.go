package httpapi

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// Record headers of CloudEvents' Kafka binding, binary content mode. The record
// is in that mode whatever mode the event came in: its value is the data alone.
const (
	eventHeaderPrefix = "ce_" // before every attribute's name but datacontenttype's
	contentTypeHeader = "content-type"
)

// Attributes that the gateway does more with than pass them on.
const (
	attrDataContentType = "datacontenttype"
	attrPartitionKey    = "partitionkey"
)

// maxEventProblems bounds the list of what is wrong with one event.
const maxEventProblems = 100

// attribute is a context attribute of an event, its value in the canonical
// string form.
type attribute struct{ name, value string }

// event is a CloudEvent that is being read.
type event struct {
	attributes []attribute
	data       []byte // nil: none
	inHeaders  bool   // the attributes came as HTTP headers (binary mode)
	problems   []stream.Violation
}

// get gives an attribute's value.
func (e *event) get(name string) (value string, present bool) {
	for _, a := range e.attributes {
		if a.name == name {
			return a.value, true
		}
	}
	return "", false
}

// wrong notes what is wrong with an attribute, or another member of the event.
func (e *event) wrong(name, what string) {
	if len(e.problems) >= maxEventProblems {
		return
	}
	v := stream.Violation{Pointer: "#"}
	switch {
	case len(name) > 64:
		name = "an attribute" // the text is the client's own, and long
	case e.inHeaders:
		name = eventHeaderName(name)
		v.Keyword = name
	default:
		v.Pointer = fragment(jsontext.Pointer("").AppendToken(name))
	}
	v.Detail = name + " " + what
	e.problems = append(e.problems, v)
}

// blamed says whether something is wrong with the attribute already.
func (e *event) blamed(name string) bool {
	if e.inHeaders {
		name = eventHeaderName(name)
	}
	return slices.ContainsFunc(e.problems, func(v stream.Violation) bool { return strings.HasPrefix(v.Detail, name+" ") })
}

// eventHeaderName gives the HTTP header of an attribute.
func eventHeaderName(attribute string) string {
	if attribute == attrDataContentType {
		return "Content-Type"
	}
	return "ce-" + attribute
}

// fill makes the event's record, of which everything but the event's own part
// is set already. The error tells all that is wrong with the event.
func (e *event) fill(rec *stream.Outgoing) error {
	e.check()
	e.checkData(rec.Tombstone)
	e.checkRecordHeaders(rec.Headers)
	if len(e.problems) > 0 {
		err := stream.Errorf(stream.InvalidRecord, "this is not a CloudEvent that can be stored: %s", e.problems[0].Detail)
		if len(e.problems) > 1 {
			err.Message = "this is not a CloudEvent that can be stored: see errors"
		}
		err.Violations = e.problems
		return err
	}
	rec.Plain, rec.Data = true, e.data
	if key, ok := e.get(attrPartitionKey); ok && rec.Key == nil {
		rec.Key = []byte(key)
	}
	for _, a := range e.attributes {
		name := eventHeaderPrefix + a.name
		if a.name == attrDataContentType {
			name = contentTypeHeader
		}
		rec.Headers = append(rec.Headers, stream.Header{Name: name, Value: []byte(a.value)})
	}
	slices.SortStableFunc(rec.Headers, func(a, b stream.Header) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func (e *event) checkData(tombstone bool) {
	switch {
	case tombstone && e.data != nil:
		e.wrong("data", "is there, and a tombstone has none; leave it out, or the parameter tombstone")
	case !tombstone && e.data == nil && len(e.problems) < maxEventProblems:
		e.problems = append(e.problems, stream.Violation{Pointer: "#", Detail: "the event has no data, and a record is data that matches its schema (for a tombstone, give tombstone=true and a key)"})
	}
}

// checkRecordHeaders refuses record headers that would be taken for the
// event's.
func (e *event) checkRecordHeaders(headers []stream.Header) {
	for _, h := range headers {
		if (strings.HasPrefix(h.Name, eventHeaderPrefix) || h.Name == contentTypeHeader) && len(e.problems) < maxEventProblems {
			e.problems = append(e.problems, stream.Violation{
				Pointer: "#", Keyword: "Kafka-Header-" + h.Name, Detail: "the record headers ce_… and content-type are made of the event's attributes, and cannot be given as Kafka-Header-…",
			})
		}
	}
}
