package schemastore

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// EqualJSON says whether a and b are equal as JSON values: the order of members
// and white space do not count, and numbers are compared as exact decimals (1,
// 1.0 and 1e0 are equal). Texts that Validate could not read are equal only to
// themselves.
func EqualJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	d := newDecoder()
	x, err := d.read(a)
	if err != nil {
		return false
	}
	y, err := d.read(b)
	if err != nil {
		return false
	}
	return bytes.Equal(appendFingerprint(nil, x), appendFingerprint(nil, y))
}

// The first byte of a fingerprint.
const (
	shapeNull   = 'n'
	shapeTrue   = 't'
	shapeFalse  = 'f'
	shapeString = 's'
	shapeNumber = '#'
	shapeArray  = 'a'
	shapeObject = 'o'
)

func shapeOf(v any) byte {
	switch v := v.(type) {
	case nil:
		return shapeNull
	case bool:
		if v {
			return shapeTrue
		}
		return shapeFalse
	case string:
		return shapeString
	case []any:
		return shapeArray
	case map[string]any:
		return shapeObject
	}
	return shapeNumber
}

// appendFingerprint appends a text that is the same for equal values and
// different for all others: strings and containers carry their length.
func appendFingerprint(dst []byte, v any) []byte {
	dst = append(dst, shapeOf(v))
	switch v := v.(type) {
	case string:
		return appendText(dst, v)
	case int64:
		return appendDecimal(dst, strconv.FormatInt(v, 10))
	case json.Number:
		return appendDecimal(dst, string(v))
	case []any:
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		for _, item := range v {
			dst = appendFingerprint(dst, item)
		}
	case map[string]any:
		return appendObject(dst, v)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendObject(dst []byte, object map[string]any) []byte {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = appendFingerprint(appendText(dst, name), object[name])
	}
	return dst
}

// appendDecimal writes a number literal as its significant digits and the power
// of ten they are multiplied with, which is the same for equal numbers.
func appendDecimal(dst []byte, literal string) []byte {
	negative, digits, power := splitDecimal(literal)
	if negative {
		dst = append(dst, '-')
	}
	dst = appendText(dst, digits)
	return binary.AppendVarint(dst, int64(power))
}

// isWhole says whether a number literal is an integer's, as 1.0 and 1e2 are.
func isWhole(literal string) bool {
	_, _, power := splitDecimal(literal)
	return power >= 0
}

// splitDecimal reads a number literal that was checked: its digits without
// leading and trailing zeros ("" for zero), and the power of ten behind them.
func splitDecimal(literal string) (negative bool, digits string, power int) {
	literal, negative = strings.CutPrefix(literal, "-")
	mantissa := literal
	if e := strings.IndexAny(literal, "eE"); e >= 0 {
		mantissa = literal[:e]
		power, _ = strconv.Atoi(strings.TrimPrefix(literal[e+1:], "+")) // at most MaxExponent
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	power -= len(fraction)
	significant := strings.TrimRight(digits, "0")
	if significant == "" {
		return false, "", 0
	}
	return negative, significant, power + len(digits) - len(significant)
}
