package subscriptions_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
	"sluice/internal/subscriptions"
)

const patience = 30 * time.Second

// liveGateway gives a store as the gateway wires it, on a real log of four
// partitions.
func liveGateway(t *testing.T, b *kafkatest.Broker) (*subscriptions.Store, *kafka.Offsets) {
	t.Helper()
	logger := kafkatest.Log(t)
	cluster, err := kafka.NewCluster(kafka.ClusterOptions{
		Kafka: kafka.Options{BootstrapServers: []string{b.Addr}}, Group: b.Prefix() + "readers",
		Log: logger, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	producer, err := kafka.NewProducer(cluster, kafka.ProducerOptions{PublishTimeout: 15 * time.Second, MaxRecordBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = producer.Close(ctx)
	})
	topics := stream.Topics{Prefix: b.Prefix()}
	readers := kafka.NewReaders(cluster, kafka.ReadersOptions{Topics: topics})
	offsets := kafka.NewOffsets(cluster, topics)
	t.Cleanup(func() { _ = readers.Close(); offsets.Close() })
	var l *kafka.Log
	s, err := subscriptions.New(subscriptions.Options{
		Log: logger, Topics: topics, Streams: readers, Offsets: offsets, Filters: filters{}, Sender: &sender{},
		CheckURL: func(context.Context, string) error { return nil },
		Mark:     func(stream.GroupOffset, stream.Layout) (int64, bool) { return 1 << 40, true },
		Open: func(state stream.State) subscriptions.Log {
			l = kafka.NewLog(kafka.LogOptions{
				Topic: topics.Internal("subscriptions"), Partitions: 4, Cluster: cluster, Producer: producer, Admin: kafka.NewAdmin(cluster, 1),
			}, state)
			return l
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	t.Cleanup(l.Close)
	kafkatest.Eventually(t, patience, func() error { return l.Sync(t.Context()) })
	return s, offsets
}

// TestOnKafka has two gateways that share a real log.
func TestOnKafka(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		topic := b.Topic(t, "orders", 1, nil)
		b.Produce(t, &kgo.Record{Topic: topic, Value: []byte("1")}, &kgo.Record{Topic: topic, Value: []byte("2")})
		b.DeleteLater(t, b.Prefix()+"_sluice.subscriptions")
		first, offsets := liveGateway(t, b)
		second, _ := liveGateway(t, b)

		var wg sync.WaitGroup
		results := make([]error, 2)
		body := []byte(`{"id":"` + b.Prefix() + `billing","streams":"orders","from":"earliest","endpoint":{"url":"https://a.example"}}`)
		for i, s := range []*subscriptions.Store{first, second} {
			wg.Go(func() { _, results[i] = s.Create(t.Context(), body) })
		}
		wg.Wait()
		if (results[0] == nil) == (results[1] == nil) {
			t.Fatalf("of two creations at once: %v, %v", results[0], results[1])
		}
		id := b.Prefix() + "billing"
		sub, err := second.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		lag := func(want int64) {
			t.Helper()
			status, err := first.Status(t.Context(), id)
			if err != nil || status.Lag != want {
				t.Errorf("lag %d, want %d, %v", status.Lag, want, err)
			}
		}
		lag(2)
		err = offsets.Commit(t.Context(), sub.Group, []stream.GroupOffset{{Partition: stream.Partition{Stream: "orders"}, TopicID: sub.Begin[0].TopicID, Offset: 1, Metadata: "x"}})
		if err != nil {
			t.Fatal(err)
		}
		lag(1)
		paused, err := second.Pause(t.Context(), id, stream.Condition{Revisions: []int64{sub.Revision}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = first.Pause(t.Context(), id, stream.Condition{Revisions: []int64{sub.Revision}})
		wantCode(t, err, stream.EtagMismatch)
		if err := first.Delete(t.Context(), id, stream.Condition{Revisions: []int64{paused.Revision}}); err != nil {
			t.Fatal(err)
		}
		if subs, err := second.List(t.Context()); err != nil || len(subs) != 0 {
			t.Errorf("%d subscriptions, %v", len(subs), err)
		}
	})
}
