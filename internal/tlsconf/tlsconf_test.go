package tlsconf_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/tlsconf"
	"sluice/internal/tlsconf/tlstest"
)

const password = "correct horse"

// world is one authority, a broker it signed and a client it signed.
type world struct {
	ca             *tlstest.Authority
	client, broker tlstest.Identity
}

func newWorld(t *testing.T) world {
	t.Helper()
	ca := tlstest.NewAuthority(t, "ca")
	hour := time.Now().Add(time.Hour)
	return world{ca, ca.Issue(t, "client", hour), ca.Issue(t, "broker", hour, "127.0.0.1")}
}

func TestCheckTakesEveryForm(t *testing.T) {
	w := newWorld(t)
	file := func(text string) string { return tlstest.File(t, "x.pem", text) }
	dir := filepath.Dir(file(w.ca.PEM))
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]tlsconf.Context{
		"nothing":              {},
		"files":                {CAFile: file(w.ca.PEM), CertFile: file(w.client.CertPEM), KeyFile: file(w.client.KeyPEM)},
		"memory":               {CAData: w.ca.PEM, CertData: w.client.CertPEM, KeyData: w.client.KeyPEM},
		"directory":            {CAPath: dir},
		"file and memory":      {CertFile: file(w.client.CertPEM), KeyData: w.client.KeyPEM},
		"key beside":           {CertData: w.client.CertPEM + w.client.KeyPEM},
		"key before":           {CertFile: file(w.client.KeyPEM + w.client.CertPEM)},
		"encrypted PKCS#8":     {CertData: w.client.CertPEM, KeyData: w.client.Encrypted(t, password), Password: password},
		"encrypted in PEM":     {CertData: w.client.CertPEM, KeyFile: file(w.client.Legacy(t, password)), Password: password},
		"password not needed":  {CertData: w.client.CertPEM, KeyData: w.client.KeyPEM, Password: password},
		"revocation list":      {CRLFile: file(w.ca.Revoke(t, time.Now().Add(time.Hour)))},
		"text before the PEM":  {CAData: "Subject: ca\n\n" + w.ca.PEM},
		"one CA of two is old": {CAData: w.ca.PEM + w.ca.Issue(t, "old", time.Now().Add(-time.Hour)).CertPEM},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.Check(time.Now()); len(got) > 0 {
				t.Errorf("problems: %v", got)
			}
		})
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	cert, key := w.client.CertPEM, w.client.KeyPEM
	old := w.ca.Issue(t, "old", time.Now().Add(-time.Hour))
	for name, test := range map[string]struct {
		context tlsconf.Context
		key     string
		message string // part of it
	}{
		"no file":              {tlsconf.Context{CAFile: "/nonexistent/ca.pem"}, "cafile", "/nonexistent/ca.pem: no such file"},
		"no directory":         {tlsconf.Context{CAPath: "/nonexistent"}, "capath", "no such file"},
		"empty directory":      {tlsconf.Context{CAPath: t.TempDir()}, "capath", "no file in"},
		"no PEM":               {tlsconf.Context{CAData: "hello"}, "cadata", "no PEM certificate"},
		"damaged":              {tlsconf.Context{CAData: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "cadata", "certificate 1 in it cannot be read"},
		"two certificates":     {tlsconf.Context{CertFile: "x", CertData: cert, KeyData: key}, "certdata", "certfile is set too"},
		"two keys":             {tlsconf.Context{CertData: cert, KeyFile: "x", KeyData: key}, "keydata", "keyfile is set too"},
		"key without":          {tlsconf.Context{KeyData: key}, "certfile", "a key alone"},
		"certificate without":  {tlsconf.Context{CertData: cert}, "certdata", "no PEM private key"},
		"key file missing":     {tlsconf.Context{CertData: cert, KeyFile: "/nonexistent"}, "keyfile", "no such file"},
		"other's key":          {tlsconf.Context{CertData: cert, KeyData: w.broker.KeyPEM}, "keydata", "does not belong to the certificate of certdata"},
		"damaged key":          {tlsconf.Context{CertData: cert, KeyData: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}, "keydata", "cannot be read"},
		"no password":          {tlsconf.Context{CertData: cert, KeyData: w.client.Encrypted(t, password)}, "password", "set ssl_context.password"},
		"no password, PEM":     {tlsconf.Context{CertData: cert, KeyData: w.client.Legacy(t, password)}, "password", "set ssl_context.password"},
		"wrong password":       {tlsconf.Context{CertData: cert, KeyData: w.client.Encrypted(t, password), Password: "no"}, "password", "does not open"},
		"wrong password, PEM":  {tlsconf.Context{CertData: cert, KeyData: w.client.Legacy(t, password), Password: "no"}, "password", "does not open"},
		"expired":              {tlsconf.Context{CertData: old.CertPEM, KeyData: old.KeyPEM}, "certdata", `"CN=old" expired on 20`},
		"expired CA":           {tlsconf.Context{CAData: old.CertPEM}, "cadata", `"CN=old" expired on 20`},
		"no revocation list":   {tlsconf.Context{CRLFile: tlstest.File(t, "crl", cert)}, "crlfile", "no PEM revocation list"},
		"no such list":         {tlsconf.Context{CRLFile: "/nonexistent"}, "crlfile", "no such file"},
		"certificate of a CRL": {tlsconf.Context{CertFile: tlstest.File(t, "crl", w.ca.Revoke(t, time.Now())), KeyData: key}, "certfile", "no PEM certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.context.Check(time.Now())
			if len(got) != 1 || got[0].Key != test.key || !strings.Contains(got[0].Message, test.message) {
				t.Errorf("problems: %v; want one of %s with %q", got, test.key, test.message)
			}
		})
	}
}

