package app

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/auth"
	"sluice/internal/config"
	"sluice/internal/httpapi"
	"sluice/internal/stream"
	"sluice/internal/tlsconf"
	"sluice/internal/webhook"
)

// MakeToken makes a static token and prints it, with what to configure: the
// only time that anybody sees it.
func MakeToken(name string, out io.Writer) error {
	text, hash := auth.NewToken()
	if _, err := auth.ParseToken(name, hash); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `%s

This is the token; it is shown this once. Whoever has it is "token:%s", which
the rules say the rights of. Add its line to the configuration:

auth:
  tokens:
    - {name: %q, sha256: %s}
`, text, name, name, hash)
	return err
}

// authOptions says in package auth's words what the configuration says, with
// all that is wrong with it.
func authOptions(c config.Config) (auth.Options, config.Problems) {
	var problems config.Problems
	o := auth.Options{Certificates: c.TLS.ClientAuth != "none"}
	names := map[string]bool{}
	for i, t := range c.Auth.Tokens {
		parsed, err := auth.ParseToken(t.Name, t.SHA256)
		if err == nil && names[t.Name] {
			err = fmt.Errorf("the name %q is taken by another token", t.Name)
		}
		if err != nil {
			problems.Add(fmt.Sprintf("auth.tokens[%d]", i), "%v", err)
		}
		names[t.Name] = true
		o.Tokens = append(o.Tokens, parsed)
	}
	if c.Auth.OIDC.Issuer != "" {
		o.OIDC = oidcOptions(c.Auth.OIDC, &problems)
	}
	for i, r := range c.Auth.Rules {
		parsed, err := auth.ParseRule(auth.RuleSpec{
			Principals: r.Principals, Claims: r.Claims, Actions: r.Actions, Streams: r.Streams, Schemas: r.Schemas, Groups: r.Groups,
		})
		if err != nil {
			problems.Add(fmt.Sprintf("auth.rules[%d]", i), "%v", err)
		}
		o.Rules = append(o.Rules, parsed)
	}
	return o, problems
}

func oidcOptions(c config.OIDC, problems *config.Problems) *auth.OIDC {
	if _, err := auth.ParseAlgorithms(c.Algorithms); err != nil {
		problems.Add("auth.oidc.algorithms", "%v", err)
	}
	trusted, _ := os.ReadFile(c.CAFile) // Client says what is wrong with it
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if c.CAFile != "" {
		trust, err := tlsconf.Context{CAFile: c.CAFile}.Client()
		if err != nil {
			problems.Add("auth.oidc.cafile", "%s", strings.TrimPrefix(err.Error(), "ssl_context.cafile: "))
		}
		transport.TLSClientConfig = trust
	}
	return &auth.OIDC{
		Issuer: c.Issuer, Audience: c.Audience, Algorithms: c.Algorithms, PrincipalClaim: c.PrincipalClaim, JWKSURL: c.JWKSURL,
		Trust: c.CAFile + "\n" + string(trusted), Client: &http.Client{Transport: transport},
	}
}

// newAuth makes what knows callers; nil where nobody is asked.
func (a *App) newAuth(c config.Config, pass auth.PassThrough, registry prometheus.Registerer) (callers *auth.Auth, err error) {
	log := a.log
	if !c.Authenticated() {
		return nil, nil
	}
	o, problems := authOptions(c)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if o.EventKeys, err = eventKeys(c); err != nil {
		return nil, err
	}
	if len(o.EventKeys) == 0 {
		log.Info("event tokens are good at this gateway alone: configure auth.event_token_keys where there are several")
	}
	o.Log, o.Registerer, o.PassThrough = log, registry, pass
	if !c.TLS.On() && !c.LoopbackOnly() && !plainBehindProxies(c) { // else each request tells
		log.Warn("credentials are sent to this gateway in plain text: configure tls, or see that a proxy before it speaks HTTPS", slog.String("listen", c.Listen))
	}
	if callers, err = auth.New(o); err != nil {
		return nil, err
	}
	a.cleanups.push("questions about callers", func(context.Context) error { callers.Close(); return nil })
	return callers, nil
}

// eventKeys gives the keys that seal event tokens: those that are configured,
// else some derived from those that encrypt the secrets of subscriptions, which
// all gateways have too.
func eventKeys(c config.Config) ([][]byte, error) {
	keys, err := c.Auth.EventKeys()
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	secrets, err := c.Webhooks.Keys()
	if err != nil {
		return nil, err
	}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "sluice event tokens", auth.EventKeySize)
		if err != nil {
			return nil, fmt.Errorf("derive a key of event tokens: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// serverFiles says in package tlsconf's words what the configuration says.
func serverFiles(c config.TLS) tlsconf.ServerFiles {
	ask := map[string]tls.ClientAuthType{"optional": tls.VerifyClientCertIfGiven, "required": tls.RequireAndVerifyClientCert}
	return tlsconf.ServerFiles{CertFile: c.CertFile, KeyFile: c.KeyFile, ClientCAFile: c.ClientCAFile, ClientAuth: ask[c.ClientAuth]}
}

// checkTLS gives what is wrong with the files of the gateway's TLS.
func checkTLS(c config.TLS, problems *config.Problems) {
	if !c.On() {
		return
	}
	for _, p := range serverFiles(c).Check(time.Now()) {
		problems.Add("tls."+p.Key, "%s", p.Message)
	}
}

// rights says what the owner of a subscription may do.
type rights func(stream.Principal) stream.Rights

// rightsOf gives nil where nobody is asked: then all is allowed.
func rightsOf(callers *auth.Auth) rights {
	if callers == nil {
		return nil
	}
	return callers.Rights
}

// bound gives the subscription as its owner may have it carried out: its pattern
// has only streams that the owner may read. The code is Forbidden where it may
// not be carried out at all.
func (may rights) bound(sub *stream.Subscription) (*stream.Subscription, error) {
	if may == nil || sub.State != stream.StateActive {
		return sub, nil
	}
	r := may(sub.Owner)
	if err := sub.Permitted(r); err != nil {
		return nil, err
	}
	own := sub.Clone()
	own.Streams = sub.Streams.Within(r.Subscribe)
	return own, nil
}

// check says whether the owner may do an action on a stream.
func (may rights) check(owner stream.Principal, a stream.Action, id string) error {
	if may == nil {
		return nil
	}
	if c := (&stream.Caller{Principal: owner, Rights: may(owner)}); !c.May(a, id) {
		return c.Refuse(a, id)
	}
	return nil
}

// permittedSender delivers only what a subscription's owner may read. What is
// new is bounded already where it is read; dead letters may be of streams that
// the owner could read once, or that somebody else read under the same id.
type permittedSender struct {
	*webhook.Sender
	may rights
}

// Send makes one attempt.
func (s permittedSender) Send(ctx context.Context, d *stream.Delivery) stream.Attempt {
	for i := range d.Records {
		if s.may.check(d.Subscription.Owner, stream.ActionSubscribe, d.Records[i].Stream) != nil {
			return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryRefused, Detail: "the owner of the subscription may not read the stream of this record"}
		}
	}
	return s.Sender.Send(ctx, d)
}

// guard has callers say who they are, unless nobody is asked.
func guard(o *httpapi.Options, callers *auth.Auth, passwords bool) {
	if callers != nil {
		o.Auth, o.EventTokens, o.Revocations, o.LoopbackOnly = callers, callers, callers, false
	}
	if callers != nil && passwords {
		o.Passwords = callers
	}
}
