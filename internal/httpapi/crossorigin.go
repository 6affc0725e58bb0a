package httpapi

import (
	"net/http"

	"sluice/internal/stream"
)

// checkOrigin refuses unsafe methods that a page of another site sent, unless
// its origin is allowed: a visited page must not publish or delete with its
// visitor's access. Where all origins are allowed, that holds for requests
// without cookies, passwords and client certificates: no page gets access by what the
// browser adds on its own.
func (a *api) checkOrigin(next http.Handler) http.Handler {
	c := http.NewCrossOriginProtection()
	c.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fail(exchangeOf(w), r, stream.Errorf(stream.OriginNotAllowed,
			"a page of another origin may not do this; send the request from a program, or from a page of the gateway's own origin"))
	}))
	checked := c.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := a.origins.allow(r.Header.Get("Origin"))
		if allowed && (!a.origins.all || !ambient(r)) {
			next.ServeHTTP(w, r)
			return
		}
		checked.ServeHTTP(w, r)
	})
}
