package httpapi

import (
	"mime"
	"net/http"
	"strings"

	"sluice/internal/stream"
	"sluice/internal/stream/cloudevents"
)

// bodyFormat is what a body holds.
type bodyFormat int

const (
	formatJSON        bodyFormat = iota // one JSON text
	formatNDJSON                        // one on each line
	formatBinaryEvent                   // a CloudEvent's data; its attributes are HTTP headers
	formatEvent                         // a CloudEvent as a JSON object
	formatEventBatch                    // an array of such
)

// The media types of CloudEvents' HTTP binding, structured and batched mode.
const (
	typeEvent      = "application/cloudevents+json"
	typeEventBatch = "application/cloudevents-batch+json"
)

// formatOf gives the format of the request's body, or why it cannot be read.
func formatOf(r *http.Request) (bodyFormat, error) {
	header := r.Header.Get("Content-Type")
	event := hasEventHeaders(r.Header)
	if !event && (header == "" || header == "application/json") { // by far the most frequent
		return formatJSON, nil
	}
	mediaType, err := readMediaType(header)
	if err != nil {
		return 0, err
	}
	switch {
	case mediaType == typeEvent:
		return formatEvent, nil
	case mediaType == typeEventBatch:
		return formatEventBatch, nil
	case strings.HasPrefix(mediaType, "application/cloudevents"):
		return 0, stream.Errorf(stream.UnsupportedType, "CloudEvents are taken as JSON alone: %s, %s, or ce-* headers with the data as application/json", typeEvent, typeEventBatch)
	case event && header != "" && !cloudevents.IsJSON(mediaType):
		return 0, stream.Errorf(stream.UnsupportedType, "a CloudEvent's data is checked against a JSON Schema, so its Content-Type (datacontenttype) is application/json, another +json type, or none")
	case event:
		return formatBinaryEvent, nil
	case mediaType == "application/x-ndjson":
		return formatNDJSON, nil
	case cloudevents.IsJSON(mediaType), mediaType == "text/plain", mediaType == "application/x-www-form-urlencoded":
		return formatJSON, nil
	}
	return 0, stream.Errorf(stream.UnsupportedType, "this Content-Type is not supported; use application/json for one record, application/x-ndjson for many")
}

// readMediaType gives the type without its parameters, and "" for no type. The
// text must be UTF-8.
func readMediaType(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	mediaType, params, err := mime.ParseMediaType(header)
	if err != nil {
		return "", stream.Errorf(stream.UnsupportedType, "the Content-Type cannot be read; use application/json or application/x-ndjson")
	}
	if c := strings.ToLower(params["charset"]); c != "" && c != "utf-8" && c != "us-ascii" {
		return "", stream.Errorf(stream.UnsupportedType, "the charset is not supported; send UTF-8")
	}
	return mediaType, nil
}
