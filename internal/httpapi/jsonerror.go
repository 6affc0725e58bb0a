package httpapi

import (
	"errors"
	"io"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

const (
	maxPointer = 1 << 10 // bytes of a place worth telling; longer ones are made to be long
	maxNesting = 10_000  // levels the JSON decoder takes
)

// malformed is the client's view of an error of the JSON decoder: what is
// wrong and where, without any of the text, which may be long and secret.
func malformed(err error) *stream.Error {
	what, at := "the text is not JSON", ""
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at = fragment(syntax.JSONPointer)
	}
	switch {
	case syntax != nil && strings.Count(string(syntax.JSONPointer), "/") >= maxNesting-1:
		what = "the text nests deeper than " + thousands(maxNesting) + " levels"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		what = "the JSON text ends too early"
	case errors.Is(err, jsontext.ErrDuplicateName):
		what = "an object has two members of the same name"
	}
	e := stream.Errorf(stream.MalformedJSON, "%s", what)
	if syntax != nil {
		e = stream.Errorf(stream.MalformedJSON, "%s, at or after byte %s", what, thousands(int(syntax.ByteOffset)))
	}
	if at != "" {
		e.Violations = []stream.Violation{{Pointer: at, Detail: what}}
	}
	return e.Because(err)
}

// fragment writes a JSON pointer as a URI fragment (RFC 6901 §6).
func fragment(p jsontext.Pointer) string {
	var b strings.Builder
	b.WriteByte('#')
	for part := range strings.SplitSeq(strings.TrimPrefix(string(p), "/"), "/") {
		if p == "" {
			break
		}
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(url.PathEscape(part), "+", "%2B"))
	}
	return b.String()
}
