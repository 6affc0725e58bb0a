// Package kafkatest gives tests a Kafka to run against: an embedded broker of
// their own, in which faults can be injected, and a real Kafka that somebody
// started before. A test of a contract runs on both, as subtests "embedded"
// and "kafka":
//
//	kafkatest.Each(t, func(t testing.TB, b *kafkatest.Broker) {
//		topic := b.Topic(t, "orders", 3, nil)
//		…
//	})
//
// What a test produces and consumes here goes through franz-go, so that the
// product's own client is seen through another one's eyes.
//
// It is not for the product: only _test files import it.
package kafkatest

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"sluice/internal/embedded"
)

// The environment that decides about the real Kafka. `make test-kafka` starts
// one and sets the first; CI sets both.
const (
	// EnvServer is the host:port of a real Kafka's PLAINTEXT listener.
	EnvServer = "SLUICE_TEST_KAFKA"
	// EnvNoSkip, when not empty, makes a test that lacks its Kafka fail
	// instead of being skipped.
	EnvNoSkip = "SLUICE_TEST_NO_SKIP"
)

// Broker is a Kafka that a test runs against.
type Broker struct {
	// Name is "embedded" or "kafka".
	Name string
	// Addr is the bootstrap server, host:port. It stays the same over Stop
	// and Start.
	Addr string

	running *embedded.Broker // nil while stopped, and for a real Kafka
	options embedded.Options
	prefix  string
}

// Each runs fn as one subtest on an embedded broker of its own and as one on
// the real Kafka. The second is skipped, loudly, where there is none.
func Each(t *testing.T, fn func(t *testing.T, b *Broker)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { fn(t, Embedded(t)) })
	t.Run("kafka", func(t *testing.T) { fn(t, Kafka(t)) })
}

// Embedded starts a broker for this test alone, which ends with the test. As
// most production brokers do, it creates topics that clients ask about. Its
// upkeep is off, so that injected faults meet only the test's own requests.
func Embedded(t testing.TB) *Broker {
	t.Helper()
	return EmbeddedWith(t, embedded.Options{AutoCreateTopics: true})
}

// EmbeddedWith is Embedded with other options. The data directory is always
// the test's own, and so is the log; Upkeep stays off unless set.
func EmbeddedWith(t testing.TB, o embedded.Options) *Broker {
	t.Helper()
	o.DataDir = t.TempDir()
	return startEmbedded(t, o)
}

// EmbeddedOn is Embedded on the data directory that a broker has left. Nobody
// else may use the directory until Stop, or the test's end.
func EmbeddedOn(t testing.TB, dir string) *Broker {
	t.Helper()
	return startEmbedded(t, embedded.Options{DataDir: dir})
}

func startEmbedded(t testing.TB, o embedded.Options) *Broker {
	t.Helper()
	if o.Upkeep == 0 {
		o.Upkeep = -1
	}
	o.Log = slog.New(slog.NewTextHandler(Output(t), &slog.HandlerOptions{Level: slog.LevelWarn}))
	b := &Broker{Name: "embedded", options: o, prefix: newPrefix()}
	b.Start(t)
	t.Cleanup(func() {
		if b.running != nil {
			b.running.Close()
		}
	})
	return b
}

// Kafka is the real Kafka whose address is in the environment. Without it the
// test is skipped, or fails where nothing may be skipped.
func Kafka(t testing.TB) *Broker {
	t.Helper()
	addr := os.Getenv(EnvServer)
	if addr == "" {
		Missing(t, "a real Kafka: `make test-kafka` starts one, or set "+EnvServer+"=host:port")
	}
	return &Broker{Name: "kafka", Addr: addr, prefix: newPrefix()}
}

// Missing skips the test because what it needs is not here, or fails it where
// nothing may be skipped. need says what it is and how to get it.
func Missing(t testing.TB, need string) {
	t.Helper()
	if os.Getenv(EnvNoSkip) != "" {
		t.Fatalf("this test needs %s (and %s forbids to skip it)", need, EnvNoSkip)
	}
	t.Skipf("SKIPPED: this test needs %s", need)
}

// Prefix begins the names of everything that the test makes in the broker, so
// that tests do not meet in a Kafka that they share. It can serve as a
// topic_prefix.
func (b *Broker) Prefix() string { return b.prefix }

func newPrefix() string {
	var id [5]byte
	rand.Read(id[:]) // never fails since Go 1.24
	return "t" + hex.EncodeToString(id[:]) + "."
}

// Start starts an embedded broker again after Stop, with the data it had and
// on the same address.
func (b *Broker) Start(t testing.TB) {
	t.Helper()
	b.mustBeEmbedded(t)
	if b.running != nil {
		return
	}
	o := b.options
	if b.Addr != "" {
		o.Port = portOf(t, b.Addr)
	}
	running, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	b.running, b.Addr = running, running.Addr()
}

// Stop stops an embedded broker; nothing listens on its address until Start.
func (b *Broker) Stop(t testing.TB) {
	t.Helper()
	b.mustBeEmbedded(t)
	if b.running != nil {
		b.running.Close()
		b.running = nil
	}
}

// Cluster is the inside of a running embedded broker, to inject faults and to
// watch or answer requests. After Stop and Start there is another one.
func (b *Broker) Cluster(t testing.TB) *kfake.Cluster {
	t.Helper()
	b.mustBeEmbedded(t)
	if b.running == nil {
		t.Fatal("the embedded broker is stopped")
	}
	return b.running.Cluster()
}

func (b *Broker) mustBeEmbedded(t testing.TB) {
	t.Helper()
	if b.Name != "embedded" {
		t.Fatal("only an embedded broker can be stopped or made to fail")
	}
}
