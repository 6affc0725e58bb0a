package httpapi

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// objectDecoder reads JSON objects member by member, one object after another.
// Duplicate names, invalid UTF-8 and anything after the object are refused, and
// values are parts of the text wherever that is possible. The zero value is
// ready.
type objectDecoder struct {
	buf  bytes.Buffer
	dec  jsontext.Decoder
	text []byte
}

// open begins with the object that text is.
func (d *objectDecoder) open(text []byte) error {
	d.text = text
	d.buf = *bytes.NewBuffer(text)
	d.dec.Reset(&d.buf)
	if d.dec.PeekKind() != '{' {
		if _, err := d.dec.ReadValue(); err != nil {
			return malformed(err)
		}
		return stream.Errorf(stream.InvalidRequest, `a record is an object such as {"key":"k1","data":{…}}, or a CloudEvent`)
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return malformed(err)
	}
	return nil
}

// more says whether a member follows.
func (d *objectDecoder) more() bool { return d.dec.PeekKind() == '"' }

// name reads a member's name.
func (d *objectDecoder) name() ([]byte, error) {
	raw, err := d.dec.ReadValue()
	if err != nil {
		return nil, malformed(err)
	}
	return unquote(raw), nil
}

// value reads a value and gives its bytes in the text.
func (d *objectDecoder) value() ([]byte, error) {
	v, err := d.dec.ReadValue()
	if err != nil {
		return nil, malformed(err)
	}
	end := int(d.dec.InputOffset())
	return d.text[end-len(v) : end : end], nil
}

// end reads the closing brace, and makes sure that nothing follows it.
func (d *objectDecoder) end() error {
	if _, err := d.dec.ReadToken(); err != nil { // the brace, or what stands in its place
		return malformed(err)
	}
	if _, err := d.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return stream.Errorf(stream.MalformedJSON, "something follows the object")
	}
	return nil
}
