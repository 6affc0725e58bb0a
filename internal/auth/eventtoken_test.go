package auth_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/internal/auth"
	"sluice/internal/stream"
)

func pattern(t testing.TB, text string) stream.Pattern {
	t.Helper()
	p, err := stream.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fleet makes gateways with one token, "ci", that may subscribe to orders.*; of
// each the keys of event tokens are given.
func fleet(t testing.TB, keys ...[][]byte) (caller *stream.Caller, gateways []*auth.Auth) {
	t.Helper()
	text, hash := auth.NewToken()
	token, err := auth.ParseToken("ci", hash)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		o := options(t, auth.RuleSpec{Principals: []string{"token:ci"}, Actions: []string{"subscribe", "publish"}, Streams: []string{"orders.*"}})
		o.Tokens, o.EventKeys = []auth.Token{token}, k
		gateways = append(gateways, open(t, o))
	}
	if caller, err = gateways[0].Bearer(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	return caller, gateways
}

func TestEventTokens(t *testing.T) {
	one, two := bytes.Repeat([]byte{1}, auth.EventKeySize), bytes.Repeat([]byte{2}, auth.EventKeySize)
	caller, g := fleet(t, [][]byte{one}, [][]byte{two, one}, [][]byte{two}, nil)
	begin := time.Now()
	token, expires, err := g[0].Issue(caller, pattern(t, "orders.e*,orders.us"), time.Minute)
	if err != nil || !strings.HasPrefix(token, auth.EventMark) || expires.Before(begin.Add(time.Minute-time.Millisecond)) {
		t.Fatalf("%s until %s, %v", token, expires, err)
	}
	for _, gateway := range g[:2] { // any that has the key, also a new one beside it
		c, err := gateway.Open(token)
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != "token:ci" || !c.Short || !c.Expires.Equal(expires) {
			t.Errorf("got %+v", c)
		}
		if !c.May(stream.ActionSubscribe, "orders.eu") || c.May(stream.ActionSubscribe, "orders.asia") || c.May(stream.ActionPublish, "orders.eu") || c.May(stream.ActionSubscribe, "e") {
			t.Errorf("got %+v", c.Rights)
		}
	}
	for _, gateway := range g[2:] {
		c, err := gateway.Open(token)
		wantNobody(t, c, err)
	}
	for _, bad := range []string{"", auth.EventMark, token[:len(token)-1], token + "A", strings.TrimPrefix(token, auth.EventMark), strings.Repeat(token, 100), strings.ToLower(token)} {
		c, err := g[0].Open(bad)
		wantNobody(t, c, err)
	}
	c, err := g[0].Bearer(t.Context(), token)
	wantNobody(t, c, err)
	if strings.Contains(token, "ci") && strings.Contains(token, "orders") {
		t.Error("the token tells whose it is")
	}
}

func TestEventTokensEnd(t *testing.T) {
	caller, g := fleet(t, nil)
	old, _, err := g[0].Issue(caller, pattern(t, "orders.*"), -time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c, err := g[0].Open(old)
	wantNobody(t, c, err)
	end := time.Now().Add(time.Minute).Truncate(time.Millisecond)
	short := *caller
	short.Expires = end
	if _, expires, err := g[0].Issue(&short, pattern(t, "orders.*"), time.Hour); err != nil || !expires.Equal(end) {
		t.Errorf("it outlives its maker: %s, %v", expires, err)
	}
}

func TestEventTokensThatAreNotMade(t *testing.T) {
	caller, g := fleet(t, nil)
	if _, _, err := g[0].Issue(caller, pattern(t, "orders.eu,secret"), time.Minute); stream.CodeOf(err) != stream.Forbidden {
		t.Errorf("got %v", err)
	}
	long := strings.Repeat("orders."+strings.Repeat("a", 90)+",", 40) + "orders.*"
	if _, _, err := g[0].Issue(caller, pattern(t, long), time.Minute); stream.CodeOf(err) != stream.InvalidRequest {
		t.Errorf("got %v", err)
	}
}

// A token made here is no good where its owner has no token any more.
func TestEventTokensOfOwnersThatAreGone(t *testing.T) {
	key := [][]byte{bytes.Repeat([]byte{1}, auth.EventKeySize)}
	caller, g := fleet(t, key)
	token, _, err := g[0].Issue(caller, pattern(t, "orders.*"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, auth.RuleSpec{Principals: []string{"*"}, Actions: []string{"subscribe"}, Streams: []string{"*"}})
	o.EventKeys = key
	c, err := open(t, o).Open(token)
	wantNobody(t, c, err)
}

func FuzzEventToken(f *testing.F) {
	caller, g := fleet(f, nil)
	token, _, err := g[0].Issue(caller, pattern(f, "orders.*"), time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(auth.EventMark)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := g[0].Open(text); err == nil && text != token {
			t.Errorf("%q makes %+v", text, c)
		}
	})
}
