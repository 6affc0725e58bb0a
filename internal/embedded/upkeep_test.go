package embedded_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/embedded"
	"sluice/internal/kafkatest"
)

const (
	patience = 20 * time.Second
	day      = 24 * time.Hour
)

func withUpkeep(t *testing.T) *kafkatest.Broker {
	return kafkatest.EmbeddedWith(t, embedded.Options{Upkeep: 20 * time.Millisecond})
}

// rec is a record of a given age.
func rec(topic, key, value string, age time.Duration) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value), Timestamp: time.Now().Add(-age)}
}

// waitForStart waits until the log of partition 0 starts at want.
func waitForStart(t *testing.T, b *kafkatest.Broker, topic string, want int64) {
	t.Helper()
	kafkatest.Eventually(t, patience, func() error {
		if got := b.Cluster(t).PartitionInfo(topic, 0).LogStartOffset; got != want {
			return fmt.Errorf("%s starts at %d, want %d", topic, got, want)
		}
		return nil
	})
}

func TestRetentionDeletesOnlyWhatIsOldAndInFront(t *testing.T) {
	b := withUpkeep(t)
	topic := b.Topic(t, "mixed", 1, map[string]string{"retention.ms": "3600000"})
	for _, r := range []*kgo.Record{
		rec(topic, "a", "old", day),
		rec(topic, "b", "old", day),
		rec(topic, "c", "young", 0),
		rec(topic, "d", "old, behind a young one", day),
		rec(topic, "e", "young", 0),
		rec(topic, "f", "old, at the end", day),
	} {
		b.Produce(t, r)
	}
	waitForStart(t, b, topic, 2)
	if got := len(b.Consume(t, topic, 4)); got != 4 {
		t.Errorf("got %d records", got)
	}

	// With nothing young left, the newest stays.
	old := b.Topic(t, "old", 1, nil)
	b.Produce(t, rec(old, "a", "x", 8*day), rec(old, "b", "x", 30*day), rec(old, "c", "x", 30*day))
	waitForStart(t, b, old, 2)
}

func TestRetentionLeavesTheRestAlone(t *testing.T) {
	b := withUpkeep(t)
	compacted := b.Topic(t, "compacted", 1, map[string]string{"cleanup.policy": "compact", "retention.ms": "1000"})
	forever := b.Topic(t, "forever", 1, map[string]string{"retention.ms": "-1"})
	usual := b.Topic(t, "usual", 1, nil)
	for _, topic := range []string{compacted, forever} {
		b.Produce(t, rec(topic, "a", "x", 30*day), rec(topic, "b", "x", 30*day))
	}
	b.Produce(t, rec(usual, "a", "x", 6*day))
	// A topic that does expire tells when the upkeep has gone round after all
	// that, twice, whatever the order in which it visits topics.
	for _, name := range []string{"first", "second"} {
		old := b.Topic(t, name, 1, nil)
		b.Produce(t, rec(old, "a", "x", 8*day), rec(old, "a", "y", 8*day))
		waitForStart(t, b, old, 1)
	}
	for _, topic := range []string{compacted, forever, usual} {
		waitForStart(t, b, topic, 0)
	}
}

// The upkeep asks twice about a log without young records. A young record that
// arrives between the two questions must not be taken for an old one.
func TestRetentionSparesWhatArrivesMeanwhile(t *testing.T) {
	b := withUpkeep(t)
	cluster := b.Cluster(t)
	topic := b.Prefix() + "x"
	between := make(chan struct{})
	cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		for _, rt := range r.(*kmsg.ListOffsetsRequest).Topics {
			if rt.Topic == topic && rt.Partitions[0].Timestamp == -1 {
				cluster.DropControl()
				cluster.SleepControl(func() {
					b.Produce(t, rec(topic, "k", "young", 0))
					close(between)
				})
			}
		}
		return nil, nil, false
	})
	b.Topic(t, "x", 1, nil)
	select {
	case <-between:
	case <-time.After(patience):
		t.Fatal("the upkeep did not ask for the end of the log")
	}
	old := b.Topic(t, "old", 1, nil)
	b.Produce(t, rec(old, "a", "x", 8*day), rec(old, "a", "y", 8*day))
	waitForStart(t, b, old, 1) // the upkeep has gone round
	waitForStart(t, b, topic, 0)
}

func TestRetentionBySize(t *testing.T) {
	b := withUpkeep(t)
	topic := b.Topic(t, "x", 1, map[string]string{"retention.bytes": "3000"})
	for range 10 {
		b.Produce(t, rec(topic, "k", string(make([]byte, 900)), 0))
	}
	kafkatest.Eventually(t, patience, func() error {
		if p := b.Cluster(t).PartitionInfo(topic, 0); p.NumBytes > 3000 || p.HighWatermark != 10 {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
}

func TestCompaction(t *testing.T) {
	b := withUpkeep(t)
	topic := b.Topic(t, "x", 1, map[string]string{"cleanup.policy": "compact"})
	for i := range 20 {
		b.Produce(t, rec(topic, "k", fmt.Sprint(i), 0))
	}
	b.Produce(t, rec(topic, "last", "x", 0))
	kafkatest.Eventually(t, patience, func() error {
		var got []string
		b.Produce(t, rec(topic, "last", "x", 0)) // the last batch is never compacted
		for _, r := range b.Consume(t, topic, 2) {
			got = append(got, string(r.Key)+"="+string(r.Value))
		}
		if diff := cmp.Diff([]string{"k=19", "last=x"}, got); diff != "" {
			return fmt.Errorf("%s", diff)
		}
		return nil
	})
}

func TestCompactionWaitsForTransactions(t *testing.T) {
	b := withUpkeep(t)
	topic := b.Topic(t, "x", 1, map[string]string{"cleanup.policy": "compact"})
	b.Produce(t, rec(topic, "k", "committed", 0))

	tx := b.Client(t, kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := tx.ProduceSync(t.Context(), rec(topic, "k", "aborted", 0)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	old := b.Topic(t, "old", 1, nil)
	b.Produce(t, rec(old, "a", "x", 8*day), rec(old, "a", "y", 8*day))
	waitForStart(t, b, old, 1) // the upkeep has gone round
	if err := tx.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if got := string(b.Consume(t, topic, 1)[0].Value); got != "committed" {
		t.Errorf("got %q", got)
	}
}
