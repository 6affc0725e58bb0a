package webhook_test

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"testing"

	"sluice/internal/stream"
	"sluice/internal/webhook"
)

// A URL that is taken is one that can be sent to, and an address in it is not
// in a refused network.
func FuzzCheckURL(f *testing.F) {
	for _, text := range []string{
		"https://example.com/hook", "http://127.0.0.1", "http://[::ffff:7f00:1]:80", "http://2130706433", "http://0x7f.1", "http://a@b", "http://1.1.1.1#", "//x", "http://1.1.1.1:00",
		"http://[fe80::1%25a]", "http://localhost", "http:/\\evil",
	} {
		f.Add(text)
	}
	offline := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	s, _ := newSender(f, func(o *webhook.Options) { o.AllowNetworks, o.Resolver = nil, offline })
	f.Fuzz(func(t *testing.T, text string) {
		err := s.CheckURL(t.Context(), text)
		if err != nil {
			if stream.CodeOf(err) != stream.InvalidRequest {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q was taken", text)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && (addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.IsMulticast()) {
			t.Errorf("%q was taken", text)
		}
	})
}
