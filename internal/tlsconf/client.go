package tlsconf

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Client makes the configuration of a TLS client. The error names the first
// key that cannot be used.
func (c Context) Client() (*tls.Config, error) {
	m, problems := c.load()
	if len(problems) > 0 {
		return nil, fmt.Errorf("ssl_context.%s: %s", problems[0].Key, problems[0].Message)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites(c.Ciphers)}
	if len(m.cas) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		for _, ca := range m.cas {
			cfg.RootCAs.AddCert(ca)
		}
	}
	if len(m.chain) > 0 {
		own := tls.Certificate{PrivateKey: m.key, Leaf: m.chain[0]}
		for _, cert := range m.chain {
			own.Certificate = append(own.Certificate, cert.Raw)
		}
		cfg.Certificates = []tls.Certificate{own}
	}
	if c.SkipHostname || len(m.crls) > 0 {
		cfg.InsecureSkipVerify = c.SkipHostname // verify checks the chain all the same
		cfg.VerifyConnection = verifier{roots: cfg.RootCAs, crls: m.crls, now: time.Now}.verify
	}
	return cfg, nil
}

// CABundle gives all certificates to trust as one PEM text, "" for the
// system's.
func (c Context) CABundle() (string, error) {
	m := &material{}
	var first error
	c.loadCAs(m, func(key, format string, args ...any) {
		if first == nil {
			first = fmt.Errorf("ssl_context.%s: %s", key, fmt.Sprintf(format, args...))
		}
	})
	var b strings.Builder
	for _, ca := range m.cas {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}); err != nil {
			return "", err
		}
	}
	return b.String(), first
}

// verifier checks what crypto/tls does not: the chain without the host's name,
// and revocation lists.
type verifier struct {
	roots *x509.CertPool
	crls  []*x509.RevocationList
	now   func() time.Time
}

func (v verifier) verify(cs tls.ConnectionState) error {
	chains := cs.VerifiedChains
	if len(chains) == 0 { // crypto/tls was told to leave it to us
		if len(cs.PeerCertificates) == 0 {
			return errors.New("the broker showed no certificate")
		}
		opts := x509.VerifyOptions{Roots: v.roots, Intermediates: x509.NewCertPool(), CurrentTime: v.now()}
		for _, c := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		var err error
		if chains, err = cs.PeerCertificates[0].Verify(opts); err != nil {
			return err
		}
	}
	if len(v.crls) == 0 {
		return nil
	}
	// As OpenSSL does: the broker's own certificate is looked up in its
	// issuer's list, and without such a list nobody can say it is good.
	err := errors.New("the broker's certificate names no issuer")
	for _, chain := range chains {
		if len(chain) > 1 {
			if err = v.revoked(chain[0], chain[1]); err == nil {
				return nil
			}
		}
	}
	return err
}

func (v verifier) revoked(cert, issuer *x509.Certificate) error {
	found := false
	for _, crl := range v.crls {
		if !bytes.Equal(crl.RawIssuer, issuer.RawSubject) || crl.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if !crl.NextUpdate.IsZero() && v.now().After(crl.NextUpdate) {
			return fmt.Errorf("the revocation list of %q is out of date", issuer.Subject)
		}
		found = true
		for _, entry := range crl.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(cert.SerialNumber) == 0 {
				return fmt.Errorf("the broker's certificate was revoked by %q", issuer.Subject)
			}
		}
	}
	if !found {
		return fmt.Errorf("crlfile has no revocation list of %q", issuer.Subject)
	}
	return nil
}

// cipherSuites translates the names that crypto/tls has too. OpenSSL's
// expressions ("HIGH:!aNULL") have no counterpart: where nothing else is left,
// crypto/tls's own choice holds. The suites of TLS 1.3 cannot be chosen in
// either library.
func cipherSuites(openssl string) []uint16 {
	var suites []uint16
	for name := range strings.SplitSeq(openssl, ":") {
		if id, ok := suitesByName()[strings.TrimSpace(name)]; ok {
			suites = append(suites, id)
		}
	}
	return suites
}

func suitesByName() map[string]uint16 {
	return map[string]uint16{
		"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
		"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	}
}
