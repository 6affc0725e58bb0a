package kafka_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// tail is a Tail, and what it gave.
type tail struct {
	*kafka.Tail
	t testing.TB
}

func newTail(t *testing.T, l *library) *tail {
	t.Helper()
	tl, err := kafka.NewTail(l.g, stream.Topics{Prefix: l.broker.Prefix()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tl.Close(); err != nil {
			t.Error(err)
		}
	})
	return &tail{tl, t}
}

func (l *tail) add(id string, number int32, offset int64) {
	l.t.Helper()
	if err := l.Add([]stream.At{{Partition: part(id, number), Offset: offset}}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *tail) drop(id string, number int32) {
	l.t.Helper()
	if err := l.Drop([]stream.Partition{part(id, number)}); err != nil {
		l.t.Fatal(err)
	}
}

// got writes a fetched thing as partition:offset=value>next, "lost" or a bare
// ">next".
func gotten(f stream.Fetched) string {
	switch {
	case f.Lost:
		return fmt.Sprintf("%s/%d lost at %d", f.Stream, f.Number, f.Next)
	case f.Record == nil:
		return fmt.Sprintf("%s/%d>%d", f.Stream, f.Number, f.Next)
	default:
		return fmt.Sprintf("%s/%d:%d=%s>%d", f.Stream, f.Number, f.Record.Offset, f.Record.Value, f.Next)
	}
}

// want polls until that much came, and a moment longer, and compares.
func (l *tail) want(what string, want ...string) {
	l.t.Helper()
	var got []string
	deadline := time.Now().Add(patience)
	for len(got) < len(want) && time.Now().Before(deadline) {
		for _, f := range l.Poll(100 * time.Millisecond) {
			got = append(got, gotten(f))
		}
	}
	for _, f := range l.Poll(0) {
		got = append(got, gotten(f))
	}
	equal(l.t, what, want, got)
}

// quiet checks that nothing comes for a while.
func (l *tail) quiet(what string, d time.Duration) {
	l.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, f := range l.Poll(20 * time.Millisecond) {
			l.t.Fatalf("%s: got %s", what, gotten(f))
		}
	}
}

func TestTailFollows(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 1)
		first, second := b.Topic(t, "first", 2, nil), b.Topic(t, "second", 1, nil)
		l.put(first, 0, numbers(0, 3)...)
		tl := newTail(t, l)
		tl.add("first", 0, 1)
		tl.want("what is there", "first/0:1=v1>2", "first/0:2=v2>3")
		l.put(first, 0, "v3")
		tl.want("what comes", "first/0:3=v3>4")
		tl.add("second", 0, 0)
		tl.add("first", 1, 0)
		l.put(second, 0, "a")
		tl.want("another topic", "second/0:0=a>1")
		l.put(first, 1, "b")
		tl.want("another partition", "first/1:0=b>1")

		tl.drop("first", 0)
		tl.drop("first", 0)
		tl.drop("nowhere", 0)
		l.put(first, 0, "v4")
		l.put(first, 1, "c")
		tl.want("not what was dropped", "first/1:1=c>2")
		tl.add("first", 0, 3)
		tl.want("taken up again", "first/0:3=v3>4", "first/0:4=v4>5")
		tl.add("first", 0, 2)
		tl.want("moved", "first/0:2=v2>3", "first/0:3=v3>4", "first/0:4=v4>5")
		tl.quiet("at the end", 300*time.Millisecond)
	})
}

// What was fetched of a partition before it was dropped does not come any more.
func TestTailDropsWhatIsQueued(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 1)
		topic := b.Topic(t, "queue", 2, nil)
		l.put(topic, 0, numbers(0, 3000)...)
		l.put(topic, 1, numbers(0, 3000)...)
		tl := newTail(t, l)
		if err := tl.Add([]stream.At{{Partition: part("queue", 0)}, {Partition: part("queue", 1)}}); err != nil {
			t.Fatal(err)
		}
		next := map[int32]int64{}
		take := func() {
			for _, f := range tl.Poll(100 * time.Millisecond) {
				if f.Record == nil || f.Record.Offset != next[f.Number] {
					t.Fatalf("got %s, want offset %d", gotten(f), next[f.Number])
				}
				next[f.Number] = f.Next
			}
		}
		for next[0]+next[1] == 0 {
			take()
		}
		tl.drop("queue", 0)
		before := next[0]
		for next[1] < 3000 {
			take()
		}
		if next[0] != before {
			t.Errorf("after it was dropped the partition went on from %d to %d", before, next[0])
		}
		tl.add("queue", 0, before)
		for next[0] < 3000 {
			take()
		}
	})
}

