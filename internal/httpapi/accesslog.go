package httpapi

import (
	"log/slog"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// accessLog writes one line for every request: the route, never the path or
// the query, which hold keys. Probes, scrapes and publishes that succeeded are
// logged at debug level: the metrics count them, and a line for each would be
// most of the log and a tenth of the work.
func (a *api) accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		// Deferred, so that a request cut short by a panic has its line too.
		defer func() { a.logRequest(exchangeOf(w), r, time.Since(start)) }()
		next.ServeHTTP(w, r)
	})
}

func (a *api) logRequest(x *exchange, r *http.Request, took time.Duration) {
	route := routeOf(r)
	level := slog.LevelInfo
	published := r.Method == http.MethodPost && route == publishRoute && statusOf(x) < http.StatusMultiStatus
	if published || strings.HasPrefix(route, "/health/") || route == "/metrics" {
		level = slog.LevelDebug
	}
	if !a.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", knownMethod(r.Method)),
		slog.String("route", route),
		slog.Int("status", statusOf(x)),
		slog.Int64("bytes_in", x.received),
		slog.Int64("bytes_out", x.written),
		slog.Float64("duration_ms", math.Round(float64(took)/float64(time.Microsecond))/1000),
		slog.String("request_id", x.id),
	}
	if client := a.sender(x, r).client; client.IsValid() {
		attrs = append(attrs, slog.String("client", client.String()))
	}
	if x.caller != nil {
		attrs = append(attrs, slog.String("principal", x.caller.Name))
	}
	if x.code != "" {
		attrs = append(attrs, slog.String("code", string(x.code)))
	}
	if x.kind != "" {
		attrs = append(attrs, slog.String("kind", string(x.kind)))
	}
	a.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// routeOf gives the pattern of the request's route, and "unmatched" where
// there is none: what clients make up never becomes a label.
func routeOf(r *http.Request) string {
	match := chi.RouteContext(r.Context())
	if len(match.RoutePatterns) == 1 && !strings.Contains(match.RoutePatterns[0], "*") {
		return match.RoutePatterns[0] // what RoutePattern gives, too, after some work
	}
	route := match.RoutePattern()
	if route == "" {
		return "unmatched"
	}
	return route
}

// knownMethod gives the method, and "other" for one the API does not have.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
		http.MethodPatch, http.MethodOptions:
		return method
	}
	return "other"
}

// statusOf gives the status that was or will be sent: net/http answers 200 for
// a handler that wrote nothing.
func statusOf(x *exchange) int {
	if x.status == 0 {
		return http.StatusOK
	}
	return x.status
}
