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
		a.challenge(x, r, challengeInvalid)
	case err == nil && caller == nil:
		a.challenge(x, r, challenge)
		return nil, stream.Errorf(stream.Unauthenticated, "this gateway wants to know who you are: send the header Authorization with the value Bearer and your token%s", a.orPassword())
	}
	return caller, err
}

// challenge says which credentials the gateway takes. A page's script, such as
// the console's, is not told of Basic: the browser would ask for a password in a
// dialog of its own, keep it, and add it to all that it sends from then on.
func (a *api) challenge(x *exchange, r *http.Request, bearer string) {
	x.Header().Set("WWW-Authenticate", bearer)
	if a.Passwords != nil && r.Header.Get("Sec-Fetch-Dest") != "empty" {
		x.Header().Add("WWW-Authenticate", challengeBasic)
	}
}

func (a *api) orPassword() string {
	if a.Passwords == nil {
		return ""
	}
	return ", or Basic and your user name and password of Kafka"
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
		return a.authorized(r, values[0])
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return a.Auth.Certificate(r.TLS.VerifiedChains[0][0])
	}
	return nil, nil
}

// authorized gives whose the header Authorization is.
func (a *api) authorized(r *http.Request, header string) (*stream.Caller, error) {
	if a.Passwords != nil {
		user, password, basic, err := basicCredentials(header)
		if err != nil {
			return nil, err
		}
		if basic {
			return a.Passwords.Basic(r.Context(), user, password)
		}
	}
	token, ok := bearerToken(header)
	if !ok {
		return nil, stream.Errorf(stream.Unauthenticated, "the header Authorization is not Bearer and a token%s", a.orPassword())
	}
	return a.Auth.Bearer(r.Context(), token)
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
// own, whichever page sent it: a password that somebody typed once is among them.
func ambient(r *http.Request) bool {
	for _, value := range r.Header["Authorization"] {
		if scheme, _, _ := strings.Cut(value, " "); strings.EqualFold(scheme, "Basic") {
			return true
		}
	}
	return len(r.Header["Cookie"]) > 0 || r.TLS != nil && len(r.TLS.PeerCertificates) > 0
}
