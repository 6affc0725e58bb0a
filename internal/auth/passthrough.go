package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"sluice/internal/stream"
)

// Logins lets callers log in to Kafka as themselves.
type Logins interface {
	// LogIn asks Kafka whether the login is good, and gives what publishes with
	// it. The code is stream.Unauthenticated where it is not.
	LogIn(ctx context.Context, l *stream.Login) (stream.Sender, error)
	// Later is LogIn for who is known otherwise: Kafka is asked at the first
	// record.
	Later(l *stream.Login) stream.Sender
}

// PassThrough says with which credentials callers publish under their own
// identity at Kafka. The zero value is none.
type PassThrough struct {
	Logins Logins
	Basic  string // the mechanism of SASL that user and password of HTTP Basic are for; "": they are not taken
	Bearer bool   // tokens that are not static ones are for OAUTHBEARER
	Claim  string // of such tokens, which names the user
}

func (p PassThrough) on() bool { return p.Basic != "" || p.Bearer }

// oauthBearer is the mechanism that takes tokens, in Kafka's words.
const oauthBearer = "OAUTHBEARER"

// Basic gives who has a user name and a password at Kafka, which is asked. The
// code is Unauthenticated where nobody has, KafkaUnavailable or Overloaded where
// that cannot be told.
func (a *Auth) Basic(ctx context.Context, user, password string) (*stream.Caller, error) {
	s := a.state.Load()
	l := stream.Login{Mechanism: s.o.PassThrough.Basic, User: user}.WithSecret(password)
	return a.logIn(ctx, s, methodBasic, l)
}

// passed gives whose token it is that Kafka takes, where no issuer is
// configured.
func (a *Auth) passed(ctx context.Context, s *state, token string) (*stream.Caller, error) {
	l, err := s.tokenLogin(token)
	if err != nil {
		a.metrics.refused(methodKafkaToken)
		return nil, unknownToken().Because(err)
	}
	return a.logIn(ctx, s, methodKafkaToken, l)
}

// logIn proves to be a user of Kafka before that name counts for anything.
func (a *Auth) logIn(ctx context.Context, s *state, method string, l *stream.Login) (*stream.Caller, error) {
	sender, err := s.o.PassThrough.Logins.LogIn(ctx, l)
	if err != nil {
		if stream.CodeOf(err) == stream.Unauthenticated {
			a.metrics.refused(method)
		}
		return nil, err
	}
	a.metrics.accepted(method)
	c := s.caller(stream.Principal{Name: kindUser + l.User})
	c.Sender, c.Expires = sender, l.Expires
	return c, nil
}

// lend lets who has shown an issuer's token publish with it. A token that could
// not be one of Kafka's is told so when something is published. The caller, of
// which others may have the same, stays as it is.
func (s *state) lend(c *stream.Caller, token string) (*stream.Caller, error) {
	if !s.o.PassThrough.Bearer {
		return c, nil
	}
	l, err := s.tokenLogin(token)
	if err != nil {
		return nil, err
	}
	lent := *c
	lent.Sender = s.o.PassThrough.Logins.Later(l)
	return &lent, nil
}

// fleeting are the claims in which two tokens of one account differ.
var fleeting = []string{"exp", "iat", "nbf", "jti", "auth_time", "nonce", "at_hash", "c_hash"}

// tokenLogin reads a token without verifying it, which is Kafka's part. Tokens
// are of the same account if all that they claim is the same but when they were
// made: that needs no knowledge of which claim names Kafka's user.
func (s *state) tokenLogin(token string) (*stream.Login, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	end, ok := claims["exp"].(float64)
	if !ok || end < 0 || end > math.MaxInt32*100 {
		return nil, errors.New("the token does not say when it ends")
	}
	users := valuesOf(claims, s.o.PassThrough.Claim)
	if len(users) != 1 || users[0] == "" || len(users[0]) > maxPrincipal || strings.ContainsFunc(users[0], unicode.IsControl) {
		return nil, fmt.Errorf("the claim %s is not one short text", s.o.PassThrough.Claim)
	}
	for _, name := range fleeting {
		delete(claims, name)
	}
	account, err := json.Marshal(claims) // with sorted names
	if err != nil {
		return nil, fmt.Errorf("compare the token: %w", err)
	}
	seconds, fraction := math.Modf(end)
	l := stream.Login{Mechanism: oauthBearer, User: users[0], Account: string(account), Expires: time.Unix(int64(seconds), int64(fraction*1e9))}
	return l.WithSecret(token), nil
}
