package httpapi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

var errNotBytes = errors.New(`is a string, {"base64":"…"} or null`)

// bytesOf reads a key or a header's value: null, a string, or an object of the
// one member base64, in the standard alphabet with padding.
func bytesOf(v []byte) ([]byte, error) {
	switch v[0] {
	case 'n':
		return nil, nil
	case '"':
		return unquote(v), nil
	case '{':
		inner := bytes.TrimSpace(v[1 : len(v)-1])
		name, rest, found := bytes.Cut(inner, []byte(":"))
		text := bytes.TrimSpace(rest)
		if !found || string(bytes.TrimSpace(name)) != `"base64"` || len(text) < 2 || text[0] != '"' || bytes.IndexByte(text[1:], '"') != len(text)-2 {
			return nil, errNotBytes
		}
		decoded, err := base64.StdEncoding.Strict().AppendDecode([]byte{}, unquote(text))
		if err != nil {
			return nil, errors.New("is not base64 (the standard alphabet, with padding)")
		}
		return decoded, nil
	}
	return nil, errNotBytes
}

// unquote gives what a JSON string stands for: a part of it, when it has no
// escapes. It is not nil.
func unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1 : len(raw)-1]
	}
	b, _ := jsontext.AppendUnquote([]byte{}, raw) // the decoder has accepted it
	return b
}

func unquoteIfString(v []byte) []byte {
	if v[0] == '"' {
		return unquote(v)
	}
	return v
}

// memberError is the error for a member that cannot be read.
func memberError(name, what string) *stream.Error {
	return atMember(name, badParameter(strconv.Quote(name), what))
}

// atMember adds the place to the error of a member.
func atMember(name string, e *stream.Error) *stream.Error {
	e.Violations = []stream.Violation{{Pointer: "#/" + name, Detail: e.Message}}
	return e
}

// wrapMember makes err, unless nil, an error of the member.
func wrapMember(name string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*stream.Error](err); ok {
		return atMember(name, e)
	}
	return memberError(name, err.Error())
}

// unknownMember is the error for a member that nobody defined.
func unknownMember(at jsontext.Pointer) error {
	if len(at) > maxPointer {
		at = "" // the name is the client's own, and long
	}
	e := stream.Errorf(stream.InvalidRequest, "%s is no member of a line; known are key, headers, partition, timestamp, schema, data and value", fragment(at))
	e.Violations = []stream.Violation{{Pointer: fragment(at), Detail: "the member is unknown"}}
	return e
}
