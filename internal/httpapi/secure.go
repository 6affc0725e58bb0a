package httpapi

import "net/http"

// Header values that are the same in every answer, made once: the maps of all
// answers share them, and nothing appends to them.
var (
	headerNosniff = []string{"nosniff"}
	headerNoStore = []string{"no-store"}
	headerNoRefer = []string{"no-referrer"} // queries may have tokens
	// Nothing the API answers has scripts, styles or frames; a page that has
	// them sets a policy of its own.
	headerCSP = []string{"default-src 'none'; frame-ancestors 'none'"}

	headerJSON    = []string{"application/json"}
	headerNDJSON  = []string{"application/x-ndjson"}
	headerProblem = []string{"application/problem+json"}
	headerEvents  = []string{"text/event-stream"}
)

// secure sets the headers that keep browsers from guessing types, from
// framing, from storing what they read, and from telling others its address.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"] = headerNosniff
		h["Content-Security-Policy"] = headerCSP
		h["Referrer-Policy"] = headerNoRefer
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			h["Cache-Control"] = headerNoStore // other methods are not stored anyway
		}
		next.ServeHTTP(w, r)
	})
}
