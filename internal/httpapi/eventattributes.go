package httpapi

import (
	"net/url"
	"strings"
	"time"

	"sluice/internal/stream/cloudevents"
)

// check holds the event's attributes against CloudEvents 1.0.2.
func (e *event) check() {
	for _, name := range [...]string{"specversion", "id", "source", "type"} {
		if _, present := e.get(name); !present && !e.blamed(name) {
			e.wrong(name, "is missing")
		}
	}
	for i, a := range e.attributes {
		if i >= maxHeaders {
			e.wrong(a.name, "is one too many: a record may have "+thousands(maxHeaders)+" headers")
			return
		}
		if what := attributeProblem(a); what != "" {
			e.wrong(a.name, what)
		}
	}
}

// attributeProblem gives what is wrong with an attribute, and "" for nothing.
func attributeProblem(a attribute) string {
	switch {
	case a.name == "data":
		return "is no name for an attribute; the data is the body"
	case !cloudevents.IsName(a.name):
		return "is no attribute: names are made of lower-case letters and digits"
	case !cloudevents.IsText(a.value):
		return "has characters that no attribute may have: control characters, or what is not Unicode"
	}
	return valueProblem(a)
}

// valueProblem holds the value against what the attribute of that name means.
// Extensions may be anything, but for those that the gateway uses.
func valueProblem(a attribute) string {
	switch a.name {
	case "specversion":
		if a.value != "1.0" {
			return `is "1.0"; other versions of CloudEvents are not supported`
		}
	case "id", "type", "subject", attrPartitionKey:
		if a.value == "" {
			return "is empty"
		}
	case "source":
		if a.value == "" || !isURIReference(a.value) {
			return "is not a URI reference such as /orders or https://example.com/orders (RFC 3986; in a ce- header, write % as %25)"
		}
	case "dataschema":
		if !isURI(a.value) {
			return "is not a URI such as https://example.com/order.json (RFC 3986; in a ce- header, write % as %25)"
		}
	case "time":
		var t time.Time
		if t.UnmarshalText([]byte(a.value)) != nil { // stricter than time.Parse
			return "is not a time such as 2026-01-31T12:00:00Z (RFC 3339)"
		}
	case attrDataContentType:
		if mediaType, err := readMediaType(a.value); err != nil || !cloudevents.IsJSON(mediaType) {
			return "is not JSON in UTF-8: the data is checked against a JSON Schema, so this is application/json, another +json type, or left out"
		}
	}
	return ""
}

// uriMarks are the characters of URIs beside letters and digits (RFC 3986 §2).
const uriMarks = "-._~:/?#[]@!$&'()*+,;=%"

// isURIReference says whether s is a URI or a relative reference.
func isURIReference(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte(uriMarks, c) >= 0:
		default:
			return false
		}
	}
	_, err := url.Parse(s)
	return err == nil
}

// isURI says whether s is a URI, with a scheme.
func isURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && isURIReference(s)
}
