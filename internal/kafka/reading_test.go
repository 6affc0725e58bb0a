package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// library is what reads streams on a broker.
type library struct {
	*kafka.Readers
	t      testing.TB
	broker *kafkatest.Broker
	g      *kafka.Cluster
	topics *kafka.Admin
	admin  *kadm.Client
}

func newLibrary(t *testing.T, b *kafkatest.Broker, consumers int) *library {
	t.Helper()
	g := openCluster(t, b, "")
	return &library{
		Readers: openReaders(t, b, g, consumers), t: t, broker: b,
		g: g, topics: kafka.NewAdmin(g, 1), admin: kadm.NewClient(b.Client(t)),
	}
}

func openCluster(t testing.TB, b *kafkatest.Broker, isolation string) *kafka.Cluster {
	t.Helper()
	c, err := kafka.NewCluster(kafka.ClusterOptions{
		Kafka:          kafka.Options{BootstrapServers: []string{b.Addr}},
		Group:          b.Prefix() + "readers",
		IsolationLevel: isolation,
		Log:            kafkatest.Log(t),
		Registerer:     prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	kafkatest.Eventually(t, patience, c.Reachable)
	return c
}

func openReaders(t testing.TB, b *kafkatest.Broker, c *kafka.Cluster, consumers int) *kafka.Readers {
	t.Helper()
	r := kafka.NewReaders(c, kafka.ReadersOptions{Topics: stream.Topics{Prefix: b.Prefix()}, Consumers: consumers})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// put stores values in a partition.
func (l *library) put(topic string, partition int32, values ...string) {
	l.t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v)}
	}
	l.broker.Produce(l.t, records...)
}

// numbers are n values, from the one of offset first on.
func numbers(first, n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprint("v", first+i)
	}
	return values
}

// transact stores values in a transaction, which takes one more offset.
func (l *library) transact(topic string, commit kgo.TransactionEndTry, values ...string) {
	l.t.Helper()
	c := l.transaction(topic, values...)
	if err := c.EndTransaction(context.Background(), commit); err != nil {
		l.t.Fatal(err)
	}
}

// transaction stores values in a transaction that it leaves open.
func (l *library) transaction(topic string, values ...string) *kgo.Client {
	l.t.Helper()
	c := l.broker.Client(l.t, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := c.BeginTransaction(); err != nil {
		l.t.Fatal(err)
	}
	for _, v := range values {
		if err := c.ProduceSync(l.t.Context(), kgo.StringRecord(v)).FirstErr(); err != nil {
			l.t.Fatal(err)
		}
	}
	return c
}

// deleteBefore deletes a partition's records below an offset.
func (l *library) deleteBefore(topic string, partition int32, offset int64) {
	l.t.Helper()
	var o kadm.Offsets
	o.AddOffset(topic, partition, offset, -1)
	r, err := l.admin.DeleteRecords(l.t.Context(), o)
	if err = errors.Join(err, r.Error()); err != nil {
		l.t.Fatal(err)
	}
}

// remove deletes a topic, and waits until nothing knows it.
func (l *library) remove(id string) {
	l.t.Helper()
	if err := l.topics.Delete(l.t.Context(), l.broker.Prefix()+id); err != nil {
		l.t.Fatal(err)
	}
}

// create makes a topic again.
func (l *library) create(id string, partitions int) string {
	l.t.Helper()
	spec := stream.TopicSpec{Name: l.broker.Prefix() + id, Partitions: partitions}
	if _, err := l.topics.Create(l.t.Context(), spec); err != nil {
		l.t.Fatal(err)
	}
	return spec.Name
}

func (l *library) layouts(pattern string) []stream.Layout {
	l.t.Helper()
	p, err := stream.ParsePattern(pattern)
	if err != nil {
		l.t.Fatal(err)
	}
	got, err := l.Layouts(l.t.Context(), p)
	if err != nil {
		l.t.Fatal(err)
	}
	return got
}

func (l *library) bounds(p ...stream.Partition) []stream.Bounds {
	l.t.Helper()
	got, err := l.Bounds(l.t.Context(), p)
	if err != nil {
		l.t.Fatal(err)
	}
	return got
}

// short writes records as partition:offset=value.
func short(records []stream.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s/%d:%d=%s", r.Stream, r.Partition, r.Offset, r.Value))
	}
	return all
}

func part(id string, number int32) stream.Partition {
	return stream.Partition{Stream: id, Number: number}
}

