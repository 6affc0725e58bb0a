package httpapi

import (
	"log/slog"
	"net/http"
	"strings"

	"sluice/internal/stream"
)

// maxBearer bounds the credentials of a request, in bytes.
const maxBearer = 16 << 10

// The challenges of RFC 6750: to who sent no credentials, and to who sent bad
// ones.
const (
	challenge        = `Bearer realm="sluice"`
	challengeInvalid = `Bearer realm="sluice", error="invalid_token", error_description="the token is unknown, expired or not for this gateway"`
)

// authenticate gives who sends the request: by the header Authorization, or
// where the route takes them by what EventSource can send, else by the client
// certificate. Whoever shows bad credentials is nobody, even with good ones
// beside them.
func (a *api) authenticate(x *exchange, r *http.Request, events bool) (*stream.Caller, error) {
	if a.WarnPlain && len(r.Header["Authorization"]) > 0 && !a.sender(x, r).https {
		a.plain.Do(func() {
			a.Log.Warn("a token came in plain text: see that all proxies speak HTTPS to clients and say so (X-Forwarded-Proto, or proto in Forwarded)",
				slog.String("client", a.sender(x, r).client.String()))
		})
	}
	caller, err := a.identify(r, events)
	switch {
	case err != nil && stream.CodeOf(err) == stream.Unauthenticated:
		x.Header().Set("WWW-Authenticate", challengeInvalid)
	case err == nil && caller == nil:
		x.Header().Set("WWW-Authenticate", challenge)
		return nil, stream.Errorf(stream.Unauthenticated, "this gateway wants to know who you are: send the header Authorization with the value Bearer and your token")
	}
	return caller, err
}

// identify gives nil for a request without credentials.
func (a *api) identify(r *http.Request, events bool) (*stream.Caller, error) {
	if events {
		if caller, err := a.eventCaller(r); caller != nil || err != nil {
			return caller, err
		}
	}
	values := r.Header["Authorization"]
	switch {
	case len(values) > 1:
		return nil, stream.Errorf(stream.InvalidRequest, "the header Authorization is there more than once; send one")
	case len(values) == 1:
		token, ok := bearerToken(values[0])
		if !ok {
			return nil, stream.Errorf(stream.Unauthenticated, "the header Authorization is not Bearer and a token")
		}
		return a.Auth.Bearer(r.Context(), token)
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return a.Auth.Certificate(r.TLS.VerifiedChains[0][0])
	}
	return nil, nil
}

// bearerToken reads the header Authorization: the scheme in any case, one
// space or more, and a token of the characters that RFC 6750 has.
func bearerToken(header string) (string, bool) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxBearer {
		return "", false
	}
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return "", false
		}
	}
	return token, true
}

// ambient says whether the request has credentials that a browser adds on its
// own, whichever page sent it.
func ambient(r *http.Request) bool {
	return len(r.Header["Cookie"]) > 0 || r.TLS != nil && len(r.TLS.PeerCertificates) > 0
}
