package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/auth"
	"sluice/internal/stream"
)

// logins is a Kafka that takes these secrets, and keeps what it was asked.
type logins struct {
	good []string
	last *stream.Login
}

// sender publishes as somebody; only who that is counts.
type sender struct{ user string }

func (sender) Send(*stream.Message, func(stream.Report, error)) error { return nil }

func (l *logins) LogIn(_ context.Context, as *stream.Login) (stream.Sender, error) {
	l.last = as
	for _, secret := range l.good {
		if as.Reveal() == secret {
			return sender{as.User}, nil
		}
	}
	return nil, stream.Errorf(stream.Unauthenticated, "no")
}

func (l *logins) Later(as *stream.Login) stream.Sender { l.last = as; return sender{as.User} }

func passing(t *testing.T, l *logins, bearer bool) *auth.Auth {
	t.Helper()
	o := options(t,
		auth.RuleSpec{Principals: []string{"user:alice"}, Actions: []string{"publish"}, Streams: []string{"a"}},
		auth.RuleSpec{Principals: []string{"user:*"}, Actions: []string{"subscribe"}, Streams: []string{"b"}},
		auth.RuleSpec{Principals: []string{"oidc:alice", "token:alice"}, Actions: []string{"manage"}, Streams: []string{"*"}})
	o.PassThrough = auth.PassThrough{Logins: l, Basic: "SCRAM-SHA-512", Bearer: bearer, Claim: "sub"}
	return open(t, o)
}

// A name counts for something once Kafka has taken the password.
func TestBasic(t *testing.T) {
	l := &logins{good: []string{"right"}}
	a := passing(t, l, false)
	c, err := a.Basic(t.Context(), "alice", "wrong")
	wantNobody(t, c, err)
	c, err = a.Basic(t.Context(), "alice", "right")
	if err != nil || c.Name != "user:alice" || !c.May(stream.ActionPublish, "a") || !c.May(stream.ActionSubscribe, "b") || c.May(stream.ActionManage, "a") {
		t.Fatalf("got %+v, %v", c, err)
	}
	if c.Sender != (sender{"alice"}) || l.last.Mechanism != "SCRAM-SHA-512" || l.last.Account != "" {
		t.Errorf("publishes with %v, logged in by %+v", c.Sender, l.last)
	}
	if !a.Rights(c.Principal).May(stream.ActionSubscribe, "b") {
		t.Error("what a user of Kafka has stored has no rights")
	}
	other := options(t, auth.RuleSpec{Principals: []string{"*"}, Actions: []string{"publish"}, Streams: []string{"a"}})
	if got := open(t, other).Rights(c.Principal); !got.None() {
		t.Error("where nobody logs in to Kafka, a user of Kafka has rights")
	}
}

func jwtOf(t *testing.T, claims map[string]any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(b) + "."
}

// A token is Kafka's to judge; what cannot be one is not even asked about.
func TestTokensOfKafka(t *testing.T) {
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	claims := func(change map[string]any) map[string]any {
		all := map[string]any{"sub": "alice", "iss": "https://idp.example", "exp": end.Unix(), "jti": "1"}
		maps.Copy(all, change)
		return all
	}
	l := &logins{}
	a := passing(t, l, true)
	for name, change := range map[string]map[string]any{
		"no end": {"exp": nil}, "no number": {"exp": "tomorrow"}, "huge": {"exp": 1e300}, "nobody": {"sub": ""},
		"no text": {"sub": 1}, "several": {"sub": []string{"alice", "bob"}}, "control": {"sub": "al\x00ice"},
	} {
		c, err := a.Bearer(t.Context(), jwtOf(t, claims(change)))
		wantNobody(t, c, err)
		if l.last != nil {
			t.Errorf("%s: Kafka is asked", name)
		}
	}
	for _, text := range []string{"a.b.c", "a.!.c", "..", "a.bnVsbA.c"} {
		c, err := a.Bearer(t.Context(), text)
		wantNobody(t, c, err)
	}
	var accounts []string
	for _, change := range []map[string]any{{}, {"jti": "2", "exp": end.Unix() + 1}, {"scope": "more"}} {
		text := jwtOf(t, claims(change))
		c, err := a.Bearer(t.Context(), text)
		wantNobody(t, c, err)
		l.good = []string{text}
		c, err = a.Bearer(t.Context(), text)
		if err != nil || c.Name != "user:alice" || c.Sender != (sender{"alice"}) || c.Expires.Before(end) {
			t.Fatalf("got %+v, %v", c, err)
		}
		accounts = append(accounts, l.last.Account)
	}
	if accounts[0] != accounts[1] || accounts[0] == accounts[2] {
		t.Errorf("the accounts are %v", cmp.Diff(accounts[0], accounts[1:]))
	}
	if c, err := passing(t, &logins{good: l.good}, false).Bearer(t.Context(), l.good[0]); err == nil {
		t.Errorf("where tokens are not passed on, one makes somebody %s", c.Name)
	}
}

// Who has an issuer's token is who the issuer says, and publishes with it.
func TestTokensOfAnIssuerArePassedOn(t *testing.T) {
	for _, bearer := range []bool{true, false} {
		l, key := &logins{}, newKey(t, "k1")
		i := newIssuer(t, key)
		o := options(t)
		o.OIDC = &auth.OIDC{Issuer: i.URL, Audience: "sluice", Algorithms: []string{"ES256"}, PrincipalClaim: "sub"}
		o.PassThrough = auth.PassThrough{Logins: l, Bearer: bearer, Claim: "sub"}
		c, err := open(t, o).Bearer(t.Context(), sign(t, key, i.claims(nil)))
		if err != nil {
			t.Fatal(err)
		}
		if (c.Sender != nil) != bearer || bearer && (l.last.Mechanism != "OAUTHBEARER" || c.Name != "oidc:"+l.last.User) {
			t.Errorf("%s publishes with %v", c.Name, c.Sender)
		}
	}
}
