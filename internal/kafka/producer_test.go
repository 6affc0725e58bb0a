package kafka_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

func TestProducerStoresEverythingOfARecord(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "all", 1, nil)
		at := time.UnixMilli(1_700_000_000_123)
		report := g.store(t, stream.Message{
			Topic: topic, Partition: 0, Key: []byte{}, Value: []byte("value \x00\xff"), Timestamp: at,
			Headers: []stream.Header{{Name: "A", Value: []byte("1")}, {Name: "A", Value: nil}, {Name: "b", Value: []byte{}}},
		})
		if report.Partition != 0 || report.Offset != 0 || !report.Timestamp.Equal(at) {
			t.Errorf("got report %+v", report)
		}
		got := only(t, b.Consume(t, topic, 1))
		want := []kgo.RecordHeader{{Key: "A", Value: []byte("1")}, {Key: "A", Value: nil}, {Key: "b", Value: []byte{}}}
		if d := cmp.Diff(want, got.Headers); d != "" {
			t.Errorf("headers (-want +got):\n%s", d)
		}
		if got.Key == nil || len(got.Key) != 0 || string(got.Value) != "value \x00\xff" || !got.Timestamp.Equal(at) {
			t.Errorf("got key %v, value %q, timestamp %v", got.Key, got.Value, got.Timestamp)
		}
	})
}

func TestProducerStoresTombstones(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "tombstones", 1, nil)
		g.store(t, stream.Message{Topic: topic, Partition: stream.AnyPartition, Key: []byte("k")})
		if got := only(t, b.Consume(t, topic, 1)); got.Value != nil || string(got.Key) != "k" {
			t.Errorf("got key %q, value %v", got.Key, got.Value)
		}
	})
}

// The partitions are those of Java's DefaultPartitioner, which franz-go's
// sticky key partitioner follows.
func TestProducerPartitionsAsJavaDoes(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "keys", 7, nil)
		java := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
		for i := range 50 {
			key := fmt.Sprintf("key-%d-ü", i)
			got := g.store(t, message(topic, key, "v")).Partition
			if want := java.Partition(&kgo.Record{Key: []byte(key)}, 7); int(got) != want {
				t.Errorf("key %q: got partition %d, want %d", key, got, want)
			}
		}
	})
}

func TestProducerRefuses(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "small", 2, map[string]string{"max.message.bytes": "1000"})
		g.store(t, message(topic, "", "warm"))
		for _, tc := range []struct {
			name string
			msg  stream.Message
			code stream.Code
		}{
			{"an unknown topic", message(b.Prefix()+"nowhere", "", "v"), stream.UnknownStream},
			{"an unknown topic again", message(b.Prefix()+"nowhere", "", "v"), stream.UnknownStream},
			{"an unknown partition", stream.Message{Topic: topic, Partition: 2, Value: []byte("v")}, stream.InvalidRecord},
			{"beyond the topic's limit", message(topic, "", strings.Repeat("x", 2000)), stream.TooLarge},
			{"beyond the client's limit", message(topic, "", strings.Repeat("x", 2<<20)), stream.TooLarge},
		} {
			for _, tc.msg.Waited = range []bool{false, true} {
				r := await(t, g.send(tc.msg))
				if e := wantCode(t, r.err, tc.code); e.Outcome != stream.NotStored {
					t.Errorf("%s: got outcome %q", tc.name, e.Outcome)
				}
			}
		}
		g.store(t, message(topic, "", "still works"))
		topics, err := g.admin.Topics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range topics {
			if other.Name == b.Prefix()+"nowhere" {
				t.Error("publishing created the topic")
			}
		}
	})
}

// A compacted topic takes no record without a key.
func TestProducerTellsWhatTheBrokerRefuses(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "compacted", 1, map[string]string{"cleanup.policy": "compact"})
		wantCode(t, await(t, g.send(message(topic, "", "v"))).err, stream.InvalidRecord)
		g.store(t, message(topic, "k", "v"))
	})
}

func TestProducerFollowsARecreatedTopic(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "again", 1, nil)
		for range 3 {
			g.store(t, message(topic, "k", "v"))
			if err := g.admin.Delete(t.Context(), topic); err != nil {
				t.Fatal(err)
			}
			wantCode(t, await(t, g.send(message(topic, "k", "v"))).err, stream.UnknownStream)
			if _, err := g.admin.Create(t.Context(), stream.TopicSpec{Name: topic, Partitions: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if r := g.store(t, message(topic, "k", "v")); r.Offset != 0 {
			t.Errorf("got offset %d in a new topic", r.Offset)
		}
	})
}

// Records that wait while their topic is deleted are answered, none hangs and
// none is lost in silence.
func TestProducerWhileItsTopicIsDeleted(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b, func(o *kafka.ProducerOptions) { o.PublishTimeout = 5 * time.Second })
		topic := b.Topic(t, "going", 3, nil)
		g.store(t, message(topic, "k", "v"))
		stop := make(chan struct{})
		reports := make(chan []<-chan reported, 1)
		go func() {
			var sent []<-chan reported
			defer func() { reports <- sent }()
			for len(sent) < 50_000 {
				select {
				case <-stop:
					return
				default:
					sent = append(sent, g.send(message(topic, "", "v")))
				}
			}
		}()
		if err := g.admin.Delete(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		close(stop)
		codes := map[stream.Code]int{}
		for _, c := range <-reports {
			codes[stream.CodeOf(await(t, c).err)]++
		}
		delete(codes, "")
		delete(codes, stream.UnknownStream)
		delete(codes, stream.OutcomeUnknown)
		delete(codes, stream.Overloaded)
		if len(codes) > 0 {
			t.Errorf("got other answers: %v", codes)
		}
	})
}

