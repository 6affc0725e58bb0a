package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// Bounds of a tail: how long Kafka may hold a fetch that finds nothing, which is
// also how long a partition that is added may wait for its first; how much is
// fetched at once, of one partition and in all, and held; how much one Poll
// gives; and how long to wait before it is asked again what became of
// partitions.
const (
	tailFetchWaitMillis = 50
	tailPartitionBytes  = 1 << 20
	tailFetchBytes      = 8 << 20
	tailQueueKBytes     = 16 << 10
	tailBatch           = 1000
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

	next    map[place]*followed
	fetched []stream.Fetched
	lost    []place // found when they were added

	check    partitionCheck
	checking sync.WaitGroup
	ctx      context.Context
	stop     context.CancelFunc
}

// followed is a partition that is followed.
type followed struct {
	stream.Partition

	next int64
}

// NewTail makes a tail that follows nothing yet.
func NewTail(c *Cluster, topics stream.Topics) (*Tail, error) {
	consumer, err := c.consumer(ckafka.ConfigMap{
		"queued.max.messages.kbytes": tailQueueKBytes,
		"max.partition.fetch.bytes":  tailPartitionBytes,
		"fetch.max.bytes":            tailFetchBytes,
		"message.max.bytes":          tailPartitionBytes, // which fetch.max.bytes must not be below
		"fetch.wait.max.ms":          tailFetchWaitMillis,
		"fetch.min.bytes":            1,
		"fetch.queue.backoff.ms":     5, // the default, a second, is how long a full queue would stay unfilled after it was emptied
		"fetch.error.backoff.ms":     50,
	})
	if err != nil {
		return nil, err
	}
	t := &Tail{cluster: c, topics: topics, consumer: consumer, next: map[place]*followed{}}
	t.check.answers = make(chan checked, 1)
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t, nil
}

// Close ends the tail.
func (t *Tail) Close() error {
	t.stop()
	t.checking.Wait()
	return t.consumer.Close()
}

// Add follows more partitions, each from an offset on; one that is followed
// already goes on there. A partition that does not exist, or begins after that
// offset, is told as Lost by the next Poll.
//
// It asks Kafka where the partitions are, and delivers nothing meanwhile: a few
// milliseconds as a rule, two seconds when Kafka does not answer.
func (t *Tail) Add(ats []stream.At) error {
	places := make([]place, len(ats))
	known := make([]stream.Partition, 0, len(ats))
	for i, at := range ats {
		places[i] = place{t.topics.Topic(at.Stream), at.Number}
		known = append(known, at.Partition)
	}
	if err := t.Drop(known); err != nil || len(ats) == 0 {
		return err
	}
	begins, err := locate(t.ctx, t.consumer, places)
	if err != nil {
		begins = nil // librdkafka finds them itself, later
	}
	parts := make([]ckafka.TopicPartition, 0, len(ats))
	for i, at := range ats {
		t.next[places[i]] = &followed{at.Partition, at.Offset}
		if b := begins[places[i]]; b.err != nil || at.Offset < b.value {
			t.lost = append(t.lost, places[i])
			continue
		}
		parts = append(parts, places[i].at(at.Offset))
	}
	if len(parts) == 0 {
		return nil
	}
	return t.assigned(t.consumer.IncrementalAssign(parts))
}

// Drop follows partitions no more: nothing of them is given any more. Those that
// are not followed are passed over.
func (t *Tail) Drop(partitions []stream.Partition) error {
	parts := make([]ckafka.TopicPartition, 0, len(partitions))
	for _, p := range partitions {
		at := place{t.topics.Topic(p.Stream), p.Number}
		if t.next[at] != nil && !t.forget(at) {
			parts = append(parts, at.at(0))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return t.assigned(t.consumer.IncrementalUnassign(parts))
}

// forget takes a partition off the list, and says whether it was lost already
// when it was added, so that it is not assigned.
func (t *Tail) forget(at place) (unassigned bool) {
	delete(t.next, at)
	for i, l := range t.lost {
		if l == at {
			t.lost = slices.Delete(t.lost, i, i+1)
			return true
		}
	}
	return false
}

func (t *Tail) assigned(err error) error {
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
	t.tellLost()
	t.settle()
	deadline := time.Now().Add(d)
	for len(t.fetched) < tailBatch {
		wait := 0
		if len(t.fetched) == 0 {
			wait = max(0, int(time.Until(deadline).Milliseconds()))
		}
		ev := t.consumer.Poll(wait)
		if ev == nil {
			break
		}
		t.take(ev)
	}
	return t.fetched
}

func (t *Tail) tellLost() {
	for _, at := range t.lost {
		t.fetched = append(t.fetched, stream.Fetched{Partition: t.next[at].Partition, Next: t.next[at].next, Lost: true})
		delete(t.next, at)
	}
	t.lost = t.lost[:0]
}

// take takes one event. What is told of partitions that are not followed, or
// lies before the place where one goes on, is passed over.
func (t *Tail) take(ev ckafka.Event) {
	switch ev := ev.(type) {
	case *ckafka.Message:
		f := t.next[placeOf(ev.TopicPartition)]
		if f == nil || int64(ev.TopicPartition.Offset) < f.next {
			return
		}
		r := record(f.Stream, ev)
		f.next = r.Offset + 1
		t.fetched = append(t.fetched, stream.Fetched{Partition: f.Partition, Record: &r, Next: f.next})
	case ckafka.PartitionEOF:
		f := t.next[placeOf(ckafka.TopicPartition(ev))]
		if f == nil || int64(ev.Offset) <= f.next {
			return
		}
		f.next = int64(ev.Offset)
		t.fetched = append(t.fetched, stream.Fetched{Partition: f.Partition, Next: f.next})
	case ckafka.Error:
		t.failure(ev)
	case ckafka.OAuthBearerTokenRefresh:
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
