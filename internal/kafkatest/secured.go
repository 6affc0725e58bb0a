package kafkatest

import (
	"os"
	"path/filepath"
	"testing"
)

// The environment that says where the real Kafka's other listeners are. What
// starts that Kafka for tests sets it.
const (
	EnvSSL           = "SLUICE_TEST_KAFKA_SSL"            // host:port; a client certificate is required
	EnvSASLPlaintext = "SLUICE_TEST_KAFKA_SASL_PLAINTEXT" // host:port
	EnvSASLSSL       = "SLUICE_TEST_KAFKA_SASL_SSL"       // host:port
	EnvCerts         = "SLUICE_TEST_KAFKA_CERTS"          // directory of PEM files
)

// Secured is a real Kafka with a listener for each security protocol. Its
// users are plain, scram256 and scram512, each in the mechanism of that name,
// with the password NAME-secret; OAUTHBEARER takes unsigned tokens.
type Secured struct {
	*Broker       // its PLAINTEXT listener
	SSL           string
	SASLPlaintext string
	SASLSSL       string

	certs string
}

// KafkaSecured is the real Kafka of the environment, with its listeners. Without
// them the test is skipped, or fails where nothing may be skipped.
func KafkaSecured(t testing.TB) *Secured {
	t.Helper()
	s := &Secured{Broker: Kafka(t)}
	for name, place := range map[string]*string{
		EnvSSL: &s.SSL, EnvSASLPlaintext: &s.SASLPlaintext, EnvSASLSSL: &s.SASLSSL, EnvCerts: &s.certs,
	} {
		if *place = os.Getenv(name); *place == "" {
			Missing(t, "a real Kafka with TLS and SASL: `make test-kafka` starts one, or set "+name)
		}
	}
	return s
}

// File is the path of one of the certificates and keys: ca.crt, which signed
// the broker's (for localhost and 127.0.0.1) and client.crt; client.key, and
// encrypted client.enc.key, whose password is client-key-secret; ca.key;
// broker.crt; other-ca.crt, which the broker does not know, and which signed
// other-client.crt; other-client.key.
func (s *Secured) File(name string) string { return filepath.Join(s.certs, name) }
