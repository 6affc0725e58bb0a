package httpapi

import "net/http"

// NewAdmin makes the handler of health and metrics alone, for a listener of
// their own. It asks nobody who they are.
func NewAdmin(o Options) http.Handler {
	o.Limits, o.Auth = o.Limits.withDefaults(), nil
	a := &api{Options: o}
	page := func(h handler) http.Handler {
		return begin(secure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h(w, r) != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})))
	}
	m := http.NewServeMux()
	m.Handle("GET /health/live", page(a.live))
	m.Handle("GET /health/ready", page(a.ready))
	m.Handle("GET /metrics", page(a.showMetrics))
	return m
}
