package httpapi

import (
	"net/http"

	"sluice/internal/stream"
)

// checkOrigin refuses unsafe methods that a page of another site sent: a
// visited page must not publish or delete with its visitor's access.
func (a *api) checkOrigin(next http.Handler) http.Handler {
	c := http.NewCrossOriginProtection()
	c.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fail(exchangeOf(w), r, stream.Errorf(stream.OriginNotAllowed,
			"a page of another origin may not do this; send the request from a program, or from a page of the gateway's own origin"))
	}))
	return c.Handler(next)
}
