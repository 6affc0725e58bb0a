package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sluice/internal/stream"
)

// leeway is how far the clocks of issuer and gateway may be apart.
const leeway = 30 * time.Second

// maxPrincipal bounds the name that a claim gives, in bytes.
const maxPrincipal = 256

// OIDC is the issuer whose JSON Web Tokens are taken.
type OIDC struct {
	Issuer         string   // exactly as tokens have it
	Audience       string   // which tokens must be for
	Algorithms     []string // of signatures; see ParseAlgorithms
	PrincipalClaim string   // whose value names the principal
	JWKSURL        string   // of the issuer's keys; "": discovered

	Trust   string        // tells what Client trusts from what another one does: with another text the keys are fetched anew
	Client  *http.Client  // asks the issuer; it follows no redirect
	Refetch time.Duration // the shortest time between two questions to the issuer; 0: 10 s
}

// ParseAlgorithms reads the names of the algorithms that signatures may have.
// All use a public key: with a shared secret, whoever can check a token can make
// one, and a public key may be taken for the secret.
func ParseAlgorithms(names []string) ([]jose.SignatureAlgorithm, error) {
	known := []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
	var list []jose.SignatureAlgorithm
	for _, name := range names {
		if !slices.Contains(known, jose.SignatureAlgorithm(name)) {
			return nil, fmt.Errorf("%q is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA", name)
		}
		list = append(list, jose.SignatureAlgorithm(name))
	}
	if len(list) == 0 {
		return nil, errors.New("it is empty: name the algorithm that the issuer signs with, such as RS256")
	}
	return list, nil
}

// verifier checks the tokens of an issuer. Signatures and claims are go-jose's
// work; the keys are ours, because a removed key has to go and because forged
// tokens must not send requests to the issuer.
type verifier struct {
	o          OIDC
	algorithms []jose.SignatureAlgorithm
	claims     []string // that rules ask for
	keys       *keys
	checked    checked
}

// newVerifier makes the verifier of an issuer, without its keys.
func newVerifier(o OIDC, rules []Rule) (*verifier, error) {
	algorithms, err := ParseAlgorithms(o.Algorithms)
	if err != nil {
		return nil, err
	}
	v := &verifier{o: o, algorithms: algorithms}
	for i := range rules {
		for name := range rules[i].claims {
			v.claims = append(v.claims, name)
		}
	}
	return v, nil
}

// sameKeys says whether the keys of an issuer are those of another.
func (o OIDC) sameKeys(other OIDC) bool {
	return o.Issuer == other.Issuer && o.JWKSURL == other.JWKSURL && o.Trust == other.Trust
}

// looksLikeJWT says whether a text has the three parts of a signed token.
func looksLikeJWT(token string) bool { return strings.Count(token, ".") == 2 }

// verify gives who a token names, with the rights that caller gives: as it was
// found out a little earlier, where it was. Its error is for the log: a client
// is not told why, unless it is our fault.
func (v *verifier) verify(ctx context.Context, token string, caller func(stream.Principal) *stream.Caller) (*stream.Caller, error) {
	sum, keys := sha256.Sum256([]byte(token)), v.keys.fetches.Load()
	if c, ok := v.checked.find(sum, keys, time.Now()); ok {
		return &c, nil
	}
	p, expires, err := v.examine(ctx, token)
	if err != nil {
		return nil, err
	}
	c := caller(p)
	c.Expires = expires
	v.checked.add(sum, finding{caller: *c, keys: keys, until: earlier(expires, time.Now().Add(checkedFor))})
	return c, nil
}

// examine gives who a token names, and until when.
func (v *verifier) examine(ctx context.Context, token string) (p stream.Principal, expires time.Time, err error) {
	parsed, err := jwt.ParseSigned(token, v.algorithms)
	if err != nil {
		return p, expires, fmt.Errorf("read the token: %w", err)
	}
	claims, all, err := v.check(ctx, parsed)
	if err != nil {
		return p, expires, err
	}
	if claims.Expiry == nil {
		return p, expires, errors.New("the token does not expire")
	}
	expected := jwt.Expected{Issuer: v.o.Issuer, AnyAudience: jwt.Audience{v.o.Audience}, Time: time.Now()}
	if err := claims.ValidateWithLeeway(expected, leeway); err != nil {
		return p, expires, err
	}
	names := valuesOf(all, v.o.PrincipalClaim)
	if len(names) != 1 || names[0] == "" || len(names[0]) > maxPrincipal || strings.ContainsFunc(names[0], unicode.IsControl) {
		return p, expires, fmt.Errorf("the claim %s is not one short text", v.o.PrincipalClaim)
	}
	p.Name = kindOIDC + names[0]
	for _, name := range v.claims {
		if values := valuesOf(all, name); len(values) > 0 {
			if p.Claims == nil {
				p.Claims = map[string][]string{}
			}
			p.Claims[name] = values
		}
	}
	return p, claims.Expiry.Time().Add(leeway), nil
}

// check checks the signature, and gives the claims.
func (v *verifier) check(ctx context.Context, parsed *jwt.JSONWebToken) (claims jwt.Claims, all map[string]any, err error) {
	header := parsed.Headers[0]
	candidates, err := v.keys.find(ctx, header.KeyID)
	if err != nil {
		return claims, nil, err
	}
	err = fmt.Errorf("the issuer has no key %.64q", header.KeyID)
	for _, key := range candidates {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if err = parsed.Claims(key.Key, &claims, &all); err == nil {
			return claims, all, nil
		}
	}
	return claims, nil, err
}

// valuesOf gives the texts that a claim has, one or a list. A name with dots is
// also looked up member by member, as in "realm_access.roles".
func valuesOf(claims map[string]any, name string) []string {
	value, ok := claims[name]
	if !ok {
		head, rest, nested := strings.Cut(name, ".")
		inner, isMap := claims[head].(map[string]any)
		if !nested || !isMap {
			return nil
		}
		return valuesOf(inner, rest)
	}
	switch v := value.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{fmt.Sprint(v)}
	case []any:
		var list []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}
