package schemastore

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// Limits of one JSON text. The engine recurses with the data and does exact
// arithmetic, so it is the text that has to be bounded.
const (
	// MaxDepth is how deep arrays and objects may nest. 9,000 levels under a
	// recursive schema cost the engine 700 MB.
	MaxDepth = 128
	// MaxNumberLength is the length of a number literal, in bytes. A million
	// digits cost the engine seconds for "type": "integer".
	MaxNumberLength = 400
	// MaxExponent bounds the exponent of a number, either way. 1e999999 is
	// eight bytes, and the engine writes all its digits out.
	MaxExponent = 400
)

const (
	maxNames      = 1024 // property names a decoder remembers, to allocate each but once
	maxNameLength = 64   // bytes of a name worth remembering
	maxPlainInt   = 18   // digits that always fit an int64
)

// CheckJSON says whether data is one JSON text that Validate would read:
// RFC 8259 in UTF-8 without a byte order mark, without duplicate names, lone
// surrogates or trailing data (else MalformedJSON), and within MaxDepth,
// MaxNumberLength and MaxExponent (else InvalidRecord).
func CheckJSON(data []byte) error {
	d := newDecoder()
	return d.explain(data, d.skim(data))
}

// decoder makes Go values of JSON texts, one after the other. It is not for
// concurrent use.
type decoder struct {
	text  *jsontext.Decoder
	input bytes.Buffer
	names map[string]string

	deepest int // how deep the last text was nested
}

func newDecoder() *decoder {
	d := &decoder{names: map[string]string{}}
	d.text = jsontext.NewDecoder(&d.input)
	return d
}

// decode makes of data what the engine takes: nil, bool, string, []any,
// map[string]any, int64 for a plain integer that fits, and json.Number for
// every other number, so that nothing is rounded.
func (d *decoder) decode(data []byte) (any, error) {
	v, err := d.read(data)
	return v, d.explain(data, err)
}

func (d *decoder) read(data []byte) (any, error) {
	if err := d.open(data); err != nil {
		return nil, err
	}
	defer d.close()
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	return v, d.end()
}

// skim reads like read and makes nothing.
func (d *decoder) skim(data []byte) error {
	if err := d.open(data); err != nil {
		return err
	}
	defer d.close()
	for {
		if d.text.PeekKind() == jsontext.KindNumber {
			raw, err := d.text.ReadValue()
			if err != nil {
				return err
			}
			if err := checkNumber(raw); err != nil {
				return err
			}
		} else if _, err := d.text.ReadToken(); err != nil {
			return err
		}
		switch depth := d.text.StackDepth(); {
		case depth == 0:
			return d.end()
		case depth > MaxDepth:
			return errTooDeep()
		}
	}
}

func (d *decoder) open(data []byte) error {
	if bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")) {
		return errByteOrderMark()
	}
	if len(bytes.TrimLeft(data, " \t\r\n")) == 0 {
		return errEmpty()
	}
	d.input = *bytes.NewBuffer(data) // the decoder reads from data itself, without a copy
	d.text.Reset(&d.input)
	d.deepest = 0
	return nil
}

// close lets go of the data, which the pool would keep alive otherwise.
func (d *decoder) close() { d.input = bytes.Buffer{} }

// end makes sure that nothing but white space follows.
func (d *decoder) end() error {
	at := d.text.InputOffset()
	if _, err := d.text.ReadToken(); !errors.Is(err, io.EOF) {
		return &trailingError{at: at}
	}
	return nil
}

func (d *decoder) value(depth int) (any, error) {
	switch d.text.PeekKind() {
	case jsontext.KindBeginObject:
		return d.object(depth + 1)
	case jsontext.KindBeginArray:
		return d.array(depth + 1)
	case jsontext.KindString:
		raw, err := d.text.ReadValue()
		if err != nil {
			return nil, err
		}
		return unquote(raw)
	case jsontext.KindNumber:
		raw, err := d.text.ReadValue()
		if err != nil {
			return nil, err
		}
		return number(raw)
	}
	token, err := d.text.ReadToken()
	if err != nil {
		return nil, err
	}
	if token.Kind() == jsontext.KindNull {
		return nil, nil
	}
	return token.Bool(), nil
}

func (d *decoder) object(depth int) (any, error) {
	if err := d.enter(depth); err != nil {
		return nil, err
	}
	if _, err := d.text.ReadToken(); err != nil {
		return nil, err
	}
	object := map[string]any{}
	for d.text.PeekKind() != jsontext.KindEndObject {
		raw, err := d.text.ReadValue()
		if err != nil {
			return nil, err
		}
		name, err := d.name(raw)
		if err != nil {
			return nil, err
		}
		if object[name], err = d.value(depth); err != nil {
			return nil, err
		}
	}
	_, err := d.text.ReadToken()
	return object, err
}

func (d *decoder) array(depth int) (any, error) {
	if err := d.enter(depth); err != nil {
		return nil, err
	}
	if _, err := d.text.ReadToken(); err != nil {
		return nil, err
	}
	array := []any{}
	for d.text.PeekKind() != jsontext.KindEndArray {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	_, err := d.text.ReadToken()
	return array, err
}

func (d *decoder) enter(depth int) error {
	d.deepest = max(d.deepest, depth)
	if depth > MaxDepth {
		return errTooDeep()
	}
	return nil
}

// name is unquote for property names, which repeat from row to row and from
// record to record.
func (d *decoder) name(raw []byte) (string, error) {
	if s, ok := d.names[string(raw)]; ok { // the compiler makes no string for the look-up
		return s, nil
	}
	s, err := unquote(raw)
	if err == nil && len(raw) <= maxNameLength && len(d.names) < maxNames {
		d.names[string(raw)] = s
	}
	return s, err
}

// unquote reads a string literal that the decoder has checked.
func unquote(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	return string(b), err
}

func number(raw []byte) (any, error) {
	if n, ok := plainInt(raw); ok {
		return n, nil
	}
	if err := checkNumber(raw); err != nil {
		return nil, err
	}
	return json.Number(raw), nil
}

// plainInt reads an integer without fraction and exponent that fits an int64.
func plainInt(raw []byte) (int64, bool) {
	if len(raw) > maxPlainInt {
		return 0, false
	}
	for i, c := range raw {
		if (c < '0' || c > '9') && (c != '-' || i > 0) {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}

// checkNumber refuses a number literal whose digits, written out, would be a
// burden. The literal is well-formed.
func checkNumber(raw []byte) error {
	if len(raw) > MaxNumberLength {
		return stream.Errorf(stream.InvalidRecord, "a number is longer than %d characters: send it as a string", MaxNumberLength)
	}
	e := bytes.IndexAny(raw, "eE")
	if e < 0 {
		return nil
	}
	exponent := bytes.TrimLeft(bytes.TrimLeft(raw[e+1:], "+-"), "0")
	if n, err := strconv.Atoi("0" + string(exponent)); err != nil || n > MaxExponent {
		return stream.Errorf(stream.InvalidRecord, "a number's exponent is beyond %d: send it as a string", MaxExponent)
	}
	return nil
}
