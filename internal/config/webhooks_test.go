package config_test

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWebhooks(t *testing.T) {
	one, two := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	text := base64.StdEncoding.EncodeToString(one) + "," + base64.StdEncoding.EncodeToString(two)
	c := mustLoad(t, nil, map[string]string{"SLUICE_WEBHOOKS_SECRET_KEYS": text}, "webhooks: {allow_networks: [10.1.0.0/16, 'fd00::/8']}\n")
	keys, err := c.Webhooks.Keys()
	if err != nil || !cmp.Equal(keys, [][]byte{one, two}) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	networks, err := c.Webhooks.Networks()
	want := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	if err != nil || !cmp.Equal(networks, want, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) {
		t.Errorf("%v, %v", networks, err)
	}
	dump, err := c.Dump()
	if err != nil || strings.Contains(dump, text[:20]) || !strings.Contains(dump, "secret_keys: <redacted>") {
		t.Errorf("%v, %s", err, dump)
	}
	problems := c.Validate()
	if err := problems.Err(); err != nil {
		t.Error(err)
	}
	if keys, err := mustLoad(t, nil, nil, "").Webhooks.Keys(); keys != nil || err != nil {
		t.Errorf("by default: %v, %v", keys, err)
	}
}

// A proxy may have a password, so it is a secret as a whole.
func TestWebhooksProxy(t *testing.T) {
	c := mustLoad(t, nil, nil, "webhooks: {proxy: 'http://user:hush@proxy.example:3128/'}\n")
	u, err := c.Webhooks.ProxyURL()
	if err != nil || u == nil || u.Host != "proxy.example:3128" || u.User.String() != "user:hush" {
		t.Errorf("%v, %v", u, err)
	}
	if dump, err := c.Dump(); err != nil || strings.Contains(dump, "hush") || !strings.Contains(dump, "proxy: <redacted>") {
		t.Errorf("%v, %s", err, dump)
	}
	if u, err := mustLoad(t, nil, nil, "").Webhooks.ProxyURL(); u != nil || err != nil {
		t.Errorf("by default: %v, %v", u, err)
	}
	c.Webhooks.Proxy = "ftp://user:hush@p"
	problems := c.Validate()
	if err := problems.Err(); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("a URL that is none: %v", err)
	}
}
