package kafkatest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
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

// User makes a user of both SCRAM mechanisms, or gives the one there is another
// password. The test has to wait until the broker knows. The user ends with the
// test.
func (s *Secured) User(t testing.TB, name, password string) {
	t.Helper()
	admin := kadm.NewClient(s.Client(t))
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} { // in one request they would be one user twice
		altered, err := admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: name, Mechanism: m, Iterations: 4096, Password: password}})
		if err == nil {
			err = altered.Error()
		}
		if err != nil {
			t.Fatalf("make the user %s: %v", name, err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, _ = admin.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: name, Mechanism: m}}, nil) // another cleanup may have done it
		})
	}
}

// Allow lets a user do something with the topics whose names begin so, until
// the test ends. The test has to wait until the broker knows.
func (s *Secured) Allow(t testing.TB, user, topics string, operations ...kadm.ACLOperation) {
	t.Helper()
	acls := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Allow("User:" + user).AllowHosts("*").Topics(topics).ResourcePatternType(kadm.ACLPatternPrefixed).Operations(operations...)
	}
	admin := kadm.NewClient(s.Client(t))
	made, err := admin.CreateACLs(t.Context(), acls())
	for _, r := range made {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		t.Fatalf("allow %s: %v", user, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = admin.DeleteACLs(ctx, acls())
	})
}
