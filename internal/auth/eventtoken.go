package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sluice/internal/stream"
)

// EventMark begins every token that EventSource reads with.
const EventMark = "sluice_events_"

// EventKeySize is the length of a key that seals event tokens, in bytes.
const EventKeySize = 32

// maxEventToken bounds an event token, in bytes: it has to fit into a query
// beside a position.
const maxEventToken = 4096

// eventClaims is what an event token holds. It is sealed, so that the address
// of a request, which proxies may log, names nobody.
type eventClaims struct {
	Name    string              `json:"n"`
	Claims  map[string][]string `json:"c,omitempty"`
	Streams string              `json:"s"`
	Expires int64               `json:"e"` // milliseconds since 1970
}

// newSealers makes what seals event tokens: the first seals, all open. Without
// keys one is made up, and tokens are good only here.
func newSealers(keys [][]byte) ([]cipher.AEAD, error) {
	if len(keys) == 0 {
		own := make([]byte, EventKeySize)
		rand.Read(own)
		keys = [][]byte{own}
	}
	var sealers []cipher.AEAD
	for _, key := range keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("use a key of event tokens: %w", err)
		}
		sealer, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("use a key of event tokens: %w", err)
		}
		sealers = append(sealers, sealer)
	}
	return sealers, nil
}

// Issue makes a token with which the caller's events can be read, of these
// streams alone, for so long, but not for longer than the caller's own
// credentials. Codes: Forbidden for streams that the caller may not read,
// InvalidRequest where the token would be too large.
func (a *Auth) Issue(c *stream.Caller, streams stream.Pattern, lifetime time.Duration) (token string, expires time.Time, err error) {
	if err := c.CheckPattern(stream.ActionSubscribe, streams); err != nil {
		return "", expires, err
	}
	expires = time.Now().Add(lifetime)
	if !c.Expires.IsZero() && c.Expires.Before(expires) {
		expires = c.Expires
	}
	text, err := json.Marshal(eventClaims{Name: c.Name, Claims: c.Claims, Streams: streams.String(), Expires: expires.UnixMilli()})
	if err != nil {
		return "", expires, fmt.Errorf("write an event token: %w", err)
	}
	sealed := a.state.Load().sealers[0].Seal(nil, nil, text, []byte(EventMark)) //nolint:gosec // it makes its own nonce; the constant is no nonce
	token = EventMark + base64.RawURLEncoding.EncodeToString(sealed)
	if len(token) > maxEventToken {
		return "", expires, stream.Errorf(stream.InvalidRequest, "the token would have %d bytes, and %d fit into a request: name fewer streams, or a pattern", len(token), maxEventToken)
	}
	return token, time.UnixMilli(expires.UnixMilli()), nil
}

// Open gives whose event token it is: the principal that it was made for, with
// what that may read now, of the token's streams, in the groups it may use. The code is Unauthenticated.
func (a *Auth) Open(token string) (*stream.Caller, error) {
	claims, ok := a.unseal(token)
	end := time.UnixMilli(claims.Expires)
	if !ok || !time.Now().Before(end) {
		return nil, a.refuseEvents()
	}
	streams, err := stream.ParsePattern(claims.Streams)
	p := stream.Principal{Name: claims.Name, Claims: claims.Claims}
	rights := a.Rights(p)
	if err != nil || rights.None() {
		return nil, a.refuseEvents()
	}
	a.metrics.accepted(methodEvents)
	return &stream.Caller{
		Principal: p, Expires: end, Short: true,
		Rights: stream.Rights{Subscribe: streams.Within(rights.Subscribe), JoinGroups: rights.JoinGroups},
	}, nil
}

func (a *Auth) refuseEvents() *stream.Error {
	a.metrics.refused(methodEvents)
	return stream.Errorf(stream.Unauthenticated, "the token for reading events is unknown or has expired; get a new one with POST /event-tokens, and open the stream anew")
}

func (a *Auth) unseal(token string) (claims eventClaims, ok bool) {
	text, marked := strings.CutPrefix(token, EventMark)
	if !marked || len(token) > maxEventToken {
		return claims, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return claims, false
	}
	for _, sealer := range a.state.Load().sealers {
		if plain, err := sealer.Open(nil, nil, b, []byte(EventMark)); err == nil {
			return claims, json.Unmarshal(plain, &claims) == nil
		}
	}
	return claims, false
}
