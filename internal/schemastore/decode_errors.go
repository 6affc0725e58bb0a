package schemastore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// trailingError says that the text goes on after its end.
type trailingError struct{ at int64 }

func (e *trailingError) Error() string { return "data after the JSON text" }

func errTooDeep() *stream.Error {
	return stream.Errorf(stream.InvalidRecord, "arrays and objects are nested deeper than %d levels: make the data flatter", MaxDepth)
}

func errByteOrderMark() *stream.Error {
	return stream.Errorf(stream.MalformedJSON, "the JSON text begins with a byte order mark: send UTF-8 without one")
}

func errEmpty() *stream.Error {
	return stream.Errorf(stream.MalformedJSON, "the JSON text is empty: send one JSON value")
}

// explain makes what decoding failed with readable for the client, and says
// where it was.
func (d *decoder) explain(data []byte, err error) error {
	var (
		known     *stream.Error
		trailing  *trailingError
		syntactic *jsontext.SyntacticError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		if known.Code == stream.InvalidRecord {
			pointer := fragment(pointerTokens(d.text.StackPointer()))
			known.Violations = []stream.Violation{{Pointer: pointer, Detail: known.Message}}
		}
		return known
	case errors.As(err, &trailing):
		return stream.Errorf(stream.MalformedJSON, "the JSON text ends before %s, and more follows: send one value, or many lines as application/x-ndjson", place(data, skipSpace(data, trailing.at)))
	case errors.As(err, &syntactic):
		return explainSyntax(data, syntactic)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errCutOff(data)
	}
	return stream.Errorf(stream.MalformedJSON, "this is not one JSON text").Because(err)
}

func explainSyntax(data []byte, err *jsontext.SyntacticError) error {
	at := place(data, err.ByteOffset)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		tokens := pointerTokens(err.JSONPointer)
		e := stream.Errorf(stream.MalformedJSON, "an object has the same name twice, at %s: which of the two values is meant?", at)
		e.Violations = []stream.Violation{{Pointer: fragment(tokens), Detail: "this name occurs twice in its object"}}
		return e
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errCutOff(data)
	}
	reason := "it cannot be read"
	if err.Err != nil {
		reason = strings.TrimPrefix(err.Err.Error(), "jsontext: ")
	}
	return stream.Errorf(stream.MalformedJSON, "this is not JSON, at %s: %s", at, shorten(reason, maxText))
}

func errCutOff(data []byte) error {
	return stream.Errorf(stream.MalformedJSON, "the JSON text is cut off at its end, %s", place(data, int64(len(data))))
}

// place puts a byte offset in words.
func place(data []byte, offset int64) string {
	offset = min(max(offset, 0), int64(len(data)))
	before := data[:offset]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d (byte %d)", line, column, offset)
}

func skipSpace(data []byte, offset int64) int64 {
	offset = min(max(offset, 0), int64(len(data)))
	return int64(len(data) - len(bytes.TrimLeft(data[offset:], " \t\r\n")))
}

func pointerTokens(p jsontext.Pointer) []string {
	var tokens []string
	for token := range p.Tokens() {
		tokens = append(tokens, token)
	}
	return tokens
}
