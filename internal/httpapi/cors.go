package httpapi

import (
	"net/http"
	"slices"
	"strings"
)

// What pages of allowed origins may send and see (the Fetch standard's CORS
// protocol), beyond what any page may. Headers that name something of the
// client's own are allowed by their prefix.
const (
	corsMethods = "GET, HEAD, POST, PUT, DELETE"
	corsHeaders = "accept, authorization, content-encoding, content-type, idempotency-key, if-match, if-none-match, " +
		"last-event-id, prefer, x-request-id, traceparent, tracestate, baggage"
	corsExposed = "Location, Preference-Applied, ETag, Retry-After, RateLimit, RateLimit-Policy, " +
		"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, X-Request-Id"
	corsMaxAge = "3600" // seconds for which a browser may keep the answer to a preflight
)

// maxCORSHeaders bounds how many headers a preflight may ask for.
const maxCORSHeaders = 100

// allowedOrigins are the origins whose pages may use the API. The zero value
// is none.
type allowedOrigins struct {
	all   bool
	names map[string]bool
}

func newAllowedOrigins(list []string) allowedOrigins {
	o := allowedOrigins{names: make(map[string]bool, len(list))}
	for _, name := range list {
		o.all = o.all || name == "*"
		o.names[strings.ToLower(name)] = true
	}
	return o
}

// allow says whether a page of that origin may use the API; "" is no page's.
func (o allowedOrigins) allow(origin string) bool {
	return origin != "" && (o.all || o.names[origin])
}

// allowOrigins tells browsers which pages may use the API, and answers their
// preflights. A page of another origin gets an answer without these headers,
// which its browser keeps from it.
func (a *api) allowOrigins(next http.Handler) http.Handler {
	if len(a.origins.names) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header.Get("Origin")
		if !a.origins.all { // else the answer is the same for all
			h.Add("Vary", "Origin")
		}
		if !a.origins.allow(origin) {
			next.ServeHTTP(w, r)
			return
		}
		if a.origins.all {
			h.Set("Access-Control-Allow-Origin", "*")
		} else {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			preflight(w, r)
			return
		}
		h.Set("Access-Control-Expose-Headers", corsExposed)
		next.ServeHTTP(w, r)
	})
}

// preflight says what a request of an allowed page may have. Whether the path
// takes the method is told by the request itself.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", strings.Join(append([]string{corsHeaders}, ownHeaders(r)...), ", "))
	h.Set("Access-Control-Max-Age", corsMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// ownHeaders gives those of the headers asked for that carry record headers or
// attributes of CloudEvents: a wildcard would not do, as it means a header
// named "*" where there are credentials.
func ownHeaders(r *http.Request) []string {
	var own []string
	for _, line := range r.Header.Values("Access-Control-Request-Headers") {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if (strings.HasPrefix(name, "kafka-header-") || strings.HasPrefix(name, "ce-")) &&
				len(own) < maxCORSHeaders && !slices.Contains(own, name) {
				own = append(own, name)
			}
		}
	}
	return own
}
