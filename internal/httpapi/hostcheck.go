package httpapi

import (
	"net"
	"net/http"
	"strings"

	"sluice/internal/stream"
)

// servedHosts are the names a gateway on loopback answers to.
func servedHosts(allowed []string) map[string]bool {
	hosts := map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}
	for _, h := range allowed {
		hosts[hostName(h)] = true
	}
	return hosts
}

// checkHost refuses requests for names that are not ours. The attack it stops:
// a page of evil.example changes its DNS entry to 127.0.0.1 and then talks to
// the gateway as its own origin; only the Host header still tells.
func (a *api) checkHost(next http.Handler) http.Handler {
	if !a.LoopbackOnly {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.hosts[hostName(r.Host)] {
			a.fail(exchangeOf(w), r, stream.Errorf(stream.OriginNotAllowed,
				"this gateway has no authentication and serves only localhost; add the name in the Host header to allowed_hosts to serve it"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostName gives a Host header's name or address, without port and brackets.
func hostName(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil { // no port
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return strings.ToLower(host)
}