// A tail passes over what was aborted and the markers, and waits for what is
// open.
func TestTailOfTransactions(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 1)
		topic := b.Topic(t, "tx", 1, nil)
		tl := newTail(t, l)
		tl.add("tx", 0, 0)
		l.transact(topic, kgo.TryAbort, "aborted") // 0, its marker 1
		tl.want("aborted", "tx/0>2")
		l.transact(topic, kgo.TryCommit, "a", "b") // 2, 3, its marker 4
		tl.want("committed", "tx/0:2=a>3", "tx/0:3=b>4", "tx/0>5")
		open := l.transaction(topic, "c") // 5
		l.put(topic, 0, "plain")          // 6
		tl.quiet("open", 300*time.Millisecond)
		if err := open.EndTransaction(t.Context(), kgo.TryCommit); err != nil { // 7
			t.Fatal(err)
		}
		tl.want("closed", "tx/0:5=c>6", "tx/0:6=plain>7", "tx/0>8")
	})
}

func TestTailLoses(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 1)
		topic, other := b.Topic(t, "lost", 3, nil), b.Topic(t, "other", 1, nil)
		l.put(topic, 0, numbers(0, 20)...)
		l.put(topic, 1, numbers(0, 20)...)
		l.deleteBefore(topic, 0, 10)
		tl := newTail(t, l)
		tl.add("other", 0, 0)
		tl.add("lost", 0, 5)
		tl.want("behind the beginning", "lost/0 lost at 5")
		tl.add("lost", 1, 25)
		tl.want("beyond the end", "lost/1 lost at 25")
		tl.add("lost", 7, 0)
		tl.want("no such partition", "lost/7 lost at 0")
		tl.add("nowhere", 0, 0)
		tl.want("no such stream", "nowhere/0 lost at 0")
		tl.add("lost", 7, 0)
		tl.drop("lost", 7)
		tl.quiet("lost and dropped", 100*time.Millisecond)

		tl.add("lost", 1, 20)
		tl.add("lost", 2, 0)
		l.put(topic, 2, "x")
		tl.want("what is there goes on", "lost/2:0=x>1")
		l.remove("lost")
		got := map[string]bool{}
		kafkatest.Eventually(t, patience, func() error {
			for _, f := range tl.Poll(0) {
				if s := gotten(f); got[s] {
					t.Fatalf("%s came twice", s)
				} else {
					got[s] = true
				}
			}
			if !got["lost/1 lost at 20"] || !got["lost/2 lost at 1"] || len(got) != 2 {
				return fmt.Errorf("got %v", got)
			}
			return nil
		})
		l.put(other, 0, "y")
		tl.want("the others go on", "other/0:0=y>1")
		tl.quiet("lost once", 1500*time.Millisecond)

		l.create("lost", 3)
		l.put(topic, 1, "new")
		tl.add("lost", 1, 0)
		tl.want("made again", "lost/1:0=new>1")
	})
}

// A topic that is made anew with fewer records than were read is lost.
func TestTailOfATopicMadeAnew(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 1)
		topic := b.Topic(t, "anew", 1, nil)
		l.put(topic, 0, numbers(0, 20)...)
		tl := newTail(t, l)
		tl.add("anew", 0, 19)
		tl.want("its last", "anew/0:19=v19>20")
		if _, err := l.admin.DeleteTopics(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, patience, func() error {
			_, err := l.admin.CreateTopic(t.Context(), 1, 1, nil, topic)
			return err
		})
		l.put(topic, 0, numbers(0, 3)...)
		tl.want("lost", "anew/0 lost at 20")
	})
}

// Partitions that were added to a topic which the tail knows are followed at
// once, not after a scan.
func TestTailOfAddedPartitions(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 1)
		topic := b.Topic(t, "grows", 1, nil)
		tl := newTail(t, l)
		tl.add("grows", 0, 0)
		if err := l.topics.AddPartitions(t.Context(), topic, 2); err != nil {
			t.Fatal(err)
		}
		l.put(topic, 1, "x")
		started := time.Now()
		tl.add("grows", 1, 0)
		tl.want("added", "grows/1:0=x>1")
		t.Logf("it took %v", time.Since(started)) // a scan would take a second
	})
}

// A tail that is behind gives everything in order, whatever the size.
func TestTailOfBigRecords(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 1)
		topic := b.Topic(t, "big", 1, map[string]string{"max.message.bytes": "4000000"})
		c := b.Client(t, kgo.ProducerBatchMaxBytes(3_500_000), kgo.DefaultProduceTopic(topic))
		if err := c.ProduceSync(t.Context(), kgo.StringRecord(strings.Repeat("x", 3_000_000)), kgo.StringRecord("small")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		tl := newTail(t, l)
		tl.add("big", 0, 0)
		tl.want("big", "big/0:0="+strings.Repeat("x", 3_000_000)+">1", "big/0:1=small>2")
	})
}
