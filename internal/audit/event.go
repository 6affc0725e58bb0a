package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"unicode"

	"sluice/internal/stream"
)

// timeLayout is how times are written: UTC, to the microsecond.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Bounds of what clients choose, in bytes.
const (
	maxName   = 256
	maxDetail = 1024
)

// event is a decision as it is written. Changes have to fit the schema, and old
// events the schema of their version.
type event struct {
	ID        string              `json:"id"`
	Time      string              `json:"time"`
	Event     stream.AuditKind    `json:"event"`
	Outcome   stream.AuditOutcome `json:"outcome"`
	Principal string              `json:"principal"`
	Address   string              `json:"address,omitempty"`
	Action    string              `json:"action"`
	Resource  string              `json:"resource,omitempty"`
	Name      string              `json:"name,omitempty"`
	RequestID string              `json:"request_id,omitempty"`
	Status    int                 `json:"status,omitempty"`
	Code      stream.Code         `json:"code,omitempty"`
	Detail    string              `json:"detail,omitempty"`
}

// Names for who has none: a client that did not show who it is, and the gateway
// itself.
const (
	anonymous = "anonymous"
	itself    = "gateway"
)

// encode gives a decision as one JSON object. What clients chose is bounded, and
// has no characters that end a line or that a terminal obeys.
func encode(d stream.Decision) []byte {
	principal := d.Principal
	switch {
	case principal != "":
	case d.Status == 0:
		principal = itself
	default:
		principal = anonymous
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(event{
		ID: rand.Text(), Time: d.At.UTC().Format(timeLayout), Event: d.Kind, Outcome: d.Outcome, Principal: clean(principal, maxName),
		Address: clean(d.Address, maxName), Action: clean(d.Action, maxName), Resource: d.Resource, Name: clean(d.Name, maxName),
		RequestID: clean(d.RequestID, maxName), Status: d.Status, Code: d.Code, Detail: clean(d.Detail, maxDetail),
	}); err != nil {
		panic(err) // texts and numbers can always be written
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// clean gives a text without control and formatting characters. One that is too
// long is cut, and ends in a part of its hash, so that two that begin alike are
// not taken for one.
func clean(s string, most int) string {
	cut := s
	if len(s) > most {
		sum := sha256.Sum256([]byte(s))
		cut = s[:most] + "…" + hex.EncodeToString(sum[:8])
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(cut, string(unicode.ReplacementChar)))
}