func equal(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

func TestLayouts(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 0)
		b.Topic(t, "orders.eu", 3, nil)
		b.Topic(t, "orders.us", 1, nil)
		b.Topic(t, "other", 2, nil)
		b.Topic(t, "_sluice.orders.state", 1, nil)

		names := func(pattern string) (all []string) {
			for _, layout := range l.layouts(pattern) {
				if layout.TopicID == "" {
					t.Errorf("no id: %+v", layout)
				}
				all = append(all, fmt.Sprintf("%s/%d", layout.Stream, layout.Partitions))
			}
			return all
		}
		for pattern, want := range map[string][]string{
			"orders.*":                         {"orders.eu/3", "orders.us/1"},
			"*":                                {"orders.eu/3", "orders.us/1", "other/2"},
			"other":                            {"other/2"},
			"other,orders.eu,nowhere,other,..": {"orders.eu/3", "other/2"},
			"nowhere,orders.u?":                {"orders.us/1"},
			"nowhere":                          nil,
			"nowhere.*":                        nil,
		} {
			equal(t, pattern, want, names(pattern))
		}

		before := l.layouts("other")[0].TopicID
		l.remove("other")
		equal(t, "deleted", []string(nil), names("other"))
		l.create("other", 5)
		equal(t, "made again", []string{"other/5"}, names("other"))
		if l.layouts("other")[0].TopicID == before {
			t.Error("the new topic has the old one's id")
		}
	})
}

func TestBoundsAndTimes(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 0)
		first, second := b.Topic(t, "first", 3, nil), b.Topic(t, "second", 1, nil)
		day := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
		for i := range 5 {
			b.Produce(t, &kgo.Record{Topic: first, Partition: 2, Value: []byte("x"), Timestamp: day.Add(time.Duration(i) * time.Minute)})
		}
		l.put(second, 0, numbers(0, 4)...)
		l.deleteBefore(first, 2, 2)
		open := l.transaction(second, "open")

		at := []stream.Partition{part("second", 0), part("first", 2), part("first", 0), part("second", 0)}
		equal(t, "bounds", []stream.Bounds{{Begin: 0, End: 4}, {Begin: 2, End: 5}, {}, {Begin: 0, End: 4}}, l.bounds(at...))
		for when, want := range map[time.Time][]int64{
			day.Add(3 * time.Minute):                    {0, 3, 0, 0},
			day.Add(3*time.Minute + 1):                  {0, 4, 0, 0},
			day.Add(-time.Hour):                         {0, 2, 0, 0},
			time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC): {0, 2, 0, 0},
			time.Now().Add(time.Hour):                   {4, 5, 0, 4},
		} {
			got, err := l.OffsetsAt(t.Context(), at, when)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, when.String(), want, got)
		}
		if err := open.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, patience, func() error {
			if got := l.bounds(part("second", 0))[0].End; got != 6 {
				return fmt.Errorf("the end is %d", got)
			}
			return nil
		})

		_, err := l.Bounds(t.Context(), []stream.Partition{part("first", 0), part("nowhere", 0)})
		if e := wantCode(t, err, stream.UnknownStream); e.Message != "the stream nowhere does not exist" {
			t.Errorf("got %q", e.Message)
		}
		_, err = l.OffsetsAt(t.Context(), []stream.Partition{part("first", 3)}, day)
		wantCode(t, err, stream.InvalidRequest)
	})
}

// A stream that was just missed, and one whose partitions have just grown, are
// there at once.
func TestBoundsOfNewPartitions(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 0)
		_, err := l.Bounds(t.Context(), []stream.Partition{part("grows", 0)})
		wantCode(t, err, stream.UnknownStream)
		topic := l.create("grows", 1)
		b.DeleteLater(t, topic)
		equal(t, "created", []stream.Bounds{{}}, l.bounds(part("grows", 0)))
		if err := l.topics.AddPartitions(t.Context(), topic, 3); err != nil {
			t.Fatal(err)
		}
		l.put(topic, 2, "x")
		equal(t, "grown", []stream.Bounds{{}, {End: 1}}, l.bounds(part("grows", 0), part("grows", 2)))
		l.remove("grows")
		_, err = l.Bounds(t.Context(), []stream.Partition{part("grows", 2)})
		wantCode(t, err, stream.UnknownStream)
	})
}

// hold lets no request of a kind be answered until release is called. reached is
// closed when there is one.
func hold(t *testing.T, b *kafkatest.Broker, key kmsg.Key) (reached <-chan struct{}, release func()) {
	cluster, free, held := b.Cluster(t), make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	reach := sync.OnceFunc(func() { close(held) })
	cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		reach()
		cluster.KeepControl()
		cluster.SleepControl(func() { <-free })
		return nil, nil, false
	})
	return held, release
}
