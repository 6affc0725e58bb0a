package webhook

import (
	"encoding/base64"
	"math"
	"mime"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
	"sluice/internal/stream/cloudevents"
)

// structured gives the event that somebody wrote to Kafka in the structured
// content mode of CloudEvents' Kafka binding, where the value is the whole
// event as JSON; nil for every other record, and for what says that it is such
// an event and is none.
func structured(rec *stream.Record) *event {
	i := slices.IndexFunc(rec.Headers, func(h stream.Header) bool { return h.Name == eventType })
	if i < 0 || rec.Data == nil {
		return nil
	}
	if mediaType, _, err := mime.ParseMediaType(string(rec.Headers[i].Value)); err != nil || mediaType != typeEvent {
		return nil
	}
	var members map[string]jsontext.Value
	if json.Unmarshal(rec.Data, &members) != nil { // a name twice is an error, too
		return nil
	}
	e := &event{whole: rec.Data}
	if !e.readAttributes(members) || !e.complete() || !e.readData(members) {
		return nil
	}
	return e
}

// readAttributes takes over the attributes, in the canonical string form, and
// says whether all of them are some.
func (e *event) readAttributes(members map[string]jsontext.Value) bool {
	for name, value := range members {
		if name == "data" || name == "data_base64" || value.Kind() == 'n' {
			continue
		}
		text, ok := attributeText(value)
		if !ok || !cloudevents.IsName(name) || !cloudevents.IsText(text) {
			return false
		}
		if name != attrContentType {
			e.attributes = append(e.attributes, attribute{name, text})
		}
	}
	return true
}

// attributeText gives an attribute's value in the canonical string form.
func attributeText(value jsontext.Value) (text string, ok bool) {
	switch value.Kind() {
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		return string(text), err == nil
	case 't', 'f':
		return string(value), true
	case '0':
		n, err := strconv.ParseInt(string(value), 10, 64)
		return string(value), err == nil && n >= math.MinInt32 && n <= math.MaxInt32
	}
	return "", false
}

// readData takes over the data and its type (JSON format 1.0.2, section 3.1):
// data that is a string stands for its characters where the type is not JSON.
func (e *event) readData(members map[string]jsontext.Value) bool {
	contentType := typeJSON
	if v, given := members[attrContentType]; given && v.Kind() != 'n' {
		text, ok := attributeText(v)
		if !ok || !isHeaderText([]byte(text)) || text == "" {
			return false
		}
		contentType = text
	}
	data, given := members["data"]
	encoded, binary := members["data_base64"]
	binary = binary && encoded.Kind() != 'n'
	switch {
	case given && binary:
		return false
	case binary:
		text, ok := attributeText(encoded)
		decoded, err := base64.StdEncoding.DecodeString(text)
		e.data, e.contentType = decoded, contentType
		return ok && encoded.Kind() == '"' && err == nil
	case given && data.Kind() == '"' && !isJSONType(contentType):
		text, ok := attributeText(data)
		e.data, e.contentType = []byte(text), contentType
		return ok
	case given:
		e.data, e.contentType = data, contentType
	}
	return true
}
