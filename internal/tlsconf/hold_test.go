package tlsconf_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/tlsconf"
	"sluice/internal/tlsconf/tlstest"
)

func digest(c tlsconf.Context) string {
	var b bytes.Buffer
	c.WriteDigest(&b)
	return b.String()
}

// What is held stays as it was read, whatever becomes of the files, and another
// reading shows that they have changed.
func TestHeldContextStaysAsItWas(t *testing.T) {
	ca, end := tlstest.NewAuthority(t, "ca"), time.Now().Add(time.Hour)
	client := ca.Issue(t, "client", end)
	dir := t.TempDir()
	path := func(name, text string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	cas := t.TempDir()
	if err := os.WriteFile(filepath.Join(cas, "ca.pem"), []byte(ca.PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	c := tlsconf.Context{
		CAPath: cas, CertFile: path("cert", client.CertPEM), KeyFile: path("key", client.Encrypted(t, "word")), PasswordFile: path("password", "word\n"),
		CRLFile: path("crl", ca.Revoke(t, end.Add(time.Hour))),
	}
	held, err := c.Hold()
	if err != nil {
		t.Fatal(err)
	}
	before, err := held.Texts()
	if err != nil || before.Password != "word" || !strings.Contains(before.CA, "CERTIFICATE") {
		t.Fatalf("%v, %+v", err, before)
	}
	for _, name := range []string{"cert", "key", "password", "crl"} {
		path(name, "garbage")
	}
	if err := os.Remove(filepath.Join(cas, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	if after, err := held.Texts(); err != nil || after != before {
		t.Errorf("%v, what is held has changed", err)
	}
	if problems := held.Check(time.Now()); len(problems) > 0 {
		t.Errorf("what is held is wrong now: %v", problems)
	}
	if cfg, err := held.Client(); err != nil || len(cfg.Certificates) != 1 {
		t.Errorf("no client of it can be made: %v", err)
	}
	if got := held.Expiry(); !got["client"].Equal(client.Cert.NotAfter) || !got["ca"].Equal(ca.Cert.NotAfter) || got["crl"].Before(end) {
		t.Errorf("ends: %v", got)
	}
	again, err := c.Hold()
	if err != nil || digest(again) == digest(held) {
		t.Errorf("%v, the change is not seen", err)
	}
	if problems := c.Check(time.Now()); len(problems) == 0 {
		t.Error("garbage is in order")
	}
}

func TestHoldNamesTheKey(t *testing.T) {
	for key, c := range map[string]tlsconf.Context{
		"cafile":        {CAFile: "/nonexistent"},
		"capath":        {CAPath: "/nonexistent"},
		"password_file": {PasswordFile: "/nonexistent"},
	} {
		if _, err := c.Hold(); err == nil || !strings.HasPrefix(err.Error(), "ssl_context."+key+":") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
