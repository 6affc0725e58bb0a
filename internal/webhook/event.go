package webhook

import (
	"bytes"
	"encoding/base64"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/stream"
	"sluice/internal/stream/cloudevents"
	"sluice/internal/stream/recordjson"
)

// Record headers of CloudEvents' Kafka binding, binary content mode.
const (
	eventPrefix = "ce_"
	eventType   = "content-type"
)

const attrContentType = "datacontenttype"

// attribute is a context attribute of an event, in the canonical string form.
type attribute struct{ name, value string }

// event is a record as a CloudEvent.
type event struct {
	attributes  []attribute // datacontenttype is not among them
	contentType string      // "": there is no data
	data        []byte
	isJSON      bool   // data is JSON, and meant so
	whole       []byte // the event as JSON, where it was stored so
}

// eventOf gives the event that was stored as the record, as it was, or makes
// one of any other record: its source is the stream, its id the topic's,
// partition and offset, so the same record is the same event for everybody.
func eventOf(rec *stream.Record, topicID string) *event {
	if e := structured(rec); e != nil {
		return e
	}
	e := &event{data: rec.Value, contentType: typeBytes}
	switch {
	case rec.Data != nil:
		e.data, e.contentType, e.isJSON = rec.Data, typeJSON, true
	case rec.Value == nil:
		e.contentType = ""
	}
	if e.published(rec.Headers) {
		return e
	}
	kind, _, _ := strings.Cut(rec.Schema, ":")
	switch {
	case kind != "":
	case rec.Value == nil:
		kind = "sluice.tombstone"
	default:
		kind = "sluice.record"
	}
	partition, offset := strconv.Itoa(int(rec.Partition)), strconv.FormatInt(rec.Offset, 10)
	e.attributes = []attribute{
		{"specversion", "1.0"},
		{"id", topicID + "-" + partition + "-" + offset},
		{"source", "/streams/" + rec.Stream},
		{"type", kind},
	}
	if ms := rec.Timestamp.UnixMilli(); !rec.Timestamp.IsZero() && ms >= 0 && ms <= recordjson.MaxTimestamp {
		e.add("time", rec.Timestamp.UTC().Format(recordjson.TimeLayout))
	}
	e.add("partitionkey", string(rec.Key))
	e.add("sluiceschema", rec.Schema)
	e.add("sluicepartition", partition)
	e.add("sluiceoffset", offset)
	return e
}

// published fills the event from the headers of a record that was published as
// one, and says whether it was.
func (e *event) published(headers []stream.Header) bool {
	contentType := ""
	for _, h := range headers {
		if name, found := strings.CutPrefix(h.Name, eventPrefix); found && cloudevents.IsName(name) && name != attrContentType && h.Value != nil {
			e.keep(name, string(h.Value))
		}
		if h.Name == eventType && isHeaderText(h.Value) {
			contentType = string(h.Value)
		}
	}
	if !e.complete() {
		e.attributes = nil
		return false
	}
	if contentType != "" && e.contentType != "" {
		e.contentType, e.isJSON = contentType, e.isJSON && isJSONType(contentType)
	}
	return true
}

// complete says whether the attributes are there that every event has.
func (e *event) complete() bool {
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if i := slices.IndexFunc(e.attributes, func(a attribute) bool { return a.name == name }); i < 0 || e.attributes[i].value == "" {
			return false
		}
	}
	return true
}

// add adds an attribute of the gateway's, if there is a value.
func (e *event) add(name, value string) {
	if value != "" {
		e.keep(name, value)
	}
}

// keep adds an attribute that is not there yet, if CloudEvents can carry the
// value. Only extensions may be empty.
func (e *event) keep(name, value string) {
	has := slices.ContainsFunc(e.attributes, func(a attribute) bool { return a.name == name })
	if !has && (value != "" || isExtension(name)) && cloudevents.IsText(value) {
		e.attributes = append(e.attributes, attribute{name, value})
	}
}

// binary gives the body in binary mode, and sets the attributes as headers.
func (e *event) binary(h http.Header) []byte {
	for _, a := range e.attributes {
		h[textproto.CanonicalMIMEHeaderKey("ce-"+a.name)] = []string{percentEncode(a.value)}
	}
	if e.contentType == "" {
		return nil
	}
	setType(h, e.contentType)
	return e.data
}

// appendTo appends the event in structured mode, as JSON.
func (e *event) appendTo(b []byte) []byte {
	if e.whole != nil {
		return append(b, e.whole...)
	}
	b = append(b, '{')
	for _, a := range e.attributes {
		b = appendMember(b, a.name, a.value)
	}
	if e.contentType == "" {
		return append(bytes.TrimSuffix(b, []byte(",")), '}')
	}
	b = appendMember(b, attrContentType, e.contentType)
	if e.isJSON {
		b = append(b, `"data":`...)
		b = append(b, e.data...)
		return append(b, '}')
	}
	b = append(b, `"data_base64":"`...)
	b = base64.StdEncoding.AppendEncode(b, e.data)
	return append(b, '"', '}')
}

func appendMember(b []byte, name, value string) []byte {
	b = recordjson.AppendString(b, name)
	b = append(b, ':')
	b = recordjson.AppendString(b, value)
	return append(b, ',')
}

// percentEncode writes a value for an HTTP header (CloudEvents' HTTP binding,
// 3.1.3.2).
func percentEncode(s string) string {
	var b []byte
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			const digits = "0123456789ABCDEF"
			b = append(b, '%', digits[c>>4], digits[c&15])
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

// isExtension says whether an attribute is none of those that CloudEvents
// defines.
func isExtension(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "subject", "time", "dataschema", "partitionkey":
		return false
	}
	return true
}

// isJSONType says whether data of the type is JSON.
func isJSONType(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && cloudevents.IsJSON(mediaType)
}
