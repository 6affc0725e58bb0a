package tlsconf_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/tlsconf"
	"sluice/internal/tlsconf/tlstest"
)

// replace writes a file in one step, as those who renew certificates do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	next := filepath.Join(t.TempDir(), "next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// serving serves HTTPS with the files, and says who called.
func serving(t *testing.T, files tlsconf.ServerFiles) (addr string) {
	t.Helper()
	s, err := tlsconf.NewServer(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: s.Config(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if len(r.TLS.VerifiedChains) > 0 {
			who = r.TLS.VerifiedChains[0][0].Subject.String()
		}
		_, _ = io.WriteString(w, r.Proto+" "+who)
	})}
	ended := make(chan struct{})
	go func() { _ = server.ServeTLS(l, "", ""); close(ended) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return l.Addr().String()
}

// call gives the answer, and the serial number of the server's certificate.
func call(t *testing.T, addr string, ca *tlstest.Authority, own ...tls.Certificate) (text, serial string, err error) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: own}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get("https://" + addr)
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), res.TLS.PeerCertificates[0].SerialNumber.String(), err
}

func TestServerReadsItsFilesAgain(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	first, second := ca.Issue(t, "one", time.Now().Add(time.Hour), "127.0.0.1"), ca.Issue(t, "two", time.Now().Add(time.Hour), "127.0.0.1")
	cert, key := tlstest.File(t, "tls.crt", first.CertPEM), tlstest.File(t, "tls.key", first.KeyPEM)
	addr := serving(t, tlsconf.ServerFiles{CertFile: cert, KeyFile: key})
	text, serial, err := call(t, addr, ca)
	if err != nil || text != "HTTP/2.0 nobody" || serial != first.Cert.SerialNumber.String() {
		t.Fatalf("got %s, %s, %v", text, serial, err)
	}
	replace(t, cert, second.CertPEM) // the key is still the other's
	calls := 0
	until(t, func() error { // as long as a look may be away
		calls++
		if _, serial, err := call(t, addr, ca); err != nil || serial != first.Cert.SerialNumber.String() {
			t.Fatalf("a certificate without its key: %s, %v", serial, err)
		}
		if calls < 20 {
			return errors.New("not often enough yet")
		}
		return nil
	})
	replace(t, key, second.KeyPEM)
	until(t, func() error {
		if _, serial, err := call(t, addr, ca); err != nil || serial != second.Cert.SerialNumber.String() {
			return errors.Join(errors.New("still "+serial), err)
		}
		return nil
	})
	if _, serial, err := call(t, addr, ca); err != nil || serial != second.Cert.SerialNumber.String() {
		t.Errorf("the next connection has %s again, %v", serial, err)
	}
}

// until waits for a condition.
func until(t *testing.T, ok func() error) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	ca, stranger := tlstest.NewAuthority(t, "ca"), tlstest.NewAuthority(t, "stranger")
	server := ca.Issue(t, "server", time.Now().Add(time.Hour), "127.0.0.1")
	files := tlsconf.ServerFiles{
		CertFile: tlstest.File(t, "tls.pem", server.CertPEM+server.KeyPEM), ClientCAFile: tlstest.File(t, "ca.pem", ca.PEM),
		ClientAuth: tls.VerifyClientCertIfGiven,
	}
	good, bad, old := ca.Issue(t, "billing", time.Now().Add(time.Hour)), stranger.Issue(t, "billing", time.Now().Add(time.Hour)), ca.Issue(t, "billing", time.Now().Add(-time.Minute))
	optional := serving(t, files)
	files.ClientAuth = tls.RequireAndVerifyClientCert
	required := serving(t, files)
	if text, _, err := call(t, optional, ca); err != nil || text != "HTTP/2.0 nobody" {
		t.Errorf("without one: %s, %v", text, err)
	}
	if text, _, err := call(t, required, ca); err == nil {
		t.Errorf("without one: %s", text)
	}
	for _, addr := range []string{optional, required} {
		if text, _, err := call(t, addr, ca, good.TLS()); err != nil || !strings.HasSuffix(text, " CN=billing") {
			t.Errorf("good: %s, %v", text, err)
		}
		for _, own := range []tlstest.Identity{bad, old} {
			// A client shows only what the server's list of authorities has,
			// unless it insists.
			text, _, err := callInsisting(t, addr, ca, own)
			if err == nil {
				t.Errorf("by %s until %s: %s", own.Cert.Issuer, own.Cert.NotAfter, text)
			}
		}
	}
}

func callInsisting(t *testing.T, addr string, ca *tlstest.Authority, own tlstest.Identity) (text, serial string, err error) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	c := own.TLS()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get("https://" + addr)
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), "", err
}

func TestServerFilesThatCannotBeUsed(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	id, other := ca.Issue(t, "a", time.Now().Add(time.Hour)), ca.Issue(t, "b", time.Now().Add(-time.Hour))
	cert, key := tlstest.File(t, "a.crt", id.CertPEM), tlstest.File(t, "a.key", id.KeyPEM)
	for name, tc := range map[string]struct {
		files tlsconf.ServerFiles
		key   string
	}{
		"no file":       {tlsconf.ServerFiles{CertFile: "none", KeyFile: key}, "certfile"},
		"no key":        {tlsconf.ServerFiles{CertFile: cert}, "certfile"},
		"another's key": {tlsconf.ServerFiles{CertFile: cert, KeyFile: tlstest.File(t, "b.key", other.KeyPEM)}, "keyfile"},
		"encrypted":     {tlsconf.ServerFiles{CertFile: cert, KeyFile: tlstest.File(t, "e.key", id.Encrypted(t, "x"))}, "keyfile"},
		"no CA":         {tlsconf.ServerFiles{CertFile: cert, KeyFile: key, ClientCAFile: key}, "client_cafile"},
	} {
		problems := tc.files.Check(time.Now())
		if len(problems) != 1 || problems[0].Key != tc.key || strings.Contains(problems[0].Message, "ssl_context") {
			t.Errorf("%s: %v", name, problems)
		}
		if _, err := tlsconf.NewServer(tc.files, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "tls."+tc.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	old := tlsconf.ServerFiles{CertFile: tlstest.File(t, "old.pem", other.CertPEM+other.KeyPEM)}
	if problems := old.Check(time.Now()); len(problems) != 1 || !strings.Contains(problems[0].Message, "expired") {
		t.Errorf("out of date: %v", problems)
	}
	if _, err := tlsconf.NewServer(old, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("what ended is served all the same, as clients decide: %v", err)
	}
}
