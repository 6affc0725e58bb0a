package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sluice/internal/auth"
	"sluice/internal/stream"
)

// issuer is an OpenID Connect issuer as far as the gateway sees one.
type issuer struct {
	*httptest.Server

	mu    sync.Mutex
	keys  []jose.JSONWebKey
	extra string // further members of the list of keys, as text
	name  string // what it calls itself; "": by its address
	down  bool
	asked int    // for keys
	hold  func() // called before keys are given; nil: nothing
}

func newIssuer(t testing.TB, keys ...jose.JSONWebKey) *issuer {
	t.Helper()
	i := &issuer{keys: keys}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == "/.well-known/openid-configuration":
		name := i.name
		if name == "" {
			name = i.URL
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": name, "jwks_uri": i.URL + "/keys"})
	case r.URL.Path == "/keys":
		i.asked++
		if i.hold != nil {
			i.hold()
		}
		_, _ = io.WriteString(w, `{"keys":[`+i.extra)
		for n, key := range i.keys {
			if n > 0 || i.extra != "" {
				_, _ = io.WriteString(w, ",")
			}
			_ = json.NewEncoder(w).Encode(key.Public())
		}
		_, _ = io.WriteString(w, `]}`)
	}
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) questions() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func newKey(t testing.TB, id string) jose.JSONWebKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: "ES256", Use: "sig"}
}

