package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// readJSON reads the body, one JSON object, into v, a pointer to a struct.
// Unknown and duplicate members are refused, names count with their case, and
// a member that is null is as good as left out.
func (a *api) readJSON(x *exchange, r *http.Request, v any) error {
	format, err := formatOf(r)
	if err != nil {
		return err
	}
	if format != formatJSON {
		return stream.Errorf(stream.UnsupportedType, "this Content-Type is not supported here; use application/json")
	}
	body, err := a.readBody(x, r, nil, sizeLimit{a.Limits.Body, "a request"})
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return stream.Errorf(stream.MalformedJSON, "the body is empty; send a JSON object, {} if there is nothing to say")
	}
	if jsontext.Value(body).Kind() != '{' && jsontext.Value(body).IsValid() {
		return stream.Errorf(stream.InvalidRequest, "the body is a JSON object")
	}
	if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
		return bodyJSONError(err)
	}
	return nil
}

// bodyJSONError is the client's view of an error of json.Unmarshal.
func bodyJSONError(err error) error {
	if _, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return malformed(err)
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return malformed(err)
	}
	at := fragment(semantic.JSONPointer)
	what := fmt.Sprintf("%s cannot be %s", at, kindInWords(semantic.JSONKind))
	var own *stream.Error
	switch {
	case errors.As(err, &own):
		what = at + ": " + own.Message
	case errors.Is(err, json.ErrUnknownName):
		what = at + " is not a member of this body; GET /openapi.yaml lists the members"
	}
	e := stream.Errorf(stream.InvalidRequest, "%s", what).Because(err)
	e.Violations = []stream.Violation{{Pointer: at, Detail: what}}
	return e
}

func kindInWords(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "this string"
	case '0':
		return "this number"
	case 't', 'f':
		return "true or false"
	}
	return "this value"
}
