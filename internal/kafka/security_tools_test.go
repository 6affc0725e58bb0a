package kafka_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafkatest"
	"sluice/internal/tlsconf/tlstest"
)

// lines collects a log.
type lines struct{ kafkatest.Transcript }

func (l *lines) count(part string) int { return strings.Count(l.String(), part) }

// authority is the CA that the broker and its clients trust.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func brokersCA(t *testing.T, k *kafkatest.Secured) authority {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(pemBytes(t, k.File("ca.key")))
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate(t, k.File("ca.crt")), key.(crypto.Signer)}
}

func certificate(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(pemBytes(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pemBytes(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	return block.Bytes
}

// issue signs a certificate for localhost that ends at a time.
func (a authority) issue(t *testing.T, end time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test-client"},
		NotBefore: end.Add(-time.Hour), NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// client writes such a certificate and its key into files.
func (a authority) client(t *testing.T, end time.Time) (cert, key string) {
	t.Helper()
	certPEM, keyPEM := a.issue(t, end)
	return tlstest.File(t, "cert.pem", string(certPEM)), tlstest.File(t, "key.pem", string(keyPEM))
}

// expiredServer serves TLS with a certificate that is over.
func (a authority) expiredServer(t *testing.T) string {
	t.Helper()
	pair, err := tls.X509KeyPair(a.issue(t, time.Now().Add(-time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, "127.0.0.1:0", func(c net.Conn) { _ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake() })
}

// revoke writes a revocation list into a file.
func (a authority) revoke(t *testing.T, serial *big.Int) string {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: serial, RevocationTime: time.Now().Add(-time.Minute)}},
	}, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tlstest.File(t, "crl.pem", string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})))
}

// serve answers connections on an address until the test ends.
func serve(t *testing.T, addr string, answer func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		open    []net.Conn
	)
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				answer(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return listener.Addr().String()
}

// forward makes an address at which another one answers.
func forward(t *testing.T, addr, to string) string {
	t.Helper()
	return serve(t, addr, func(c net.Conn) {
		there, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(there, c) // ends with either side
			there.Close()
		}()
		_, _ = io.Copy(c, there)
	})
}

// onlyOffers is a broker that lets users in by these mechanisms alone.
func onlyOffers(t *testing.T, mechanisms ...string) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		answer := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
		answer.ErrorCode, answer.SupportedMechanisms = kerr.UnsupportedSaslMechanism.Code, mechanisms
		return answer, nil, true
	})
	return c.ListenAddrs()[0]
}

// closedPort is an address at which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}
