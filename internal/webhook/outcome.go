package webhook

import (
	"net/http"
	"strconv"
	"time"

	"sluice/internal/stream"
)

// maxRetryAfter bounds how long an endpoint may ask to be left alone.
const maxRetryAfter = 24 * time.Hour

// outcomeOf classifies a status.
func outcomeOf(status int) stream.DeliveryOutcome {
	switch {
	case status >= 200 && status < 300:
		return stream.DeliveryDone
	case status == http.StatusGone:
		return stream.DeliveryGone
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return stream.DeliverySlow
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return stream.DeliveryFailed
	}
	if status >= 300 && status < 500 {
		return stream.DeliveryRefused
	}
	return stream.DeliveryFailed // of 5xx, and of what is no status
}

// retryAfter reads Retry-After, in seconds or as a date: 0 to 24 hours, and 0
// for none or one that cannot be read.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(seconds > 0) { // NaN too
			return 0
		}
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}
