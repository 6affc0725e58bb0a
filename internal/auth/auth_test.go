package auth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/auth"
	"sluice/internal/stream"
)

// newAuth makes an Auth of rules, with one token of the name ci, whose text it
// gives.
func newAuth(t *testing.T, rules ...auth.RuleSpec) (*auth.Auth, string) {
	t.Helper()
	text, hash := auth.NewToken()
	token, err := auth.ParseToken("ci", hash)
	if err != nil {
		t.Fatal(err)
	}
	_, other := auth.NewToken()
	second, err := auth.ParseToken("other", other)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, rules...)
	o.Tokens = []auth.Token{second, token}
	return open(t, o), text
}

// open makes an Auth that ends with the test.
func open(t testing.TB, o auth.Options) *auth.Auth {
	t.Helper()
	a, err := auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func options(t testing.TB, rules ...auth.RuleSpec) auth.Options {
	t.Helper()
	o := auth.Options{Certificates: true, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
	for _, spec := range rules {
		r, err := auth.ParseRule(spec)
		if err != nil {
			t.Fatal(err)
		}
		o.Rules = append(o.Rules, r)
	}
	return o
}

func wantNobody(t *testing.T, c *stream.Caller, err error) {
	t.Helper()
	if c != nil || stream.CodeOf(err) != stream.Unauthenticated {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestStaticTokens(t *testing.T) {
	a, text := newAuth(t)
	c, err := a.Bearer(t.Context(), text)
	if err != nil || c.Name != "token:ci" || !c.Expires.IsZero() || !c.None() {
		t.Errorf("got %+v, %v", c, err)
	}
	if !strings.HasPrefix(text, auth.TokenMark) || len(text) < 40 {
		t.Errorf("the token is %q", text)
	}
	for _, bad := range []string{"", text + "x", text[:len(text)-1], strings.ToUpper(text), "sluice_", strings.Repeat("a", 1<<20)} {
		c, err := a.Bearer(t.Context(), bad)
		wantNobody(t, c, err)
	}
	again, _ := auth.NewToken()
	if again == text {
		t.Error("two tokens are the same")
	}
}

func TestTokensThatCannotBeRead(t *testing.T) {
	_, hash := auth.NewToken()
	for name, hash := range map[string]string{"": hash, "a b": hash, "a\n": hash, "a": hash[1:], "b": hash + "00", "c": "g" + hash[1:], "ü": hash} {
		if _, err := auth.ParseToken(name, hash); err == nil || hash != "" && strings.Contains(err.Error(), hash) {
			t.Errorf("%q %q: %v", name, hash, err)
		}
	}
}

func TestRulesThatCannotBeRead(t *testing.T) {
	who, do, all := []string{"*"}, []string{"publish"}, []string{"*"}
	for name, r := range map[string]auth.RuleSpec{
		"nobody":         {Actions: do, Streams: all},
		"no kind":        {Principals: []string{"ci"}, Actions: do, Streams: all},
		"no name":        {Principals: []string{"token:"}, Actions: do, Streams: all},
		"unknown kind":   {Principals: []string{"person:a"}, Actions: do, Streams: all},
		"no action":      {Principals: who, Streams: all},
		"unknown action": {Principals: who, Actions: []string{"read"}, Streams: all},
		"no streams":     {Principals: who, Actions: do},
		"bad pattern":    {Principals: who, Actions: do, Streams: []string{"a,"}},
		"idle schemas":   {Principals: who, Actions: do, Streams: all, Schemas: all},
	} {
		if _, err := auth.ParseRule(r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRules(t *testing.T) {
	a, text := newAuth(t,
		auth.RuleSpec{Principals: []string{"token:ci"}, Actions: []string{"publish"}, Streams: []string{"orders.*", "logs"}},
		auth.RuleSpec{Principals: []string{"token:*"}, Actions: []string{"subscribe"}, Streams: []string{"public.?"}},
		auth.RuleSpec{Principals: []string{"cert:CN=ci", "oidc:*", "token:c"}, Actions: []string{"manage"}, Streams: []string{"*"}, Schemas: []string{"*"}},
		auth.RuleSpec{Principals: []string{"*"}, Claims: map[string]string{"role": "x"}, Actions: []string{"manage"}, Streams: []string{"*"}},
		auth.RuleSpec{Principals: []string{"*"}, Actions: []string{"manage"}, Schemas: []string{"S*"}},
	)
	c, err := a.Bearer(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"orders.eu": "publish", "orders": "", "logs": "publish", "logs2": "", "public.a": "subscribe", "public.ab": "", "x": "",
	} {
		var got []string
		for _, action := range []stream.Action{stream.ActionPublish, stream.ActionSubscribe, stream.ActionManage} {
			if c.May(action, id) {
				got = append(got, string(action))
			}
		}
		if strings.Join(got, ",") != want || c.Sees(id) != (want != "") {
			t.Errorf("%s: got %v, want %s", id, got, want)
		}
	}
	if c.May("other", "orders.eu") || !c.Schemas.Match("S1") || c.Schemas.Match("T") || c.None() {
		t.Errorf("got %+v", c.Rights)
	}
}

func TestCertificates(t *testing.T) {
	a, _ := newAuth(t, auth.RuleSpec{Principals: []string{"cert:CN=ci,O=Example"}, Actions: []string{"publish"}, Streams: []string{"a"}})
	end := time.Now().Add(time.Hour)
	var name pkix.Name
	name.FillFromRDNSequence(new(pkix.Name{CommonName: "ci", Organization: []string{"Example"}}.ToRDNSequence()))
	c, err := a.Certificate(&x509.Certificate{Subject: name, NotAfter: end})
	if err != nil || c.Name != "cert:CN=ci,O=Example" || !c.Expires.Equal(end) || !c.May(stream.ActionPublish, "a") {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = a.Certificate(&x509.Certificate{NotAfter: end})
	wantNobody(t, c, err)
	o := options(t)
	o.Certificates = false
	c, err = open(t, o).Certificate(&x509.Certificate{Subject: name})
	wantNobody(t, c, err)
}

// Who owns something has its rights only as long as there is such a principal.
func TestRightsOfOwners(t *testing.T) {
	a, _ := newAuth(t, auth.RuleSpec{Principals: []string{"*"}, Actions: []string{"publish"}, Streams: []string{"a"}})
	for name, want := range map[string]bool{
		"token:ci": true, "token:gone": false, "token:": false, "cert:CN=x": true, "oidc:x": false, "": false, "ci": false,
	} {
		if got := a.Rights(stream.Principal{Name: name}).May(stream.ActionPublish, "a"); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
