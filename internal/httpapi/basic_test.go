package httpapi_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// fakePasswords takes one password, and keeps what it was asked.
type fakePasswords struct{ user, password string }

func (f *fakePasswords) Basic(_ context.Context, user, password string) (*stream.Caller, error) {
	f.user, f.password = user, password
	if password != "right: ✓" {
		return nil, stream.Errorf(stream.Unauthenticated, "Kafka does not take these credentials")
	}
	return &stream.Caller{Principal: stream.Principal{Name: "user:" + user}}, nil
}

func withPasswords(tb testing.TB) *gateway {
	return newGateway(tb, func(o *httpapi.Options) { o.Auth, o.Passwords = callers(tb), new(fakePasswords) })
}

func basicOf(text string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

// HTTP Basic is read as RFC 7617 has it, and what cannot be is nobody's.
func TestBasicCredentials(t *testing.T) {
	g := withPasswords(t)
	for header, want := range map[string]int{
		basicOf("alice:right: ✓"): http.StatusForbidden, // known, and no rule is about her
		"basic   " + base64.StdEncoding.EncodeToString([]byte("alice:right: ✓")): http.StatusForbidden,
		basicOf("alice:wrong"):                          http.StatusUnauthorized,
		basicOf("alice"):                                http.StatusUnauthorized,
		basicOf(":right: ✓"):                            http.StatusUnauthorized,
		basicOf("alice\x00:right: ✓"):                   http.StatusUnauthorized,
		basicOf("al\xffice:right: ✓"):                   http.StatusUnauthorized,
		basicOf("al\u0085ice:right: ✓"):                 http.StatusUnauthorized,
		basicOf(strings.Repeat("a", 257) + ":right: ✓"): http.StatusUnauthorized,
		"Basic":          http.StatusUnauthorized,
		"Basic !":        http.StatusUnauthorized,
		"Digest a":       http.StatusUnauthorized,
		"Bearer unknown": http.StatusUnauthorized,
	} {
		res := g.do(t, "GET /streams", "", "Authorization: "+header)
		if res.StatusCode != want {
			t.Errorf("%q: got %d, want %d", header, res.StatusCode, want)
		}
		challenges := strings.Join(res.Header.Values("WWW-Authenticate"), ", ")
		if want == http.StatusUnauthorized && (!strings.Contains(challenges, "Bearer realm") || !strings.Contains(challenges, `Basic realm="sluice", charset="UTF-8"`)) {
			t.Errorf("%q: the challenges are %s", header, challenges)
		}
	}
}

// Where passwords are not taken nobody is asked for one.
func TestBasicThatIsNotTaken(t *testing.T) {
	res := authenticated(t).do(t, "GET /streams", "", "Authorization: "+basicOf("alice:right: ✓"))
	if got := res.Header.Get("WWW-Authenticate"); res.StatusCode != http.StatusUnauthorized || strings.Contains(got, "Basic") {
		t.Errorf("got %d, %q", res.StatusCode, got)
	}
}

// A page of any origin may use the API where all are allowed, but not by the
// password that its visitor's browser adds.
func TestPagesDoNotUsePasswords(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) {
		o.Auth, o.Passwords, o.AllowOrigins = callers(t), new(fakePasswords), []string{"*"}
	}).storing()
	for header, want := range map[string]int{
		"Authorization: Bearer publisher":             http.StatusCreated,
		"Authorization: " + basicOf("alice:right: ✓"): http.StatusForbidden,
		"authorization: bAsIc " + "YWxpY2U6cmlnaHQ6":  http.StatusForbidden,
	} {
		res := g.ask("POST", "/streams/mine", "Content-Type: application/json", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", header)
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", header, res.StatusCode, want)
		}
	}
}

// Whatever the header has, what is asked about is a user and a password that
// Kafka's protocol can carry.
func FuzzBasic(f *testing.F) {
	for _, text := range []string{"alice:right", "a:b:c", "a", ":", "\x00:\x00", "é:✓", "\xff:a", "a:\n"} {
		f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte(text)))
	}
	f.Add("basic YTpi")
	f.Add("Basic YTpi\nYTpi")
	f.Add("Bearer a")
	f.Fuzz(func(t *testing.T, header string) {
		user, password, ok, err := httpapi.BasicCredentials(header)
		if !ok && err != nil || err != nil && stream.CodeOf(err) != stream.Unauthenticated {
			t.Fatalf("%v, %v", ok, err)
		}
		if !ok || err != nil {
			if user != "" || password != "" {
				t.Error("credentials come with an error")
			}
			return
		}
		both := user + password
		if user == "" || strings.Contains(user, ":") || !utf8.ValidString(both) || strings.ContainsFunc(both, unicode.IsControl) || len(both) > 2000 {
			t.Errorf("got %q and %q", user, password)
		}
		_, text, _ := strings.Cut(header, " ")
		if again := base64.StdEncoding.EncodeToString([]byte(user + ":" + password)); again != strings.Trim(text, " ") {
			t.Errorf("%q reads as %q", header, again)
		}
	})
}
