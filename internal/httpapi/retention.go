package httpapi

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// forever is how a retention without end is written, and the number for it.
const (
	forever       = "forever"
	foreverNumber = "-1"
)

// retention is how long records are kept: "7d", a number of seconds, or
// "forever" or -1 for no end. Negative means no end.
type retention time.Duration

// UnmarshalJSONFrom reads a retention.
func (d *retention) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if k := v.Kind(); k != '"' && k != '0' {
		return badRetention()
	}
	text := string(unquoteIfString(v))
	if text == forever || text == foreverNumber {
		*d = -1
		return nil
	}
	parsed, err := stream.ParseDuration(text)
	if err != nil || parsed < time.Millisecond {
		return badRetention()
	}
	*d = retention(parsed)
	return nil
}

func badRetention() error {
	return stream.Errorf(stream.InvalidRequest, `a retention is a number of seconds, a duration such as "12h" or "7d", or "forever"`)
}

// MarshalJSONTo writes a retention as it is read.
func (d retention) MarshalJSONTo(enc *jsontext.Encoder) error {
	if d < 0 {
		return enc.WriteToken(jsontext.String(forever))
	}
	return enc.WriteToken(jsontext.String(stream.FormatDuration(time.Duration(d))))
}
