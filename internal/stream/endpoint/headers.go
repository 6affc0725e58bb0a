// Package endpoint has the rules for endpoints of subscriptions that are the
// same for who registers them and who posts to them.
package endpoint

import "strings"

// IsHeaderName says whether s can name an HTTP header (RFC 9110 §5.6.2).
func IsHeaderName(s string) bool {
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

// IsReserved says whether a header is one that the gateway sets itself, or that
// belongs to the connection: no endpoint may ask for it.
func IsReserved(header string) bool {
	header = strings.ToLower(header)
	switch header {
	case "host", "content-type", "content-length", "content-encoding", "accept-encoding", "user-agent", "expect", "date",
		"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
		"idempotency-key", "x-idempotency-key", // net/http takes them for a sign
		"traceparent", "tracestate", "baggage":
		return true
	}
	for _, prefix := range []string{"webhook-", "sluice-", "ce-", "proxy-"} {
		if strings.HasPrefix(header, prefix) {
			return true
		}
	}
	return false
}
