package kafkatest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is how long a helper waits for the broker before the test fails.
const patience = 30 * time.Second

// Client is a franz-go client of the broker, closed with the test.
func (b *Broker) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Topic creates the topic Prefix()+name with the given number of partitions
// and settings, and returns its full name. In a Kafka that is shared it is
// deleted with the test.
func (b *Broker) Topic(t testing.TB, name string, partitions int32, settings map[string]string) string {
	t.Helper()
	name = b.prefix + name
	configs := make(map[string]*string, len(settings))
	for k, v := range settings {
		configs[k] = &v
	}
	admin := kadm.NewClient(b.Client(t))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := admin.CreateTopic(ctx, partitions, -1, configs, name); err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
	b.DeleteLater(t, name)
	Eventually(t, patience, func() error { return shown(ctx, admin, name) })
	return name
}

// shown tells why a topic cannot be used yet: a broker answers that it was made
// a moment before it shows it to others, with leaders.
func shown(ctx context.Context, admin *kadm.Client, name string) error {
	topics, err := admin.ListTopics(ctx, name)
	if err != nil {
		return err
	}
	topic := topics[name]
	if topic.Err != nil || len(topic.Partitions) == 0 {
		return fmt.Errorf("topic %s is not shown: %w", name, topic.Err)
	}
	for _, p := range topic.Partitions {
		if p.Err != nil || p.Leader < 0 {
			return fmt.Errorf("partition %d of %s has no leader: %w", p.Partition, name, p.Err)
		}
	}
	return nil
}

// DeleteLater deletes topics when the test ends, for those that the product
// made. It does nothing on an embedded broker, which ends with the test.
func (b *Broker) DeleteLater(t testing.TB, topics ...string) {
	t.Helper()
	if b.Name == "embedded" {
		return
	}
	t.Cleanup(func() {
		c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := kadm.NewClient(c).DeleteTopics(ctx, topics...); err != nil {
			t.Errorf("delete the test's topics: %v", err)
		}
	})
}

// Produce stores records, in order, to the partitions that they name, and
// returns when the broker has acknowledged them all; partition and offset are
// then filled in.
func (b *Broker) Produce(t testing.TB, records ...*kgo.Record) {
	t.Helper()
	c := b.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// Consume reads the first n records of a topic as a reader of committed
// records sees them, and waits until there are as many. Within a partition
// they are in order.
func (b *Broker) Consume(t testing.TB, topic string, n int) []*kgo.Record {
	t.Helper()
	c := b.Client(t,
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []*kgo.Record
	for len(got) < n {
		fetches := c.PollRecords(ctx, n-len(got))
		if err := fetches.Err(); err != nil {
			t.Fatalf("consume %s: %d of %d records, then: %v", topic, len(got), n, err)
		}
		got = append(got, fetches.Records()...)
	}
	return got
}

func portOf(t testing.TB, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
