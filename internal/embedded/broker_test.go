package embedded_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/embedded"
	"sluice/internal/kafkatest"
)

func TestStartRefusesADirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	first, err := embedded.Start(embedded.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = embedded.Start(embedded.Options{DataDir: dir})
	var inUse *embedded.InUseError
	if !errors.As(err, &inUse) {
		t.Fatalf("got %v, want an InUseError", err)
	}
	if want := fmt.Sprintf("process %d", os.Getpid()); inUse.Holder != want || !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want it to name %q", err, want)
	}
	first.Close()
	first.Close() // a second Close does nothing
	again, err := embedded.Start(embedded.Options{DataDir: dir})
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	again.Close()
}

func TestRestartKeepsPortClusterAndData(t *testing.T) {
	o := embedded.Options{DataDir: t.TempDir()}
	start := func() (*embedded.Broker, *kgo.Client) {
		b, err := embedded.Start(o)
		if err != nil {
			t.Fatal(err)
		}
		c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ConsumeTopics("orders"))
		if err != nil {
			t.Fatal(err)
		}
		return b, c
	}
	id := func(c *kgo.Client) string {
		m, err := kadm.NewClient(c).BrokerMetadata(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m.Cluster
	}

	b, c := start()
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), -1, -1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("kept")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	addr, cluster := b.Addr(), id(c)
	c.Close()
	b.Close()

	b, c = start()
	defer b.Close()
	defer c.Close()
	if b.Addr() != addr {
		t.Errorf("the address changed from %s to %s", addr, b.Addr())
	}
	if got := id(c); got != cluster || len(got) != 22 {
		t.Errorf("the cluster id changed from %s to %s", cluster, got)
	}
	f := c.PollFetches(t.Context())
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	if got := string(f.Records()[0].Value); got != "kept" {
		t.Errorf("got %q", got)
	}
}

func TestStartTakesAnotherPortWhenItsOwnIsTaken(t *testing.T) {
	o := embedded.Options{DataDir: t.TempDir()}
	b, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	addr := b.Addr()
	b.Close()
	thief, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	b, err = embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Addr() == addr {
		t.Errorf("got the address %s, which is taken", addr)
	}
}

func TestStartFailsOnAPortThatWasAskedForAndIsTaken(t *testing.T) {
	a, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var port int
	fmt.Sscanf(a.Addr(), "127.0.0.1:%d", &port)
	dir := t.TempDir()
	if b, err := embedded.Start(embedded.Options{DataDir: dir, Port: port}); err == nil {
		b.Close()
		t.Fatal("started on a port that is taken")
	}
	b, err := embedded.Start(embedded.Options{DataDir: dir})
	if err != nil {
		t.Fatalf("the failed start kept the lock: %v", err)
	}
	b.Close()
}

// frame is a request as it goes over the wire.
func frame(key, version int16, body string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 7) // correlation id
	return string(b) + body
}

// A hostile frame that gets through kills the whole test process.
func TestHostileBytesDoNotHurt(t *testing.T) {
	b := kafkatest.Embedded(t)
	for name, bytes := range map[string]string{
		"unknown api key":     frame(9999, 0, "\x00\x00"),
		"negative api key":    frame(-1, 0, "\x00\x00"),
		"version of later":    frame(0, 32767, "\x00\x00"),
		"negative version":    frame(3, -1, "\x00\x00"),
		"http":                "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"tls":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"negative size":       "\xff\xff\xff\xff\x00\x00\x00\x00",
		"size 0":              "\x00\x00\x00\x00\x00\x00\x00\x00",
		"size of a head only": "\x00\x00\x00\x04\x00\x03\x00\x00",
		"101 MiB":             "\x06\x50\x00\x00\x00\x03\x00\x00",
		"body of garbage":     frame(3, 9, strings.Repeat("\xff", 40)),
		"no body":             frame(0, 9, ""),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(c, bytes); err != nil {
				t.Fatal(err)
			}
			// The broker hangs up; a reset is as good as an end.
			if n, err := io.Copy(io.Discard, c); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %d bytes of answer and %v, want the connection closed", n, err)
			}
		})
	}
	topic := b.Topic(t, "alive", 1, nil)
	b.Produce(t, &kgo.Record{Topic: topic, Value: []byte("x")})
}

func TestApiVersionsOfTheFutureIsAnswered(t *testing.T) {
	b := kafkatest.Embedded(t)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, frame(18, 99, "\x00\x01x\x00\x02x\x02x\x00\xff\xff\xff\xff\x00")); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 10)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint16(head[8:]); got != 35 {
		t.Errorf("got error %d, want 35 (UNSUPPORTED_VERSION)", got)
	}
}

func TestTopicsAreNotCreatedUnlessAsked(t *testing.T) {
	for _, auto := range []bool{false, true} {
		b := kafkatest.EmbeddedWith(t, embedded.Options{AutoCreateTopics: auto})
		c := b.Client(t, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(2))
		err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr()
		if diff := cmp.Diff(auto, err == nil); diff != "" {
			t.Errorf("AutoCreateTopics %v: %v", auto, err)
		}
	}
}
