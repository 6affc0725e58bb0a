package auth

import (
	"bytes"
	"crypto/cipher"
	"slices"
	"strings"

	"sluice/internal/stream"
)

// Replace takes other tokens, rules, keys of event tokens and another issuer
// from now on: the next request is judged by them, and whoever watches is told.
// Whether certificates count stays as it was, for it goes with the listener,
// and so does how callers log in to Kafka, but for the claim that names them.
// The error is about what is configured; then all stays as it was.
func (a *Auth) Replace(o Options) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.state.Load()
	o.Certificates = old.o.Certificates
	claim := o.PassThrough.Claim
	if o.PassThrough = old.o.PassThrough; claim != "" {
		o.PassThrough.Claim = claim
	}
	next, err := a.prepare(o, old)
	if err != nil {
		return err
	}
	a.state.Store(next)
	if old.issuer != nil && (next.issuer == nil || next.issuer.keys != old.issuer.keys) {
		old.issuer.keys.close()
	}
	for _, tell := range a.watchers {
		tell()
	}
	return nil
}

// Watch has tell called after each change of what principals may do. It must
// not block, nor call Replace.
func (a *Auth) Watch(tell func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers = append(a.watchers, tell)
}

// Still gives what a caller may do now: nothing where the token that it showed
// is not configured any more.
func (a *Auth) Still(c *stream.Caller) stream.Rights {
	if name, token := strings.CutPrefix(c.Name, kindToken); token && c.Proof != "" &&
		!slices.ContainsFunc(a.state.Load().o.Tokens, func(t Token) bool { return t.Name == name && c.Proof == string(t.Hash[:]) }) {
		return stream.Rights{}
	}
	return a.Rights(c.Principal)
}

// prepare makes the state of what is configured. Keys of an issuer that stays
// are kept, and so is a key of event tokens that was made up: the tokens that
// are out stay good.
func (a *Auth) prepare(o Options, old *state) (*state, error) {
	next := &state{o: o}
	var err error
	if next.sealers, err = resealers(o.EventKeys, old); err != nil || o.OIDC == nil {
		return next, err
	}
	if next.issuer, err = newVerifier(*o.OIDC, o.Rules); err != nil {
		return nil, err
	}
	if old.issuer != nil && old.issuer.o.sameKeys(*o.OIDC) {
		next.issuer.keys = old.issuer.keys
	} else {
		next.issuer.keys = newKeys(*o.OIDC, a.log, a.metrics)
	}
	return next, nil
}

func resealers(keys [][]byte, old *state) ([]cipher.AEAD, error) {
	if len(old.sealers) > 0 && slices.EqualFunc(keys, old.o.EventKeys, bytes.Equal) {
		return old.sealers, nil
	}
	return newSealers(keys)
}
