package auth_test

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sluice/internal/auth"
	"sluice/internal/stream"
)

// What is configured anew holds from the next request on, and whoever watches
// is told.
func TestRulesAndTokensAreReplaced(t *testing.T) {
	reads := auth.RuleSpec{Principals: []string{"*"}, Actions: []string{"subscribe"}, Streams: []string{"a"}}
	a, text := newAuth(t, reads)
	c, err := a.Bearer(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	events, _, err := a.Issue(c, pattern(t, "a"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	holder, told := c, 0
	a.Watch(func() { told++ })
	if r := a.Still(c); !r.Subscribe.Match("a") {
		t.Errorf("before, it may %+v", r)
	}
	o := options(t, auth.RuleSpec{Principals: []string{"*"}, Actions: []string{"subscribe"}, Streams: []string{"a", "b"}})
	other, hash := auth.NewToken()
	token, err := auth.ParseToken("ci", hash)
	if err != nil {
		t.Fatal(err)
	}
	o.Tokens = []auth.Token{token}
	if err := a.Replace(o); err != nil || told != 1 {
		t.Fatalf("%v, told %d times", err, told)
	}
	c, err = a.Bearer(t.Context(), text)
	wantNobody(t, c, err)
	if r := a.Still(holder); !r.None() {
		t.Errorf("who holds the token before may %+v", r)
	}
	if c, err := a.Bearer(t.Context(), other); err != nil || !c.May(stream.ActionSubscribe, "b") {
		t.Errorf("%+v, %v", c, err)
	}
	// The key that was made up for event tokens is still there, the principal too.
	if c, err := a.Open(events); err != nil || !c.May(stream.ActionSubscribe, "a") {
		t.Errorf("%+v, %v", c, err)
	}
	o.EventKeys = [][]byte{make([]byte, 3)}
	o.Tokens = nil
	if err := a.Replace(o); err == nil || told != 1 {
		t.Errorf("a key of 3 bytes is taken; told %d times", told)
	}
	if _, err := a.Bearer(t.Context(), other); err != nil {
		t.Errorf("what cannot be used has changed something: %v", err)
	}
	o.EventKeys = [][]byte{make([]byte, auth.EventKeySize)}
	if err := a.Replace(o); err != nil {
		t.Fatal(err)
	}
	c, err = a.Open(events)
	wantNobody(t, c, err)
	if r := a.Rights(stream.Principal{Name: "token:ci"}); !r.None() {
		t.Errorf("a token that is gone may %+v", r)
	}
}

// An issuer that stays keeps its keys; another one's tokens are good from now
// on, and who waits for the keys of the one that is gone does not wait for ever.
func TestTheIssuerIsReplaced(t *testing.T) {
	key := newKey(t, "k1")
	i, next := newIssuer(t, key), newIssuer(t, key)
	a := i.open(t, nil)
	token := sign(t, key, i.claims(nil))
	if _, err := a.Bearer(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	o := options(t, auth.RuleSpec{Claims: map[string]string{"role": "reader"}, Actions: []string{"publish"}, Streams: []string{"z"}})
	o.OIDC = &auth.OIDC{Issuer: i.URL, Audience: "sluice", Algorithms: []string{"ES256"}, PrincipalClaim: "sub"}
	if err := a.Replace(o); err != nil {
		t.Fatal(err)
	}
	if c, err := a.Bearer(t.Context(), token); err != nil || !c.May(stream.ActionPublish, "z") || c.May(stream.ActionPublish, "a") {
		t.Errorf("%+v, %v", c, err)
	}
	if n := i.questions(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
	o.OIDC.Issuer = next.URL
	if err := a.Replace(o); err != nil {
		t.Fatal(err)
	}
	c, err := a.Bearer(t.Context(), token)
	wantNobody(t, c, err)
	if _, err := a.Bearer(t.Context(), sign(t, key, next.claims(nil))); err != nil {
		t.Error(err)
	}
	o.OIDC = nil
	if err := a.Replace(o); err != nil {
		t.Fatal(err)
	}
	c, err = a.Bearer(t.Context(), sign(t, key, next.claims(nil)))
	wantNobody(t, c, err)
}

func TestWaitingForAnIssuerThatIsReplacedEnds(t *testing.T) {
	key := newKey(t, "k1")
	i := newIssuer(t, key)
	asked, answer := make(chan struct{}), make(chan struct{})
	i.hold = func() { close(asked); <-answer }
	a := i.open(t, nil)
	<-asked
	done := make(chan error, 1)
	go func() {
		_, err := a.Bearer(t.Context(), sign(t, key, i.claims(nil)))
		done <- err
	}()
	if err := a.Replace(options(t)); err != nil {
		t.Fatal(err)
	}
	close(answer)
	if err := <-done; err == nil {
		t.Error("it is let in")
	}
}

// A token that was found good is not checked again for a while, and is checked
// again when the issuer's keys may be others.
func TestAKeyThatIsGoneEndsWhatItSigned(t *testing.T) {
	first, second := newKey(t, "k1"), newKey(t, "k2")
	i := newIssuer(t, first)
	a := i.open(t, func(o *auth.OIDC) { o.Refetch = time.Nanosecond })
	token := sign(t, first, i.claims(nil))
	for range 2 { // checked, remembered
		if c, err := a.Bearer(t.Context(), token); err != nil || c.Name != "oidc:alice" || c.Expires.IsZero() || !c.May(stream.ActionSubscribe, "b") {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	i.set(func() { i.keys = []jose.JSONWebKey{second} })
	if _, err := a.Bearer(t.Context(), sign(t, second, i.claims(nil))); err != nil { // has them fetched
		t.Fatal(err)
	}
	c, err := a.Bearer(t.Context(), token)
	wantNobody(t, c, err)
}

// What is remembered of tokens takes no more room the more there are.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	c := auth.NewChecked()
	now := time.Now()
	for i := range 2 * auth.CheckedMost {
		sum := [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}
		c.Add(sum, now.Add(time.Minute))
		if !c.Has(sum, now) || c.Has(sum, now.Add(time.Minute)) {
			t.Fatal("it is forgotten at once, or kept for too long")
		}
	}
	if n := c.Len(); n > auth.CheckedMost {
		t.Errorf("%d tokens are remembered", n)
	}
}