func TestProducerIsReplacedAfterAFatalError(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "fatal", 1, nil)
		for i := range 3 {
			g.store(t, message(topic, "k", "before"))
			g.FailFatally()
			g.store(t, message(topic, "k", "after"))
			want := fmt.Sprintf("# HELP sluice_kafka_producer_replacements_total Producers replaced: after a fatal error, or because a topic was made anew.\n"+
				"# TYPE sluice_kafka_producer_replacements_total counter\nsluice_kafka_producer_replacements_total %d\n", i+1)
			if err := testutil.GatherAndCompare(g.metrics, strings.NewReader(want), "sluice_kafka_producer_replacements_total"); err != nil {
				t.Error(err)
			}
		}
		b.Consume(t, topic, 6)
	})
}

func TestProducerWithoutABroker(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	topic := b.Topic(t, "away", 1, nil)
	g.store(t, message(topic, "k", "v"))
	b.Stop(t)
	kafkatest.Eventually(t, patience, func() error {
		if g.Reachable() == nil {
			return fmt.Errorf("still reachable")
		}
		return nil
	})
	e := wantCode(t, await(t, g.send(message(topic, "k", "v"))).err, stream.KafkaUnavailable)
	if e.Outcome != stream.NotStored || e.RetryAfter == 0 {
		t.Errorf("got outcome %q, retry after %v", e.Outcome, e.RetryAfter)
	}
	b.Start(t)
	kafkatest.Eventually(t, patience, g.Reachable)
	if r := g.store(t, message(topic, "k", "v")); r.Offset != 1 {
		t.Errorf("got offset %d, want 1: nothing was to be queued meanwhile", r.Offset)
	}
}

// What was sent and not acknowledged is of unknown outcome when its time is up,
// and stored when the broker answers in time.
func TestProducerWithASilentBroker(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b, func(o *kafka.ProducerOptions) { o.PublishTimeout = 2 * time.Second })
	topic := b.Topic(t, "silent", 1, nil)
	g.store(t, message(topic, "k", "v"))
	free := make(chan struct{})
	b.Cluster(t).ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster(t).SleepControl(func() { <-free })
		return nil, nil, false
	})
	waiting := g.send(message(topic, "k", "v"))
	e := wantCode(t, await(t, waiting).err, stream.OutcomeUnknown)
	if e.Outcome != stream.OutcomeUnclear {
		t.Errorf("got outcome %q", e.Outcome)
	}
	close(free)
	g.store(t, message(topic, "k", "v"))
}

// What waits while its broker dies is stored, once, when the broker is back in
// time.
func TestProducerWhoseBrokerComesBack(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	topic := b.Topic(t, "back", 1, nil)
	g.store(t, message(topic, "k", "v"))
	held := make(chan struct{})
	cluster := b.Cluster(t)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(held)
		cluster.SleepControl(func() { <-t.Context().Done() }) // it never answers
		return nil, nil, false
	})
	waiting := g.send(message(topic, "k", "waiting"))
	<-held
	b.Stop(t)
	b.Start(t)
	if r := await(t, waiting); r.err != nil || r.report.Offset != 1 {
		t.Errorf("got %+v, %v", r.report, r.err)
	}
	kafkatest.Eventually(t, patience, g.Reachable)
	if r := g.store(t, message(topic, "k", "later")); r.Offset != 2 {
		t.Errorf("got offset %d, want 2", r.Offset)
	}
}

func TestProducerTellsMissingRights(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	topic := b.Topic(t, "denied", 1, nil)
	b.Cluster(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: 1})
	wantCode(t, await(t, g.send(message(topic, "k", "v"))).err, stream.Forbidden)
	g.store(t, message(topic, "k", "v"))
}

func TestProducerQueueIsBounded(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	topic := b.Topic(t, "full", 1, nil)
	g.store(t, message(topic, "k", "v"))
	free := make(chan struct{})
	b.Cluster(t).ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster(t).SleepControl(func() { <-free })
		return nil, nil, false
	})
	var err error
	stored := 0
	for i := 0; err == nil && i < 1_000_000; i++ {
		m := message(topic, "", strings.Repeat("x", 1000))
		err = g.Send(&m, func(stream.Report, error) {})
		stored++
	}
	e := wantCode(t, err, stream.Overloaded)
	if e.RetryAfter == 0 || e.Outcome != stream.NotStored {
		t.Errorf("got outcome %q, retry after %v", e.Outcome, e.RetryAfter)
	}
	close(free)
	kafkatest.Eventually(t, patience, func() error { return await(t, g.send(message(topic, "k", "v"))).err })
}

// Close waits for what was accepted.
func TestProducerCloseFlushes(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "flush", 3, nil)
		const n = 5000
		for range n {
			g.send(message(topic, "", "v"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := g.Producer.Close(ctx); err != nil {
			t.Fatal(err)
		}
		ends, err := kadm.NewClient(b.Client(t)).ListEndOffsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		var total int64
		ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
		if total != n {
			t.Errorf("got %d records, want %d", total, n)
		}
		wantCode(t, await(t, g.send(message(topic, "", "late"))).err, stream.KafkaUnavailable)
	})
}
