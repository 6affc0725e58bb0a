package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// state is the simplest state a log can keep.
type state struct {
	mu      sync.Mutex
	entries map[string]stream.Entry
}

func (s *state) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = map[string]stream.Entry{}
}

func (s *state) Apply(e stream.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[e.Entity] = e
}

func (s *state) get(entity string) stream.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[entity]
}

// replicatedLog is one gateway's log with its state.
type replicatedLog struct {
	*kafka.Log
	state *state
}

func openLog(t *testing.T, b *kafkatest.Broker, topic string) *replicatedLog {
	t.Helper()
	g := start(t, b)
	s := &state{}
	s.Reset()
	l := &replicatedLog{kafka.NewLog(kafka.LogOptions{Topic: topic, Cluster: g.Cluster, Producer: g.Producer, Admin: g.admin}, s), s}
	l.Start()
	t.Cleanup(l.Close)
	kafkatest.Eventually(t, patience, func() error { return l.Sync(t.Context()) })
	return l
}

func TestLogWritersRace(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		topic := b.Prefix() + "race"
		b.DeleteLater(t, topic)
		const gateways, each = 3, 40
		var logs []*replicatedLog
		for range gateways {
			logs = append(logs, openLog(t, b, topic))
		}
		// Each gateway counts up one shared number; a write that won must have
		// been built on the number that counted then.
		var all sync.WaitGroup
		for _, l := range logs {
			all.Go(func() {
				for done := 0; done < each; {
					if err := l.Sync(t.Context()); err != nil {
						t.Error(err)
						return
					}
					e := l.state.get("counter")
					n := 0
					fmt.Sscan(string(e.Value), &n)
					won, err := l.Write(t.Context(), "counter", e.Revision, fmt.Append(nil, n+1))
					if err != nil {
						t.Error(err)
						return
					}
					if won {
						done++
					}
				}
			})
		}
		all.Wait()
		for i, l := range append(logs, openLog(t, b, topic)) {
			if err := l.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if e := l.state.get("counter"); string(e.Value) != fmt.Sprint(gateways*each) || e.Revision != gateways*each {
				t.Errorf("gateway %d: got %s at revision %d, want %d", i, e.Value, e.Revision, gateways*each)
			}
		}
	})
}

// A write is seen by another gateway that syncs the moment after.
func TestLogWritesAreSeenElsewhereAtOnce(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		topic := b.Prefix() + "elsewhere"
		b.DeleteLater(t, topic)
		here, there := openLog(t, b, topic), openLog(t, b, topic)
		for i := range 50 {
			entity := fmt.Sprintf("e/%d", i)
			if won, err := here.Write(t.Context(), entity, 0, []byte("1")); err != nil || !won {
				t.Fatalf("write: %v, %v", won, err)
			}
			if err := there.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if there.state.get(entity).Revision != 1 {
				t.Fatalf("%s is not seen", entity)
			}
		}
	})
}

func TestLogSurvivesCompaction(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		topic := b.Topic(t, "compaction", 1, map[string]string{
			"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "100", "delete.retention.ms": "0",
		})
		l := openLog(t, b, topic)
		for i := range int64(40) {
			if won, err := l.Write(t.Context(), "changing", i, fmt.Append(nil, i)); err != nil || !won {
				t.Fatalf("write: %v, %v", won, err)
			}
		}
		if won, err := l.Write(t.Context(), "deleted", 0, []byte("1")); err != nil || !won {
			t.Fatalf("write: %v, %v", won, err)
		}
		if won, err := l.Write(t.Context(), "deleted", 1, nil); err != nil || !won {
			t.Fatalf("delete: %v, %v", won, err)
		}
		awaitCompaction(t, b, topic)
		again := openLog(t, b, topic)
		if e := again.state.get("changing"); string(e.Value) != "39" || e.Revision != 40 {
			t.Errorf("got %s at revision %d", e.Value, e.Revision)
		}
		if e := again.state.get("deleted"); e.Value != nil || e.Revision != 2 {
			t.Errorf("got %s at revision %d", e.Value, e.Revision)
		}
		if won, err := again.Write(t.Context(), "changing", 40, []byte(`"next"`)); err != nil || !won {
			t.Errorf("write: %v, %v", won, err)
		}
		if won, err := l.Write(t.Context(), "changing", 40, []byte(`"late"`)); err != nil || won {
			t.Errorf("write on an old revision: %v, %v", won, err)
		}
	})
}

// awaitCompaction waits until the cleaner has taken most of the topic. It only
// works on segments that are closed, so records of no meaning are added.
func awaitCompaction(t *testing.T, b *kafkatest.Broker, topic string) {
	t.Helper()
	kafkatest.Eventually(t, 2*patience, func() error {
		b.Produce(t, &kgo.Record{Topic: topic, Key: []byte("filler"), Value: nil})
		if b.Name == "embedded" {
			b.Cluster(t).Compact()
		}
		if n := recordsOf(t, b, topic); n > 30 {
			return fmt.Errorf("%d records are left", n)
		}
		return nil
	})
}

// recordsOf counts what can be read of a topic's one partition.
func recordsOf(t *testing.T, b *kafkatest.Broker, topic string) int {
	t.Helper()
	c := b.Client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	for n := 0; ; {
		f := c.PollFetches(t.Context())
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		n += f.NumRecords()
		for _, r := range f.Records() {
			if r.Offset == end.Offset-1 {
				return n
			}
		}
	}
}

// A log whose topic is deleted under it begins anew, and says so by its state.
func TestLogWhoseTopicIsDeleted(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		topic := b.Prefix() + "deleted"
		b.DeleteLater(t, topic)
		l := openLog(t, b, topic)
		if won, err := l.Write(t.Context(), "e", 0, []byte("1")); err != nil || !won {
			t.Fatalf("write: %v, %v", won, err)
		}
		if _, err := kadm.NewClient(b.Client(t)).DeleteTopics(context.Background(), topic); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, 2*patience, func() error {
			if err := l.Sync(t.Context()); err != nil {
				return err
			}
			if e := l.state.get("e"); e.Revision != 0 {
				return fmt.Errorf("still at revision %d", e.Revision)
			}
			return nil
		})
		kafkatest.Eventually(t, patience, func() error {
			won, err := l.Write(t.Context(), "e", 0, []byte("2"))
			if err == nil && !won {
				err = fmt.Errorf("the write did not win")
			}
			return err
		})
	})
}

func TestLogWithoutABroker(t *testing.T) {
	b := kafkatest.Embedded(t)
	l := openLog(t, b, b.Prefix()+"away")
	if won, err := l.Write(t.Context(), "e", 0, []byte("1")); err != nil || !won {
		t.Fatalf("write: %v, %v", won, err)
	}
	b.Stop(t)
	kafkatest.Eventually(t, patience, func() error {
		if l.Sync(t.Context()) == nil {
			return fmt.Errorf("still in sync")
		}
		return nil
	})
	_, err := l.Write(t.Context(), "e", 1, []byte("2"))
	wantCode(t, err, stream.KafkaUnavailable)
	b.Start(t)
	kafkatest.Eventually(t, patience, func() error { return l.Sync(t.Context()) })
	if won, err := l.Write(t.Context(), "e", 1, []byte("2")); err != nil || !won {
		t.Errorf("write: %v, %v", won, err)
	}
}
