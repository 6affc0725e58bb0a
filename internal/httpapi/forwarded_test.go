package httpapi_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/internal/httpapi"
)

func proxied(remote string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = remote
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

var trustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func TestWhoseRequestItIs(t *testing.T) {
	for name, test := range map[string]struct {
		remote  string
		headers []string
		client  string
		https   bool
	}{
		"nobody is trusted but proxies": {"192.0.2.1:5", []string{"X-Forwarded-For: 198.51.100.1", "Forwarded: for=198.51.100.1;proto=https", "X-Forwarded-Proto: https"}, "192.0.2.1", false},
		"a proxy that says nothing":     {"10.0.0.1:5", nil, "10.0.0.1", false},
		"one hop":                       {"10.0.0.1:5", []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https"}, "198.51.100.1", true},
		"the client's own inventions":   {"10.0.0.1:5", []string{"X-Forwarded-For: 203.0.113.9, 10.0.0.9, 198.51.100.1", "X-Forwarded-Proto: https, http"}, "198.51.100.1", false},
		"in lines of their own":         {"10.0.0.1:5", []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.1"}, "198.51.100.1", false},
		"two proxies":                   {"10.0.0.1:5", []string{"X-Forwarded-For: 198.51.100.1, 10.0.0.2"}, "198.51.100.1", false},
		"nobody but proxies":            {"10.0.0.1:5", []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3", false},
		"with ports":                    {"10.0.0.1:5", []string{"X-Forwarded-For: 198.51.100.1:4711"}, "198.51.100.1", false},
		"IPv6":                          {"[fd00::1]:5", []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1", false},
		"IPv6 in brackets":              {"[fd00::1]:5", []string{"X-Forwarded-For: [2001:db8::1]:80"}, "2001:db8::1", false},
		"IPv4 written as IPv6":          {"[::ffff:10.0.0.1]:5", []string{"X-Forwarded-For: ::ffff:198.51.100.1"}, "198.51.100.1", false},
		"garbage":                       {"10.0.0.1:5", []string{"X-Forwarded-For: 198.51.100.1, garbage"}, "10.0.0.1", false},
		"an empty element":              {"10.0.0.1:5", []string{"X-Forwarded-For: 198.51.100.1,"}, "10.0.0.1", false},
		"garbage behind a proxy":        {"10.0.0.1:5", []string{"X-Forwarded-For: garbage, 10.0.0.2"}, "10.0.0.2", false},
		"only the protocol":             {"10.0.0.1:5", []string{"X-Forwarded-Proto: HTTPS"}, "10.0.0.1", true},

		"Forwarded":                          {"10.0.0.1:5", []string{"Forwarded: for=198.51.100.1;proto=https;by=10.0.0.1"}, "198.51.100.1", true},
		"Forwarded, in other words":          {"10.0.0.1:5", []string{`Forwarded: For="198.51.100.1:80" ; PROTO=HTTPS ;host="a,b;c\"d"`}, "198.51.100.1", true},
		"Forwarded, IPv6":                    {"10.0.0.1:5", []string{`Forwarded: for="[2001:db8::1]:4711"`}, "2001:db8::1", false},
		"Forwarded, two proxies":             {"10.0.0.1:5", []string{`Forwarded: for=203.0.113.9, for=198.51.100.1;proto=https, for=10.0.0.2;proto=http`}, "198.51.100.1", true},
		"Forwarded, an open quote":           {"10.0.0.1:5", []string{`Forwarded: for="203.0.113.9, for=198.51.100.1`}, "10.0.0.1", false},
		"Forwarded, a stolen quote":          {"10.0.0.1:5", []string{`Forwarded: for=203.0.113.9;a=", for="[2001:db8::1]"`}, "10.0.0.1", false},
		"Forwarded, a line before":           {"10.0.0.1:5", []string{`Forwarded: for="`, `Forwarded: for=198.51.100.1`}, "198.51.100.1", false},
		"Forwarded, hidden":                  {"10.0.0.1:5", []string{`Forwarded: for=198.51.100.1, for=_secret;proto=https`}, "10.0.0.1", false},
		"Forwarded, unknown":                 {"10.0.0.1:5", []string{`Forwarded: for=unknown`}, "10.0.0.1", false},
		"Forwarded, twice the same":          {"10.0.0.1:5", []string{`Forwarded: for=198.51.100.1;for=203.0.113.9`}, "10.0.0.1", false},
		"Forwarded, the protocol of another": {"10.0.0.1:5", []string{"Forwarded: for=198.51.100.1", "X-Forwarded-Proto: https"}, "198.51.100.1", false},

		"both, and they agree":  {"10.0.0.1:5", []string{"Forwarded: for=198.51.100.1;proto=https", "X-Forwarded-For: 198.51.100.1"}, "198.51.100.1", true},
		"both, and they differ": {"10.0.0.1:5", []string{"Forwarded: for=203.0.113.9;proto=https", "X-Forwarded-For: 198.51.100.1"}, "10.0.0.1", false},
	} {
		client, https := httpapi.SenderOf(trustedProxies, proxied(test.remote, test.headers...))
		if client.String() != test.client || https != test.https {
			t.Errorf("%s: got %v, https %v; want %s, %v", name, client, https, test.client, test.https)
		}
	}
	r := proxied("192.0.2.1:5")
	r.TLS = &tls.ConnectionState{}
	if _, https := httpapi.SenderOf(nil, r); !https {
		t.Error("TLS is not HTTPS")
	}
	if client, _ := httpapi.SenderOf(trustedProxies, proxied("@")); client.IsValid() {
		t.Errorf("a Unix socket has the address %v", client)
	}
}

// Of hundreds of proxies in a row only some are believed.
func TestEndlessHops(t *testing.T) {
	many := strings.Repeat("10.0.0.2, ", 1000)
	for _, header := range []string{
		"X-Forwarded-For: 203.0.113.9, " + many + "10.0.0.3",
		"Forwarded: for=203.0.113.9, " + strings.ReplaceAll(many, "10.", "for=10.") + "for=10.0.0.3",
	} {
		if client, _ := httpapi.SenderOf(trustedProxies, proxied("10.0.0.1:5", header)); client.String() != "10.0.0.2" {
			t.Errorf("got %v", client)
		}
	}
}

// Whatever a client sends, a proxy that adds its own hop is believed about it,
// or nothing is.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "for=203.0.113.9", `for="`, `for="[2001:db8::1]:1";proto=https, for=_x`, "203.0.113.9, 10.0.0.2", `a="\`, "=;,,;=", "for=;for", strings.Repeat("for=10.0.0.2,", 99)} {
		f.Add(seed)
	}
	client, peer := netip.MustParseAddr("2001:db8::77"), netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, own string) {
		if strings.ContainsAny(own, "\r\n\x00") {
			return // no header has these
		}
		for _, headers := range [][]string{
			{"X-Forwarded-For: " + own + ", 2001:db8::77"},
			{"Forwarded: " + own + `, for="[2001:db8::77]:5";proto=http`},
			{"Forwarded: " + own, `Forwarded: for="[2001:db8::77]"`},
			{"Forwarded: " + own, "X-Forwarded-For: 2001:db8::77"},
			{"X-Forwarded-For: " + own, `Forwarded: for="[2001:db8::77]";proto=http`},
		} {
			got, https := httpapi.SenderOf(trustedProxies, proxied("10.0.0.1:5", headers...))
			if !slices.Contains([]netip.Addr{client, peer}, got) {
				t.Errorf("%q: got %v", headers, got)
			}
			if strings.HasPrefix(headers[len(headers)-1], "Forwarded") && https {
				t.Errorf("%q: http passes for https", headers)
			}
		}
		httpapi.SenderOf(trustedProxies, proxied("10.0.0.1:5", "Forwarded: "+own))
		httpapi.SenderOf(trustedProxies, proxied("10.0.0.1:5", "X-Forwarded-For: "+own, "X-Forwarded-Proto: "+own))
	})
}