// sign makes a token; header members go on top of alg and kid.
func sign(t testing.TB, key jose.JSONWebKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// claims are those of a good token, changed: nil takes one away.
func (i *issuer) claims(change map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.URL, "aud": []string{"other", "sluice"}, "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(),
		"role": []string{"reader", "writer"}, "realm": map[string]any{"roles": []string{"deep"}}, "email_verified": true,
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// open makes an Auth that takes the issuer's tokens.
func (i *issuer) open(t testing.TB, change func(*auth.OIDC)) *auth.Auth {
	t.Helper()
	o := options(t,
		auth.RuleSpec{Principals: []string{"oidc:alice"}, Actions: []string{"publish"}, Streams: []string{"a"}},
		auth.RuleSpec{Claims: map[string]string{"role": "writer", "email_verified": "true"}, Actions: []string{"subscribe"}, Streams: []string{"b"}},
		auth.RuleSpec{Claims: map[string]string{"realm.roles": "deep"}, Actions: []string{"manage"}, Streams: []string{"c"}},
		auth.RuleSpec{Claims: map[string]string{"role": "admin"}, Actions: []string{"manage"}, Streams: []string{"*"}},
		auth.RuleSpec{Principals: []string{"token:alice"}, Actions: []string{"manage"}, Streams: []string{"*"}},
	)
	o.OIDC = &auth.OIDC{Issuer: i.URL, Audience: "sluice", Algorithms: []string{"ES256", "RS256"}, PrincipalClaim: "sub"}
	if change != nil {
		change(o.OIDC)
	}
	return open(t, o)
}

func TestTokensOfAnIssuer(t *testing.T) {
	key := newKey(t, "k1")
	i := newIssuer(t, key)
	a := i.open(t, nil)
	end := time.Now().Add(time.Hour)
	c, err := a.Bearer(t.Context(), sign(t, key, i.claims(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "oidc:alice" || c.Expires.Before(end.Add(-time.Second)) || c.Expires.After(end.Add(10*time.Minute)) {
		t.Errorf("got %s until %s", c.Name, c.Expires)
	}
	if !c.May(stream.ActionPublish, "a") || !c.May(stream.ActionSubscribe, "b") || !c.May(stream.ActionManage, "c") || c.May(stream.ActionManage, "d") {
		t.Errorf("got %+v", c.Rights)
	}
	if r := a.Rights(c.Principal); r.Manage.Key() != c.Manage.Key() || r.Subscribe.Key() != c.Subscribe.Key() {
		t.Errorf("an owner's rights are %+v, a caller's %+v", r, c.Rights)
	}
	for name, change := range map[string]map[string]any{
		"one audience":  {"aud": "sluice"},
		"clocks apart":  {"exp": time.Now().Add(-5 * time.Second).Unix(), "nbf": time.Now().Add(5 * time.Second).Unix()},
		"a long future": {"exp": time.Now().Add(1000 * time.Hour).Unix()},
	} {
		if _, err := a.Bearer(t.Context(), sign(t, key, i.claims(change))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	key, stranger := newKey(t, "k1"), newKey(t, "k1")
	i := newIssuer(t, key)
	a := i.open(t, nil)
	good := sign(t, key, i.claims(nil))
	if _, err := a.Bearer(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]map[string]any{
		"another issuer":       {"iss": "https://idp.example"},
		"no issuer":            {"iss": nil},
		"another audience":     {"aud": "other"},
		"no audience":          {"aud": nil},
		"over":                 {"exp": time.Now().Add(-time.Hour).Unix()},
		"without end":          {"exp": nil},
		"not yet":              {"nbf": time.Now().Add(time.Hour).Unix()},
		"no subject":           {"sub": nil},
		"an empty subject":     {"sub": ""},
		"two subjects":         {"sub": []string{"a", "b"}},
		"a number as subject":  {"sub": 7},
		"a subject with lines": {"sub": "a\nb"},
		"a long subject":       {"sub": strings.Repeat("a", 300)},
	} {
		c, err := a.Bearer(t.Context(), sign(t, key, i.claims(change)))
		if c != nil || stream.CodeOf(err) != stream.Unauthenticated {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	parts := strings.Split(good, ".")
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	public, err := json.Marshal(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another's key":        sign(t, stranger, i.claims(nil)),
		"no signature":         parts[0] + "." + parts[1] + ".",
		"another signature":    parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"other claims":         parts[0] + "." + header(`{"sub":"root"}`) + "." + parts[2],
		"alg none":             header(`{"alg":"none","kid":"k1"}`) + "." + parts[1] + ".",
		"alg None":             header(`{"alg":"None","kid":"k1"}`) + "." + parts[1] + ".",
		"its own key":          header(`{"alg":"ES256","jwk":`+string(public)+`}`) + "." + parts[1] + "." + parts[2],
		"critical extension":   header(`{"alg":"ES256","kid":"k1","crit":["x"],"x":1}`) + "." + parts[1] + "." + parts[2],
		"the public as secret": sign(t, jose.JSONWebKey{Key: []byte(strings.Repeat(string(public), 2)), KeyID: "k1", Algorithm: "HS256"}, i.claims(nil)),
		"an algorithm less":    sign(t, rsaKey(t, "k1", "PS256"), i.claims(nil)),
		"no JSON":              "a.b.c",
		"empty":                "..",
		"encrypted":            "a.b.c.d.e",
	} {
		c, err := a.Bearer(t.Context(), token)
		if c != nil || stream.CodeOf(err) != stream.Unauthenticated {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func rsaKey(t testing.TB, id, algorithm string) jose.JSONWebKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: crypto.PrivateKey(key), KeyID: id, Algorithm: algorithm}
}

// Keys come and go: a new one is found at once, one that is gone is trusted no
// more, and keys of unknown kinds beside them do no harm.
func TestKeysAreRotated(t *testing.T) {
	first, second := newKey(t, "k1"), rsaKey(t, "k2", "RS256")
	i := newIssuer(t, first)
	i.extra = `{"kty":"future","kid":"k9"},{"kty":"oct","kid":"k8","k":"AAAA"}`
	a := i.open(t, func(o *auth.OIDC) { o.Refetch = time.Nanosecond })
	if _, err := a.Bearer(t.Context(), sign(t, first, i.claims(nil))); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.keys = []jose.JSONWebKey{second} })
	if _, err := a.Bearer(t.Context(), sign(t, second, i.claims(nil))); err != nil {
		t.Error(err)
	}
	if c, err := a.Bearer(t.Context(), sign(t, first, i.claims(nil))); err == nil {
		t.Errorf("a key that is gone makes %s", c.Name)
	}
}

// Whoever makes up tokens makes the gateway ask no more than once in a while.
func TestUnknownKeysAreNotAskedForAllTheTime(t *testing.T) {
	key := newKey(t, "k1")
	i := newIssuer(t, key)
	a := i.open(t, func(o *auth.OIDC) { o.Refetch = time.Hour })
	if _, err := a.Bearer(t.Context(), sign(t, key, i.claims(nil))); err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	for range 20 {
		token := sign(t, newKey(t, rand.Text()), i.claims(nil))
		callers.Go(func() {
			if c, err := a.Bearer(t.Context(), token); err == nil {
				t.Errorf("an unknown key makes %s", c.Name)
			}
		})
	}
	callers.Wait()
	if n := i.questions(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// An issuer that is away is no reason not to start, and its tokens are neither
// good nor bad until it is back.
func TestAnIssuerThatIsAway(t *testing.T) {
	key := newKey(t, "k1")
	i := newIssuer(t, key)
	i.down = true
	a := i.open(t, func(o *auth.OIDC) { o.Refetch = time.Nanosecond })
	token := sign(t, key, i.claims(nil))
	if _, err := a.Bearer(t.Context(), token); stream.CodeOf(err) != stream.Overloaded {
		t.Errorf("got %v", err)
	}
	i.set(func() { i.down = false })
	if _, err := a.Bearer(t.Context(), token); err != nil {
		t.Error(err)
	}
	i.set(func() { i.down = true })
	if _, err := a.Bearer(t.Context(), sign(t, newKey(t, "k2"), i.claims(nil))); stream.CodeOf(err) != stream.Unauthenticated {
		t.Errorf("got %v", err)
	}
	if _, err := a.Bearer(t.Context(), token); err != nil {
		t.Errorf("keys are forgotten when the issuer goes away: %v", err)
	}
}

func TestAnIssuerThatIsAnother(t *testing.T) {
	key := newKey(t, "k1")
	i := newIssuer(t, key)
	i.name = "https://another.example"
	a := i.open(t, nil)
	if _, err := a.Bearer(t.Context(), sign(t, key, i.claims(nil))); stream.CodeOf(err) != stream.Overloaded {
		t.Errorf("got %v", err)
	}
	direct := i.open(t, func(o *auth.OIDC) { o.JWKSURL = i.URL + "/keys" })
	if _, err := direct.Bearer(t.Context(), sign(t, key, i.claims(nil))); err != nil {
		t.Error(err)
	}
}

func TestAlgorithms(t *testing.T) {
	for _, bad := range [][]string{nil, {"none"}, {"HS256"}, {"RS256", "HS512"}, {""}, {"rs256"}} {
		if list, err := auth.ParseAlgorithms(bad); err == nil {
			t.Errorf("%v: %v", bad, list)
		}
	}
	if list, err := auth.ParseAlgorithms([]string{"RS256", "EdDSA"}); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}

// Nothing that a client sends as a token makes somebody of it, or a panic.
func FuzzBearer(f *testing.F) {
	key := newKey(f, "k1")
	i := newIssuer(f, key)
	a := i.open(f, func(o *auth.OIDC) { o.Refetch = time.Hour })
	good := sign(f, key, i.claims(nil))
	for _, seed := range []string{good, good[:len(good)-1], "..", "a.b.c", "sluice_", "eyJhbGciOiJub25lIn0.e30.", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := a.Bearer(t.Context(), token)
		if (c != nil) != (err == nil) || c != nil && c.Name != "oidc:alice" {
			t.Errorf("%q makes %+v, %v", token, c, err)
		}
	})
}

func BenchmarkBearer(b *testing.B) {
	for _, key := range []jose.JSONWebKey{newKey(b, "k1"), rsaKey(b, "k1", "RS256")} {
		i := newIssuer(b, key)
		a := i.open(b, nil)
		token := sign(b, key, i.claims(nil))
		b.Run(key.Algorithm, func(b *testing.B) {
			for b.Loop() {
				if _, err := a.Bearer(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
