package kafka_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// A reader that goes on where it stopped is given the same consumer, which does
// not ask where anything is, also when others read in between.
func TestReadGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 2)
	topic := b.Topic(t, "goes.on", 3, nil)
	for p := range int32(3) {
		l.put(topic, p, numbers(0, 50)...)
	}
	limit := stream.PageLimit{Records: 10, Bytes: 1 << 20}
	one := []stream.Span{spanOf("goes.on", 0, 0, 50), spanOf("goes.on", 1, 0, 50)}
	other := []stream.Span{spanOf("goes.on", 2, 0, 45)}
	one, other = l.read(limit, one...).Left, l.read(limit, other...).Left

	var asked atomic.Int32
	b.Cluster(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Observe: true, Count: -1, When: func(kmsg.Request) bool {
		asked.Add(1)
		return true
	}})
	for range 2 {
		for range 2 {
			one = l.read(limit, one...).Left
		}
		for range 2 {
			other = l.read(limit, other...).Left
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("Kafka was asked %d times for offsets", n)
	}
	if other[0].From != 45 || one[0].From+one[1].From != 50 {
		t.Errorf("left are %v and %v", one, other)
	}
	l.read(limit, spanOf("goes.on", 2, 3, 5))
	if asked.Load() == 0 {
		t.Error("nobody asked for the offsets of another place, so the count is wrong")
	}
}

// Of several partitions none is always the last, even when each page is another
// consumer's.
func TestReadTakesTurns(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 1)
	topic := b.Topic(t, "turns", 3, nil)
	for p := range int32(3) {
		l.put(topic, p, numbers(0, 500)...)
	}
	limit := stream.PageLimit{Records: 10, Bytes: 1 << 20}
	left := []stream.Span{spanOf("turns", 0, 0, 500), spanOf("turns", 1, 0, 500)}
	for range 25 {
		left = l.read(limit, left...).Left
		l.read(limit, spanOf("turns", 2, 0, 5)) // takes the consumer
	}
	if left[0].From == 0 || left[1].From == 0 || left[0].From+left[1].From != 250 {
		t.Errorf("left are %v", left)
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 1)
	topic := b.Topic(t, "errors", 1, nil)
	l.put(topic, 0, numbers(0, 10)...)
	span := spanOf("errors", 0, 0, 10)
	fault := func(err *kerr.Error, count int) *kfake.FaultHandle {
		return b.Cluster(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: err, Count: count})
	}
	denied := fault(kerr.TopicAuthorizationFailed, -1)
	_, err := l.Read(t.Context(), []stream.Span{span}, wide)
	wantCode(t, err, stream.Forbidden)
	denied.Remove()
	equal(t, "allowed again", 10, len(l.read(wide, span).Records))

	fault(kerr.OffsetOutOfRange, 1)
	equal(t, "an error that is over", 10, len(l.read(wide, span).Records))
	fault(kerr.UnknownTopicOrPartition, 1)
	equal(t, "a topic that is there", 10, len(l.read(wide, span).Records))

	b.Stop(t)
	_, err = l.Read(t.Context(), []stream.Span{span}, wide)
	wantCode(t, err, stream.KafkaUnavailable)
	_, err = l.Bounds(t.Context(), []stream.Partition{part("errors", 0)})
	wantCode(t, err, stream.KafkaUnavailable)
	b.Start(t)
	kafkatest.Eventually(t, patience, l.g.Reachable)
	equal(t, "back", 10, len(l.read(wide, span).Records))
}

// The gateway's end ends pages under way.
func TestReadersClose(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 1)
	topic := b.Topic(t, "close", 1, nil)
	l.put(topic, 0, "a")
	r := kafka.NewReaders(l.g, kafka.ReadersOptions{Topics: stream.Topics{Prefix: b.Prefix()}, Consumers: 1})
	reached, _ := hold(t, b, kmsg.Fetch)
	failed := make(chan error)
	go func() {
		_, err := r.Read(t.Context(), []stream.Span{spanOf("close", 0, 0, 1)}, wide)
		failed <- err
	}()
	select {
	case <-reached:
	case err := <-failed:
		t.Fatal(err)
	}
	started := time.Now()
	go func() { _ = r.Close() }()
	select {
	case err := <-failed:
		wantCode(t, err, stream.KafkaUnavailable)
		t.Logf("it took %v", time.Since(started))
	case <-time.After(patience):
		t.Fatal("the page did not end")
	}
}

func TestReadUncommitted(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 1)
	topic := b.Topic(t, "tx", 1, nil)
	l.transact(topic, kgo.TryAbort, "aborted") // 0, its marker 1
	l.transaction(topic, "open")               // 2
	l.Readers = openReaders(t, b, openCluster(t, b, "read_uncommitted"), 1)
	equal(t, "bounds", []stream.Bounds{{End: 3}}, l.bounds(part("tx", 0)))
	equal(t, "records", []string{"tx/0:0=aborted", "tx/0:2=open"}, short(l.read(wide, spanOf("tx", 0, 0, 3)).Records))
}

// A partition that stands still after an error that was none is taken up again.
func TestTailAfterAnErrorThatIsOver(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 1)
	topic := b.Topic(t, "still", 2, nil)
	l.put(topic, 0, numbers(0, 3)...)
	tl := newTail(t, l)
	tl.add("still", 0, 0)
	tl.add("still", 1, 0)
	tl.want("what is there", "still/0:0=v0>1", "still/0:1=v1>2", "still/0:2=v2>3")
	for i, err := range []*kerr.Error{kerr.OffsetOutOfRange, kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition} {
		b.Cluster(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{0}, Err: err, Count: 1}).Wait(t.Context(), 1)
		l.put(topic, 0, numbers(3+i, 1)...)
		l.put(topic, 1, numbers(i, 1)...)
		got := map[string]bool{}
		for len(got) < 2 {
			for _, f := range tl.Poll(100 * time.Millisecond) {
				if s := gotten(f); f.Lost || got[s] || f.Next != map[int32]int64{0: int64(4 + i), 1: int64(1 + i)}[f.Number] {
					t.Fatalf("%v: got %s after %v", err, s, got)
				} else {
					got[s] = true
				}
			}
		}
	}
}

// A tail goes on after an outage.
func TestTailAfterAnOutage(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 1)
	topic := b.Topic(t, "out", 1, nil)
	tl := newTail(t, l)
	tl.add("out", 0, 0)
	l.put(topic, 0, "a")
	tl.want("before", "out/0:0=a>1")
	b.Stop(t)
	tl.quiet("while it lasts", 300*time.Millisecond)
	tl.add("out", 0, 0)
	b.Start(t)
	l.put(topic, 0, "b")
	tl.want("after", "out/0:0=a>1", "out/0:1=b>2")
}
