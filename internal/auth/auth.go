package auth

import (
	"context"
	"crypto/cipher"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// maxTokenBytes bounds what is looked at as a token at all.
const maxTokenBytes = 16 << 10

// Options is what an Auth needs.
type Options struct {
	Tokens       []Token // their names are different
	OIDC         *OIDC   // whose JSON Web Tokens are taken; nil: nobody's
	Certificates bool    // client certificates are principals
	PassThrough  PassThrough
	Rules        []Rule
	EventKeys    [][]byte // of EventKeySize each, seal event tokens: the first one those made from now on. None: one is made up, and they are good only here
	Log          *slog.Logger
	Registerer   prometheus.Registerer
}

// Auth knows who holds which credentials, and what the rules allow them. It may
// be used by any number of goroutines.
type Auth struct {
	log     *slog.Logger
	metrics *metrics
	state   atomic.Pointer[state]

	mu       sync.Mutex // held while the state is replaced
	watchers []func()
}

// state is what is configured, as of one time.
type state struct {
	o       Options
	issuer  *verifier // nil: none
	sealers []cipher.AEAD
}

// New makes an Auth, and begins to fetch the issuer's keys, where there is one:
// until they are there, its tokens cannot be checked. Close ends it. The error
// is about what is configured.
func New(o Options) (*Auth, error) {
	a := &Auth{log: o.Log.With(slog.String("component", "auth")), metrics: newMetrics(o.Registerer)}
	s, err := a.prepare(o, &state{})
	if err != nil {
		return nil, err
	}
	a.state.Store(s)
	return a, nil
}

// Close ends the questions to the issuer.
func (a *Auth) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.state.Load(); s.issuer != nil {
		s.issuer.keys.close()
	}
}

// Bearer gives who holds a token. The code is Unauthenticated where nobody
// does, any more; the message never says how near it was. It is Overloaded
// while the issuer's keys could not be fetched.
func (a *Auth) Bearer(ctx context.Context, token string) (*stream.Caller, error) {
	if len(token) > maxTokenBytes {
		a.metrics.refused(methodToken)
		return nil, unknownToken()
	}
	s := a.state.Load()
	if t, ok := find(s.o.Tokens, token); ok {
		a.metrics.accepted(methodToken)
		c := s.caller(stream.Principal{Name: kindToken + t.Name})
		c.Proof = string(t.Hash[:])
		return c, nil
	}
	if s.issuer != nil && looksLikeJWT(token) {
		return a.issued(ctx, s, token)
	}
	if s.o.PassThrough.Bearer && looksLikeJWT(token) {
		return a.passed(ctx, s, token)
	}
	a.metrics.refused(methodToken)
	return nil, unknownToken()
}

func unknownToken() *stream.Error {
	return stream.Errorf(stream.Unauthenticated, "the bearer token is unknown or has expired; get a new one, and send it whole in the header Authorization")
}

// issued gives who holds a token of the issuer.
func (a *Auth) issued(ctx context.Context, s *state, token string) (*stream.Caller, error) {
	c, err := s.issuer.verify(ctx, token, s.caller)
	if err != nil {
		a.metrics.refused(methodOIDC)
		a.log.Debug("a token was refused", slog.Any("error", err))
		if _, ours := errors.AsType[*stream.Error](err); ours || ctx.Err() != nil {
			return nil, err
		}
		return nil, unknownToken().Because(err)
	}
	if c, err = s.lend(c, token); err != nil {
		a.metrics.refused(methodOIDC)
		return nil, unknownToken().Because(err)
	}
	a.metrics.accepted(methodOIDC)
	return c, nil
}

// Certificate gives who shows a client certificate, which TLS has verified.
func (a *Auth) Certificate(cert *x509.Certificate) (*stream.Caller, error) {
	s := a.state.Load()
	if !s.o.Certificates || len(cert.Subject.Names) == 0 {
		a.metrics.refused(methodCertificate)
		return nil, stream.Errorf(stream.Unauthenticated, "the client certificate names nobody: it needs a subject")
	}
	a.metrics.accepted(methodCertificate)
	c := s.caller(stream.Principal{Name: kindCert + cert.Subject.String()})
	c.Expires = cert.NotAfter
	return c, nil
}

// caller gives the principal with its rights.
func (s *state) caller(p stream.Principal) *stream.Caller {
	return &stream.Caller{Principal: p, Rights: rightsOf(s.o.Rules, p)}
}

// Rights gives what a principal may do now, who may not be there: it owns
// something that is stored. A principal whose token, issuer or kind of
// credentials is not configured any more may do nothing.
func (a *Auth) Rights(p stream.Principal) stream.Rights {
	s := a.state.Load()
	name, token := strings.CutPrefix(p.Name, kindToken)
	switch {
	case token && slices.ContainsFunc(s.o.Tokens, func(t Token) bool { return t.Name == name }):
	case strings.HasPrefix(p.Name, kindCert) && s.o.Certificates:
	case strings.HasPrefix(p.Name, kindOIDC) && s.issuer != nil:
	case strings.HasPrefix(p.Name, kindUser) && s.o.PassThrough.on():
	default:
		return stream.Rights{}
	}
	return rightsOf(s.o.Rules, p)
}
