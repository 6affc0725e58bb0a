package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// gateway is this package's parts on one broker, as the gateway wires them.
type gateway struct {
	*kafka.Cluster
	*kafka.Producer
	admin   *kafka.Admin
	metrics *prometheus.Registry
}

// start makes the parts and waits until the broker answers.
func start(t *testing.T, b *kafkatest.Broker, change ...func(*kafka.ProducerOptions)) *gateway {
	t.Helper()
	return startWith(t, b, kafka.Options{BootstrapServers: []string{b.Addr}}, change...)
}

// startWith is start for a client that reaches the broker in another way.
func startWith(t *testing.T, b *kafkatest.Broker, options kafka.Options, change ...func(*kafka.ProducerOptions)) *gateway {
	t.Helper()
	g := &gateway{metrics: prometheus.NewRegistry()}
	var err error
	g.Cluster, err = kafka.NewCluster(kafka.ClusterOptions{
		Kafka:      options,
		Group:      b.Prefix() + "readers",
		Log:        kafkatest.Log(t),
		Registerer: g.metrics,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Cluster.Close)
	o := kafka.ProducerOptions{PublishTimeout: 15 * time.Second, MaxRecordBytes: 1 << 20}
	for _, f := range change {
		f(&o)
	}
	if g.Producer, err = kafka.NewProducer(g.Cluster, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = g.Producer.Close(ctx) // some tests leave records that nobody can acknowledge
	})
	g.admin = kafka.NewAdmin(g.Cluster, 1)
	kafkatest.Eventually(t, patience, g.Reachable)
	return g
}

// reported is what became of a message.
type reported struct {
	report stream.Report
	err    error
}

// send sends and returns a channel with the report.
func (g *gateway) send(m stream.Message) <-chan reported {
	c := make(chan reported, 1)
	if err := g.Send(&m, func(r stream.Report, err error) { c <- reported{r, err} }); err != nil {
		c <- reported{err: err}
	}
	return c
}

// await gives the report.
func await(t *testing.T, c <-chan reported) reported {
	t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(patience):
		t.Fatal("no report")
		return reported{}
	}
}

// store sends and fails the test unless the record was stored.
func (g *gateway) store(t *testing.T, m stream.Message) stream.Report {
	t.Helper()
	m.Waited = true
	r := await(t, g.send(m))
	if r.err != nil {
		t.Fatalf("send: %v", r.err)
	}
	return r.report
}

func wantCode(t *testing.T, err error, want stream.Code) *stream.Error {
	t.Helper()
	if got := stream.CodeOf(err); got != want {
		t.Fatalf("got code %q (%v), want %q", got, err, want)
	}
	e, _ := err.(*stream.Error)
	return e
}

func message(topic, key, value string) stream.Message {
	m := stream.Message{Topic: topic, Partition: stream.AnyPartition, Value: []byte(value)}
	if key != "" {
		m.Key = []byte(key)
	}
	return m
}

func only(t *testing.T, records []*kgo.Record) *kgo.Record {
	t.Helper()
	if len(records) != 1 {
		t.Fatalf("got %d records, want 1", len(records))
	}
	return records[0]
}
