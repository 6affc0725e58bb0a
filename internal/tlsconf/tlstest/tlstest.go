// Package tlstest makes certificates for tests: authorities, what they sign,
// encrypted keys and revocation lists, all as PEM. Only tests import it.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/youmark/pkcs8"
)

// Authority signs certificates.
type Authority struct {
	PEM  string
	Cert *x509.Certificate

	key *ecdsa.PrivateKey
}

// Identity is a certificate and its private key.
type Identity struct {
	CertPEM string
	KeyPEM  string // PKCS#8, not encrypted
	Cert    *x509.Certificate

	key *ecdsa.PrivateKey
}

// NewAuthority makes a root that is valid for an hour.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	return newAuthority(t, name, nil)
}

// Intermediate makes an authority that this one has signed.
func (a *Authority) Intermediate(t testing.TB, name string) *Authority {
	t.Helper()
	return newAuthority(t, name, a)
}

func newAuthority(t testing.TB, name string, parent *Authority) *Authority {
	t.Helper()
	template := template(t, name, time.Now().Add(time.Hour))
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	key := newKey(t)
	a := &Authority{key: key}
	a.Cert = sign(t, template, key, parent)
	a.PEM = encode("CERTIFICATE", a.Cert.Raw)
	return a
}

// Issue signs a certificate that ends at a time, for a client and for a server
// at these hosts (names or addresses).
func (a *Authority) Issue(t testing.TB, name string, end time.Time, hosts ...string) Identity {
	t.Helper()
	template := template(t, name, end)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	key := newKey(t)
	cert := sign(t, template, key, a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Identity{CertPEM: encode("CERTIFICATE", cert.Raw), KeyPEM: encode("PRIVATE KEY", der), Cert: cert, key: key}
}

// Revoke gives a list with these certificates, valid until a time.
func (a *Authority) Revoke(t testing.TB, until time.Time, revoked ...*x509.Certificate) string {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: until}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("X509 CRL", der)
}

// Encrypted gives the key as encrypted PKCS#8.
func (i Identity) Encrypted(t testing.TB, password string) string {
	t.Helper()
	der, err := pkcs8.MarshalPrivateKey(i.key, []byte(password), nil)
	if err != nil {
		t.Fatal(err)
	}
	return encode("ENCRYPTED PRIVATE KEY", der)
}

// Legacy gives the key in PEM's own, older encryption.
func (i Identity) Legacy(t testing.TB, password string) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	//nolint:staticcheck // users have such keys
	block, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte(password), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// TLS gives the identity for a tls.Config.
func (i Identity) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.Cert.Raw}, PrivateKey: i.key, Leaf: i.Cert}
}

// File writes a text into a directory of the test's own, and gives the path.
func File(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func template(t testing.TB, name string, end time.Time) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-24 * time.Hour),
		NotAfter:     end,
	}
}

func sign(t testing.TB, template *x509.Certificate, key *ecdsa.PrivateKey, by *Authority) *x509.Certificate {
	t.Helper()
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
