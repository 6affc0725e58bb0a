package webhook

import (
	"net/http"

	"sluice/internal/stream"
	"sluice/internal/stream/endpoint"
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

// setCustom sets the endpoint's own headers. What should have been refused at
// creation is left out.
func setCustom(h http.Header, headers []stream.Header) {
	for _, c := range headers {
		if endpoint.IsHeaderName(c.Name) && !endpoint.IsReserved(c.Name) && isHeaderText(c.Value) {
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
