package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// Bounds of a tail: how long Kafka may hold a fetch that finds nothing, which is
// also how long a partition that is added may wait for its first; how much is
// fetched at once, of one partition and in all, and held; how much one Poll
// gives; for how many milliseconds it does not look at answers; and how long to
// wait before it is asked again what became of partitions.
const (
	tailFetchWaitMillis = 250
	tailPartitionBytes  = 1 << 20
	tailFetchBytes      = 8 << 20
	tailQueueKBytes     = 16 << 10
	tailBatch           = 1000
	answerPoll          = 5
	checkAgain          = 250 * time.Millisecond
)

// Tail follows partitions live: it gives what comes after an offset of each, as
// it comes. One goroutine uses it; its methods must not be called at once.
//
// It knows topics by their names alone. When a topic is deleted and made again
// at once, it may go on in the new one: who follows must compare the ids that
// Layouts gives, and Drop and Add.
type Tail struct {
	cluster  *Cluster
	topics   stream.Topics
	consumer *ckafka.Consumer
	number   int64 // of the credentials that it has

	next    map[place]*followed
	fetched []stream.Fetched

	located  chan located // what was asked for Add
	locating int          // how many answers are to come
	check    partitionCheck
	asking   sync.WaitGroup
	ctx      context.Context
	stop     context.CancelFunc
}

// followed is a partition that is followed. It is assigned to the consumer a
// moment after it was added.
type followed struct {
	stream.Partition

	next     int64
	assigned bool
}

// NewTail makes a tail that follows nothing yet.
func NewTail(c *Cluster, topics stream.Topics) (*Tail, error) {
	number := c.creds.number()
	consumer, err := c.tailConsumer()
	if err != nil {
		return nil, err
	}
	t := &Tail{cluster: c, topics: topics, consumer: consumer, number: number, next: map[place]*followed{}}
	t.located, t.check.answers = make(chan located, 1), make(chan checked, 1)
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t, nil
}

func (c *Cluster) tailConsumer() (*ckafka.Consumer, error) {
	return c.consumer(ckafka.ConfigMap{
		"statistics.interval.ms":     c.statisticsInterval(),
		"queued.max.messages.kbytes": tailQueueKBytes,
		"max.partition.fetch.bytes":  tailPartitionBytes,
		"fetch.max.bytes":            tailFetchBytes,
		"message.max.bytes":          tailPartitionBytes, // which fetch.max.bytes must not be below
		"fetch.wait.max.ms":          tailFetchWaitMillis,
		"fetch.min.bytes":            1,
		"fetch.queue.backoff.ms":     5, // the default, a second, is how long a full queue would stay unfilled after it was emptied
		"fetch.error.backoff.ms":     50,
	})
}

// renew goes on with a consumer that has the credentials there are now. What
// was fetched and not given yet is fetched again. A consumer that somebody asks
// through stays a moment longer.
func (t *Tail) renew() {
	if t.locating > 0 {
		return
	}
	number := t.cluster.creds.number()
	next, err := t.cluster.tailConsumer()
	if err != nil {
		t.cluster.log.Error("the tail keeps its credentials", slog.Any("error", err))
		t.number = number
		return
	}
	old := t.consumer
	t.consumer, t.number = next, number
	if err := t.restart(); err != nil {
		t.cluster.log.Error("the tail's assignment could not be changed", slog.Any("error", err))
	}
	t.asking.Go(func() { _ = old.Close() }) // nothing of it is wanted any more
}

// Close ends the tail. It may take two seconds where Kafka does not answer.
func (t *Tail) Close() error {
	t.stop()
	t.asking.Wait()
	return t.consumer.Close()
}

// Add follows more partitions, each once and from an offset on; one that is
// followed already goes on there. A partition that does not exist, or begins after
// that offset or ends before it, is told as Lost by a later Poll.
func (t *Tail) Add(ats []stream.At) error {
	known := make([]stream.Partition, len(ats))
	for i, at := range ats {
		known[i] = at.Partition
	}
	if err := t.Drop(known); err != nil || len(ats) == 0 {
		return err
	}
	added := make(map[place]*followed, len(ats))
	for _, at := range ats {
		p, f := t.place(at.Partition), &followed{Partition: at.Partition, next: at.Offset}
		added[p], t.next[p] = f, f
	}
	t.locate(added)
	return nil
}

