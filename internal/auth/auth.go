package auth

import (
	"context"
	"crypto/x509"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// maxTokenBytes bounds what is looked at as a token at all.
const maxTokenBytes = 16 << 10

// Options is what an Auth needs.
type Options struct {
	Tokens       []Token // their names are different
	Certificates bool    // client certificates are principals
	Rules        []Rule
	Log          *slog.Logger
	Registerer   prometheus.Registerer
}

// Auth knows who holds which credentials, and what the rules allow them. It may
// be used by any number of goroutines.
type Auth struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
}

// New makes an Auth.
func New(o Options) *Auth {
	return &Auth{o: o, log: o.Log.With(slog.String("component", "auth")), metrics: newMetrics(o.Registerer)}
}

// Bearer gives who holds a token. The code is Unauthenticated where nobody
// does, any more; the message never says how near it was.
func (a *Auth) Bearer(_ context.Context, token string) (*stream.Caller, error) {
	if t, ok := find(a.o.Tokens, token); ok && len(token) <= maxTokenBytes {
		a.metrics.accepted(methodToken)
		return a.caller(stream.Principal{Name: kindToken + t.Name}), nil
	}
	a.metrics.refused(methodToken)
	return nil, stream.Errorf(stream.Unauthenticated, "the bearer token is not one that this gateway knows; get a new one, and send it whole in the header Authorization")
}

// Certificate gives who shows a client certificate, which TLS has verified.
func (a *Auth) Certificate(cert *x509.Certificate) (*stream.Caller, error) {
	if !a.o.Certificates || len(cert.Subject.Names) == 0 {
		a.metrics.refused(methodCertificate)
		return nil, stream.Errorf(stream.Unauthenticated, "the client certificate names nobody: it needs a subject")
	}
	a.metrics.accepted(methodCertificate)
	c := a.caller(stream.Principal{Name: kindCert + cert.Subject.String()})
	c.Expires = cert.NotAfter
	return c, nil
}

// caller gives the principal with its rights.
func (a *Auth) caller(p stream.Principal) *stream.Caller {
	return &stream.Caller{Principal: p, Rights: rightsOf(a.o.Rules, p)}
}

// Rights gives what a principal may do now, who may not be there: it owns
// something that is stored. A principal whose token, issuer or kind of
// credentials is not configured any more may do nothing.
func (a *Auth) Rights(p stream.Principal) stream.Rights {
	name, token := strings.CutPrefix(p.Name, kindToken)
	switch {
	case token && slices.ContainsFunc(a.o.Tokens, func(t Token) bool { return t.Name == name }):
	case strings.HasPrefix(p.Name, kindCert) && a.o.Certificates:
	default:
		return stream.Rights{}
	}
	return rightsOf(a.o.Rules, p)
}