func TestCheckGivesAllProblems(t *testing.T) {
	w := newWorld(t)
	got := tlsconf.Context{CAFile: "/nonexistent", CertData: w.client.CertPEM, KeyData: w.broker.KeyPEM, CRLFile: "/nonexistent"}.Check(time.Now())
	var keys []string
	for _, p := range got {
		keys = append(keys, p.Key)
	}
	if diff := cmp.Diff([]string{"cafile", "keydata", "crlfile"}, keys); diff != "" {
		t.Error(diff)
	}
}

func TestNotYetValid(t *testing.T) {
	w := newWorld(t)
	c := tlsconf.Context{CAData: w.ca.PEM}
	got := c.Check(time.Now().Add(-48 * time.Hour))
	if len(got) != 1 || !strings.Contains(got[0].Message, "not valid before") {
		t.Errorf("problems: %v", got)
	}
}

func TestClientShakesHands(t *testing.T) {
	w := newWorld(t)
	hour := time.Now().Add(time.Hour)
	elsewhere := w.ca.Issue(t, "elsewhere", hour, "broker.example")
	stranger := tlstest.NewAuthority(t, "stranger").Issue(t, "broker", hour, "127.0.0.1")
	crl := func(text string) string { return tlstest.File(t, "crl.pem", text) }
	base := tlsconf.Context{CAData: w.ca.PEM, CertData: w.client.CertPEM, KeyData: w.client.Encrypted(t, password), Password: password}
	with := func(change func(*tlsconf.Context)) tlsconf.Context {
		c := base
		change(&c)
		return c
	}
	for name, test := range map[string]struct {
		context tlsconf.Context
		broker  tlstest.Identity
		want    string // part of the error; "" for none
	}{
		"well":                        {base, w.broker, ""},
		"another host":                {base, elsewhere, "127.0.0.1"},
		"another host, not looked at": {with(func(c *tlsconf.Context) { c.SkipHostname = true }), elsewhere, ""},
		"stranger":                    {base, stranger, "unknown authority"},
		"stranger, host not looked at": {
			with(func(c *tlsconf.Context) { c.SkipHostname = true }), stranger, "unknown authority",
		},
		"not revoked": {
			with(func(c *tlsconf.Context) { c.CRLFile = crl(w.ca.Revoke(t, hour, elsewhere.Cert)) }), w.broker, "",
		},
		"revoked": {
			with(func(c *tlsconf.Context) { c.CRLFile = crl(w.ca.Revoke(t, hour, w.broker.Cert)) }), w.broker, "was revoked",
		},
		"revoked, host not looked at": {
			with(func(c *tlsconf.Context) {
				c.SkipHostname, c.CRLFile = true, crl(w.ca.Revoke(t, hour, elsewhere.Cert))
			}), elsewhere, "was revoked",
		},
		"another host, not revoked": {
			with(func(c *tlsconf.Context) { c.CRLFile = crl(w.ca.Revoke(t, hour)) }), elsewhere, "127.0.0.1",
		},
		"old revocation list": {
			with(func(c *tlsconf.Context) { c.CRLFile = crl(w.ca.Revoke(t, time.Now().Add(-time.Hour))) }), w.broker, "out of date",
		},
		"another's revocation list": {
			with(func(c *tlsconf.Context) {
				c.CRLFile = crl(tlstest.NewAuthority(t, "ca").Revoke(t, hour))
			}), w.broker, "no revocation list",
		},
		"ciphers": {with(func(c *tlsconf.Context) { c.Ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:HIGH" }), w.broker, ""},
	} {
		t.Run(name, func(t *testing.T) {
			state, err := shake(t, test.context, w.ca, test.broker)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q", err, test.want)
			case name == "ciphers" && state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
				t.Errorf("cipher suite %s", tls.CipherSuiteName(state.CipherSuite))
			}
		})
	}
}

// shake lets the context's client and a broker that wants a certificate meet.
func shake(t *testing.T, c tlsconf.Context, ca *tlstest.Authority, broker tlstest.Identity) (tls.ConnectionState, error) {
	t.Helper()
	cfg, err := c.Client()
	if err != nil {
		return tls.ConnectionState{}, err
	}
	cfg.ServerName = "127.0.0.1"
	clients := x509.NewCertPool()
	clients.AddCert(ca.Cert)
	ours, theirs := connect(t)
	server := tls.Server(theirs, &tls.Config{
		Certificates: []tls.Certificate{broker.TLS()},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
		MinVersion:   tls.VersionTLS12,
		MaxVersion:   tls.VersionTLS12, // the last in which suites can be chosen
	})
	done := make(chan error, 1)
	go func() {
		done <- server.HandshakeContext(context.Background())
		_ = theirs.Close()
	}()
	client := tls.Client(ours, cfg)
	err = client.HandshakeContext(t.Context())
	_ = ours.Close()
	if served := <-done; err == nil {
		err = served
	}
	return client.ConnectionState(), err
}

// connect gives both ends of a connection that ends by itself: a handshake in
// which both wait would else never fail.
func connect(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if ours, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	limit := time.Now().Add(10 * time.Second)
	if err := errors.Join(ours.SetDeadline(limit), theirs.SetDeadline(limit)); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func TestClientRefusesWhatCheckRefuses(t *testing.T) {
	_, err := tlsconf.Context{CAFile: "/nonexistent"}.Client()
	if err == nil || !strings.HasPrefix(err.Error(), "ssl_context.cafile: ") {
		t.Errorf("error %v", err)
	}
}

func TestCABundleUnitesAllSources(t *testing.T) {
	a, b := tlstest.NewAuthority(t, "a"), tlstest.NewAuthority(t, "b")
	got, err := tlsconf.Context{
		CAFile: tlstest.File(t, "a.pem", a.PEM),
		CAPath: filepath.Dir(tlstest.File(t, "b.crt", b.PEM)),
		CAData: a.PEM,
	}.CABundle()
	if diff := cmp.Diff(a.PEM+b.PEM, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestNothingPrintsAContext(t *testing.T) {
	c := tlsconf.Context{KeyData: "hush", Password: "hush"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c, "pointer", &c)
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s", c, c, &c), log.String()} {
		if strings.Contains(s, "hush") {
			t.Errorf("printed: %s", s)
		}
	}
}