// Drop follows partitions no more: nothing of them is given any more. Those that
// are not followed are passed over.
func (t *Tail) Drop(partitions []stream.Partition) error {
	parts := make([]ckafka.TopicPartition, 0, len(partitions))
	for _, p := range partitions {
		at := t.place(p)
		if f := t.next[at]; f != nil && f.assigned {
			parts = append(parts, at.at(0))
		}
		delete(t.next, at)
	}
	if len(parts) == 0 {
		return nil
	}
	return changed(t.consumer.IncrementalUnassign(parts))
}

func (t *Tail) place(p stream.Partition) place { return place{t.topics.Topic(p.Stream), p.Number} }

func changed(err error) error {
	if err != nil {
		return toError(fmt.Errorf("change what the tail follows: %w", err))
	}
	return nil
}

// Poll gives what has come, up to about a thousand things; it waits for the
// first at most d. The slice is good until the next call, the records in it for
// ever.
func (t *Tail) Poll(d time.Duration) []stream.Fetched {
	t.fetched = t.fetched[:0]
	if t.cluster.stale(t.number) {
		t.renew()
	}
	for deadline := time.Now().Add(d); len(t.fetched) < tailBatch; {
		t.settle()
		ev := t.consumer.Poll(t.patience(deadline))
		if ev != nil {
			t.take(ev)
		} else if len(t.fetched) > 0 || !time.Now().Before(deadline) {
			break
		}
	}
	return t.fetched
}

// patience says for how many milliseconds to wait for an event: not at all when
// there is something to give already, and not for long while an answer that
// changes what is followed is to come.
func (t *Tail) patience(deadline time.Time) int {
	switch left := int((time.Until(deadline) + time.Millisecond - 1).Milliseconds()); { // rounded up, or the last millisecond is spent asking
	case len(t.fetched) > 0:
		return 0
	case t.locating > 0 || t.check.asking:
		return max(0, min(left, answerPoll))
	default:
		return max(0, left)
	}
}

// tellLost gives the news that a partition is lost.
func (t *Tail) tellLost(at place) {
	f := t.next[at]
	t.fetched = append(t.fetched, stream.Fetched{Partition: f.Partition, Next: f.next, Lost: true})
}

// take takes one event. What is told of partitions that are not followed, or
// lies before the place where one goes on, is passed over.
func (t *Tail) take(ev ckafka.Event) {
	switch ev := ev.(type) {
	case *ckafka.Message:
		f := t.next[placeOf(ev.TopicPartition)]
		if f == nil || !f.assigned || int64(ev.TopicPartition.Offset) < f.next {
			return
		}
		r := record(f.Stream, ev)
		f.next = r.Offset + 1
		t.fetched = append(t.fetched, stream.Fetched{Partition: f.Partition, Record: &r, Next: f.next})
	case ckafka.PartitionEOF:
		f := t.next[placeOf(ckafka.TopicPartition(ev))]
		if f == nil || !f.assigned || int64(ev.Offset) <= f.next {
			return
		}
		f.next = int64(ev.Offset)
		t.fetched = append(t.fetched, stream.Fetched{Partition: f.Partition, Next: f.next})
	case ckafka.Error:
		t.failure(ev)
	case ckafka.OAuthBearerTokenRefresh, *ckafka.Stats:
		t.cluster.event("tail", t.consumer, ev)
	}
}

func (t *Tail) failure(err ckafka.Error) {
	switch {
	case is(err, standsStill...):
		t.check.wanted, t.check.still = true, true
	case is(err, mayBeGone...), is(err, ckafka.ErrTopicAuthorizationFailed):
		t.check.wanted = true
	default:
		t.cluster.event("tail", t.consumer, err)
	}
}
