package webhook

import (
	"net/http"
	"net/textproto"
	"strings"

	"sluice/internal/stream"
)

// Headers that say where a delivery comes from, whatever its view.
const (
	headerSubscription = "Sluice-Subscription"
	headerAttempt      = "Sluice-Attempt"
	headerStream       = "Sluice-Stream"
	headerPartition    = "Sluice-Partition"
	headerOffset       = "Sluice-Offset" // of the first record
	headerView         = "Sluice-View"   // "record", where a record has nothing that its view could show
)

const maxHeaderValue = 8 << 10 // bytes of one header that is passed on

// CheckHeaders says whether an endpoint may have the headers: names and values
// that HTTP can carry, none that the gateway sets itself, and none that belong
// to the connection. The error is a *stream.Error of code InvalidRequest; it
// names the header and never its value.
func CheckHeaders(headers []stream.Header) error {
	for _, h := range headers {
		switch {
		case !isToken(h.Name):
			return stream.Errorf(stream.InvalidRequest, "an endpoint's header needs a name of letters, digits and -")
		case isReserved(h.Name):
			return stream.Errorf(stream.InvalidRequest, "the header %s is set by the gateway or belongs to the connection; leave it out of endpoint.headers", textproto.CanonicalMIMEHeaderKey(h.Name))
		case !isHeaderText(h.Value):
			return stream.Errorf(stream.InvalidRequest, "the value of the header %s has characters that no header can carry, or is longer than 8 KiB", textproto.CanonicalMIMEHeaderKey(h.Name))
		}
	}
	return nil
}

// isReserved says whether a header is the gateway's or the connection's.
func isReserved(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "host", "content-type", "content-length", "content-encoding", "accept-encoding", "user-agent", "expect", "date",
		"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
		"idempotency-key", "x-idempotency-key", // net/http takes them for a sign
		"traceparent", "tracestate", "baggage":
		return true
	}
	for _, prefix := range []string{"webhook-", "sluice-", "ce-", "proxy-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// setCustom sets the endpoint's own headers. What should have been refused at
// creation is left out.
func setCustom(h http.Header, headers []stream.Header) {
	for _, c := range headers {
		if isToken(c.Name) && !isReserved(c.Name) && isHeaderText(c.Value) {
			h.Add(c.Name, string(c.Value))
		}
	}
}

// setTrace passes on a record's tracing headers.
func setTrace(h http.Header, rec *stream.Record) {
	for _, r := range rec.Headers {
		switch r.Name {
		case "traceparent", "tracestate", "baggage":
			if len(r.Value) > 0 && isHeaderText(r.Value) {
				h.Add(r.Name, string(r.Value))
			}
		}
	}
}

// isToken says whether s can name a header (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// isHeaderText says whether b can be a header's value: visible ASCII, blanks
// and tabs.
func isHeaderText(b []byte) bool {
	for _, c := range b {
		if c != '\t' && (c < ' ' || c >= 0x7f) {
			return false
		}
	}
	return len(b) <= maxHeaderValue
}
