package kafka_test

import (
	"context"
	"fmt"
	"strings"
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

// eachLog runs a test on both brokers, with a log of one partition and one of
// several.
func eachLog(t *testing.T, test func(t *testing.T, b *kafkatest.Broker, partitions int)) {
	t.Parallel()
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("partitions=%d", partitions), func(t *testing.T) {
			t.Parallel()
			kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
				t.Parallel()
				test(t, b, partitions)
			})
		})
	}
}

func openLog(t *testing.T, b *kafkatest.Broker, topic string, partitions int) *replicatedLog {
	t.Helper()
	l := closedLog(t, b, topic, partitions)
	kafkatest.Eventually(t, patience, func() error { return l.Sync(t.Context()) })
	return l
}

// closedLog is openLog for one that is not expected to be read.
func closedLog(t *testing.T, b *kafkatest.Broker, topic string, partitions int) *replicatedLog {
	t.Helper()
	g := start(t, b)
	s := &state{}
	s.Reset()
	l := &replicatedLog{kafka.NewLog(kafka.LogOptions{Topic: topic, Partitions: partitions, Cluster: g.Cluster, Producer: g.Producer, Admin: g.admin}, s), s}
	l.Start()
	t.Cleanup(l.Close)
	return l
}

func TestLogWritersRace(t *testing.T) {
	eachLog(t, func(t *testing.T, b *kafkatest.Broker, partitions int) {
		topic := b.Prefix() + "race"
		b.DeleteLater(t, topic)
		const gateways, each = 3, 40
		var logs []*replicatedLog
		for range gateways {
			logs = append(logs, openLog(t, b, topic, partitions))
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
		for i, l := range append(logs, openLog(t, b, topic, partitions)) {
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
	eachLog(t, func(t *testing.T, b *kafkatest.Broker, partitions int) {
		topic := b.Prefix() + "elsewhere"
		b.DeleteLater(t, topic)
		here, there := openLog(t, b, topic, partitions), openLog(t, b, topic, partitions)
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
	eachLog(t, func(t *testing.T, b *kafkatest.Broker, partitions int) {
		topic := b.Topic(t, "compaction", int32(partitions), map[string]string{
			"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "100", "delete.retention.ms": "0",
		})
		l := openLog(t, b, topic, partitions)
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
		awaitCompaction(t, b, topic, kafka.PartitionOf("changing", partitions))
		again := openLog(t, b, topic, partitions)
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

// awaitCompaction waits until the cleaner has taken most of a partition. It only
// works on segments that are closed, so records of no meaning are added.
func awaitCompaction(t *testing.T, b *kafkatest.Broker, topic string, partition int32) {
	t.Helper()
	kafkatest.Eventually(t, 2*patience, func() error {
		b.Produce(t, &kgo.Record{Topic: topic, Partition: partition, Key: []byte("filler"), Value: nil})
		if b.Name == "embedded" {
			b.Cluster(t).Compact()
		}
		if n := recordsOf(t, b, topic, partition); n > 30 {
			return fmt.Errorf("%d records are left", n)
		}
		return nil
	})
}

// recordsOf counts what can be read of a partition.
func recordsOf(t *testing.T, b *kafkatest.Broker, topic string, partition int32) int {
	t.Helper()
	c := b.Client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, partition)
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
	eachLog(t, func(t *testing.T, b *kafkatest.Broker, partitions int) {
		topic := b.Prefix() + "deleted"
		b.DeleteLater(t, topic)
		l := openLog(t, b, topic, partitions)
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

// Entities are spread over the partitions, as Java's partitioner spreads keys,
// and what a reader finds in the wrong one is not the gateway's.
func TestLogSpreadsEntities(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		const partitions, entities = 4, 40
		topic := b.Prefix() + "spread"
		b.DeleteLater(t, topic)
		l := openLog(t, b, topic, partitions)
		for i := range entities {
			if won, err := l.Write(t.Context(), fmt.Sprint(i), 0, []byte("1")); err != nil || !won {
				t.Fatalf("write: %v, %v", won, err)
			}
		}
		theirs, used := kgo.StickyKeyPartitioner(nil).ForTopic(topic), map[int32]bool{}
		for _, r := range b.Consume(t, topic, entities) {
			entity, _, _ := strings.Cut(string(r.Key), "/")
			if want := int32(theirs.Partition(&kgo.Record{Key: []byte(entity)}, partitions)); r.Partition != want || l.Partition(entity) != want {
				t.Errorf("%s is in partition %d, and said to be in %d, want %d", entity, r.Partition, l.Partition(entity), want)
			}
			used[r.Partition] = true
		}
		if len(used) != partitions {
			t.Errorf("only the partitions %v are used", used)
		}
		misplaced := (l.Partition("7") + 1) % partitions
		b.Produce(t, &kgo.Record{Topic: topic, Partition: misplaced, Key: []byte("7/9/x"), Value: []byte(`{"entity":"7","revision":9,"value":2}`)})
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e := l.state.get("7"); e.Revision != 1 {
			t.Errorf("a record in the wrong partition counts: %+v", e)
		}
	})
}

// Sync means all partitions, also the first time.
func TestLogReadsAllPartitions(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		const partitions, entities = 4, 2000
		topic := b.Topic(t, "all", partitions, map[string]string{"cleanup.policy": "compact"})
		var rs []*kgo.Record
		for i := range entities {
			rs = append(rs, &kgo.Record{
				Topic: topic, Partition: kafka.PartitionOf(fmt.Sprint(i), partitions), Key: fmt.Appendf(nil, "%d/1/x", i),
				Value: fmt.Appendf(nil, `{"entity":"%d","revision":1,"value":%q}`, i, strings.Repeat("v", 1000)),
			})
		}
		b.Produce(t, rs...)
		l := openLog(t, b, topic, partitions)
		for i := range entities {
			if l.state.get(fmt.Sprint(i)).Revision != 1 {
				t.Fatalf("%d is not in the state", i)
			}
		}
		if got := l.Position(0) + l.Position(1) + l.Position(2) + l.Position(3); got < entities {
			t.Errorf("the positions are %d together", got)
		}
	})
}

// A topic with another number of partitions is not taken, and it is said why.
func TestLogOfAnotherCount(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		topic := b.Topic(t, "count", 3, map[string]string{"cleanup.policy": "compact"})
		l := closedLog(t, b, topic, 4)
		kafkatest.Eventually(t, patience, func() error {
			if err := l.Problem(); err == nil || !strings.Contains(err.Error(), "has 3 partitions, and must have 4") {
				return fmt.Errorf("the problem is %v", err)
			}
			return nil
		})
		if l.Ready() {
			t.Error("the log is ready")
		}
	})
}

func TestLogWithoutABroker(t *testing.T) {
	b := kafkatest.Embedded(t)
	l := openLog(t, b, b.Prefix()+"away", 4)
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
