package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"sluice/internal/tlsconf"
)

// sighting is what a TLS handshake shows besides success or failure.
type sighting struct {
	revocation error    // why the server's certificate is refused, beyond its chain and names
	asked      bool     // the server asked for a client certificate
	showed     bool     // and got one
	accepts    [][]byte // of these authorities (DER of their names)
}

// secure makes TLS with the certificates and rules of the options.
func (p prober) secure(ctx context.Context, addr string, conn net.Conn) (*tls.Conn, *sighting, error) {
	cfg, err := p.options.SSL.Client()
	if err != nil {
		return nil, &sighting{}, err
	}
	s := &sighting{}
	s.watch(cfg)
	if p.options.Settings["enable.ssl.certificate.verification"] == "false" {
		cfg.InsecureSkipVerify, cfg.VerifyConnection = true, nil // as every client was told to
	}
	cfg.ServerName, _, _ = net.SplitHostPort(addr) // Validate has seen to it
	secured := tls.Client(conn, cfg)
	return secured, s, secured.HandshakeContext(ctx)
}

// watch notes what the handshake goes through.
func (s *sighting) watch(cfg *tls.Config) {
	own := cfg.Certificates
	cfg.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		s.asked, s.accepts = true, info.AcceptableCAs
		if len(own) == 0 {
			return &tls.Certificate{}, nil
		}
		s.showed = true
		return &own[0], nil // as librdkafka does, whether the server will like it or not
	}
	if verify := cfg.VerifyConnection; verify != nil {
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			s.revocation = verify(cs)
			return s.revocation
		}
	}
}

// unsecured says why there is no TLS.
func (p prober) unsecured(ctx context.Context, addr string, s *sighting, err error) finding {
	if p.foreignTLS() {
		return finding{stage: nothingFound}
	}
	if f := p.distrusted(addr, s, err); f.text != "" {
		return f
	}
	var remote *net.OpError
	switch {
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert
		if s.asked && strings.Contains(err.Error(), "certificate") {
			return p.unidentified(addr, s, err)
		}
		return finding{encrypting, fmt.Sprintf("%s refuses TLS as the gateway offers it: see `ssl_context.ciphers`", addr), err.Error()}
	case speaksPlaintext(ctx, addr):
		wanted := "PLAINTEXT or SASL_PLAINTEXT"
		if p.options.usesSASL() {
			wanted = "SASL_PLAINTEXT or PLAINTEXT"
		}
		return finding{encrypting, fmt.Sprintf("`security_protocol` is %s, but %s speaks no TLS: name the port of a TLS listener in `bootstrap_servers`, or set it to %s", p.options.protocol(), addr, wanted), ""}
	case timedOut(err) || errors.As(err, &tls.RecordHeaderError{}) || brokeOff(err):
		return finding{encrypting, fmt.Sprintf("`bootstrap_servers`: %s takes connections, but speaks neither TLS nor Kafka: is it the right port?", addr), err.Error()}
	}
	return finding{encrypting, fmt.Sprintf("TLS with %s fails: see `ssl_context`", addr), err.Error()}
}

// foreignTLS says whether the settings make TLS something that is not looked
// into here: then only librdkafka knows.
func (p prober) foreignTLS() bool {
	for name := range p.options.Settings {
		if strings.HasPrefix(name, "ssl.") {
			return true
		}
	}
	return false
}

// distrusted says why the gateway does not trust the server's certificate.
func (p prober) distrusted(addr string, s *sighting, err error) finding {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		text    string
	)
	switch {
	case errors.As(err, &unknown):
		text = fmt.Sprintf("the certificate of %s is not signed by a CA in %s", addr, caKey(*p.options.SSL))
	case errors.As(err, &name):
		text = fmt.Sprintf("the certificate of %s is for %s: use such a name in `bootstrap_servers`, or set `ssl_context.check_hostname` to false",
			addr, enumerate(hosts(name.Certificate), "and"))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		text = fmt.Sprintf("the certificate of %q, which %s shows, is valid from %s to %s: the broker needs a new one, or a clock is wrong", invalid.Cert.Subject,
			addr, invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(err, &invalid):
		text = fmt.Sprintf("the certificate of %s cannot be trusted: see `ssl_context`", addr)
	case s.revocation != nil:
		return finding{encrypting, fmt.Sprintf("by `ssl_context.crlfile` the certificate of %s cannot be trusted: %v", addr, s.revocation), ""}
	default:
		return finding{}
	}
	return finding{encrypting, text, err.Error()}
}

// unanswered is for a server that made TLS, and then does not answer. With TLS
// 1.3 it is only then that it refuses the client's certificate.
func (p prober) unanswered(addr string, s *sighting, err error) finding {
	switch {
	case p.foreignTLS():
		return finding{stage: nothingFound}
	case s.asked && !timedOut(err) && !errors.Is(err, errNotKafka):
		return p.unidentified(addr, s, err)
	}
	return noKafka(addr, err)
}

// unidentified says why the server does not trust the gateway's certificate.
func (p prober) unidentified(addr string, s *sighting, err error) finding {
	if !s.showed {
		return finding{encrypting, fmt.Sprintf("%s wants a client certificate: set `ssl_context.certfile` and `ssl_context.keyfile`", addr), err.Error()}
	}
	key := "certfile"
	if p.options.SSL.CertData != "" {
		key = "certdata"
	}
	for _, problem := range p.options.SSL.Check(time.Now()) {
		if problem.Key == key {
			return finding{encrypting, "`ssl_context." + key + "`: " + problem.Message, err.Error()}
		}
	}
	text := fmt.Sprintf("%s refuses the client certificate in `ssl_context.%s`", addr, key)
	if names := authorities(s.accepts); len(names) > 0 {
		text += ": it takes those signed by " + enumerate(names, "or")
	}
	return finding{encrypting, text, err.Error()}
}

// caKey names what says whom to trust.
func caKey(c tlsconf.Context) string {
	var keys []string
	for key, set := range map[string]bool{"cafile": c.CAFile != "", "capath": c.CAPath != "", "cadata": c.CAData != ""} {
		if set {
			keys = append(keys, "`ssl_context."+key+"`")
		}
	}
	if len(keys) == 0 {
		return "the system's list: set `ssl_context.cafile`"
	}
	slices.Sort(keys)
	return enumerate(keys, "or")
}

func hosts(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return []string{"no host (it has no subject alternative name)"}
	}
	return names
}

// authorities makes names of their DER, as many as a sentence can bear.
func authorities(der [][]byte) []string {
	var names []string
	for _, b := range der {
		var rdn pkix.RDNSequence
		if _, err := asn1.Unmarshal(b, &rdn); err == nil && len(names) < 5 {
			names = append(names, rdn.String())
		}
	}
	return names
}

// speaksTLS says whether a server that does not answer in plain text answers a
// TLS handshake, be it with a refusal.
func speaksTLS(ctx context.Context, addr string) bool {
	conn, err := dial(ctx, addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) //nolint:gosec // nothing is sent: only whether it is TLS is asked
	var remote *net.OpError
	return err == nil || errors.As(err, &remote) && remote.Op == "remote error"
}

// speaksPlaintext says whether a server that makes no TLS answers without.
func speaksPlaintext(ctx context.Context, addr string) bool {
	conn, err := dial(ctx, addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	return greet(conn) == nil
}
