package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// logRetry is the pause before another attempt to read the log; it doubles up
// to logRetryMax while attempts fail. logPoll is one wait for records: how long
// it takes at most to notice that the log is closed.
const (
	logRetry    = 50 * time.Millisecond
	logRetryMax = 5 * time.Second
	logPoll     = 500 * time.Millisecond
)

// follow reads the log from its beginning, and again from its beginning
// whenever it turns out to be another one: deleted, cut off, tampered with.
func (l *Log) follow() {
	wait, told := logRetry, ""
	for l.stopped.Err() == nil {
		if l.Cluster.Reachable() != nil {
			pause(l.stopped, logRetry)
			continue
		}
		read, err := l.read()
		if l.stopped.Err() != nil {
			return
		}
		if read {
			wait, told = logRetry, ""
		}
		if text := err.Error(); text != told {
			l.log.Warn("reading the log anew", slog.Any("error", err))
			told = text
		}
		l.problem.Store(toError(err))
		pause(l.stopped, wait)
		wait = min(2*wait, logRetryMax)
	}
}

// read makes sure the topic is there and applies its records until an error
// makes a new beginning necessary. It tells whether it came so far as to read.
func (l *Log) read() (began bool, err error) {
	begins, ends, err := l.prepare()
	if err != nil {
		return false, err
	}
	l.restart(begins)
	for l.stopped.Err() == nil && err == nil {
		var assigned bool
		assigned, err = l.readOn(ends)
		began = began || assigned
	}
	return began, err
}

// readOn reads from where the log is, until an error, or until there are other
// credentials. It tells whether it came so far as to read.
func (l *Log) readOn(ends []int64) (began bool, err error) {
	number := l.Cluster.creds.number()
	c, err := l.Cluster.consumer(ckafka.ConfigMap{
		"isolation.level":                    "read_uncommitted",
		"fetch.wait.max.ms":                  500,
		"topic.metadata.refresh.interval.ms": 2000, // to notice when the topic is deleted
	})
	if err != nil {
		return false, err
	}
	defer func() {
		if err := c.Close(); err != nil {
			l.log.Warn("cannot close the log's consumer", slog.Any("error", err))
		}
	}()
	if err := c.Assign(l.from(l.nexts())); err != nil {
		return false, err
	}
	l.problem.Store(nil)
	for l.stopped.Err() == nil && !l.Cluster.stale(number) {
		l.announce(ends)
		if err := l.take(c, c.Poll(int(logPoll.Milliseconds()))); err != nil {
			return true, err
		}
	}
	return true, nil
}

// nexts gives the next offsets to read.
func (l *Log) nexts() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.next)
}

// prepare gives the log's bounds; it makes the topic if there is none.
func (l *Log) prepare() (begins, ends []int64, err error) {
	ctx, cancel := context.WithTimeout(l.stopped, adminTimeout)
	defer cancel()
	if err := l.Admin.ensureLog(ctx, l.Topic, l.Partitions); err != nil {
		return nil, nil, err
	}
	if err := l.Producer.Refresh(ctx, l.Topic); err != nil {
		return nil, nil, err
	}
	if ends, err = l.ends(ctx); err != nil {
		return nil, nil, err
	}
	begins, err = l.offsets(ctx, ckafka.EarliestOffsetSpec)
	return begins, ends, err
}

// ends asks how far the log goes, in all partitions at once.
func (l *Log) ends(ctx context.Context) ([]int64, error) {
	return l.offsets(ctx, ckafka.LatestOffsetSpec)
}

func (l *Log) offsets(ctx context.Context, spec ckafka.OffsetSpec) ([]int64, error) {
	places := make([]place, l.Partitions)
	for i := range places {
		places[i] = place{l.Topic, int32(i)}
	}
	found, err := l.Cluster.listOffsets(ctx, places, spec, readUncommitted)
	if err != nil {
		return nil, err
	}
	offsets := make([]int64, len(places))
	for i, p := range places {
		if offsets[i], err = found[p].value, found[p].err; err != nil {
			return nil, err
		}
	}
	return offsets, nil
}

// from names where reading begins in librdkafka's way.
func (l *Log) from(offsets []int64) []ckafka.TopicPartition {
	all := make([]ckafka.TopicPartition, len(offsets))
	for i, o := range offsets {
		all[i] = place{l.Topic, int32(i)}.at(o)
	}
	return all
}

// restart forgets the state, to read from offsets on.
func (l *Log) restart(offsets []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetAll(offsets)
	l.state.Reset()
	l.changed()
}

// forgetAll makes new replicas. The lock is held, or nobody has the log yet.
func (l *Log) forgetAll(offsets []int64) {
	l.next = slices.Clone(offsets)
	l.replicas = make([]*replica, len(offsets))
	for i := range l.replicas {
		l.replicas[i] = newReplica()
		l.replicas[i].foreign = func(entity string) bool { return l.Partition(entity) != int32(i) }
	}
}

// move sets a partition's next offset. The lock is held.
func (l *Log) move(partition int32, offset int64) {
	l.next[partition] = offset
	l.changed()
}

// changed wakes those who wait for an offset. The lock is held.
func (l *Log) changed() {
	var sum int64
	for _, n := range l.next {
		sum += n
	}
	l.Cluster.metrics.logOffset.WithLabelValues(l.Topic).Set(float64(sum))
	close(l.moved)
	l.moved = make(chan struct{})
}

// reached says whether everything before the offsets is read. The lock is held.
func (l *Log) reached(ends []int64) bool {
	for i, end := range ends {
		if l.next[i] < end {
			return false
		}
	}
	return true
}

// announce opens Ready once what was in the log at the start is read.
func (l *Log) announce(ends []int64) {
	if l.Ready() {
		return
	}
	l.mu.Lock()
	read := l.reached(ends)
	l.mu.Unlock()
	if read {
		l.log.Info("log read", slog.Any("offsets", ends))
		close(l.ready)
	}
}

// take applies one event of the consumer. An error means a new beginning.
func (l *Log) take(c *ckafka.Consumer, ev ckafka.Event) error {
	switch ev := ev.(type) {
	case *ckafka.Message:
		if err := ev.TopicPartition.Error; err != nil {
			return err
		}
		return l.apply(ev)
	case ckafka.PartitionEOF:
		l.mu.Lock()
		defer l.mu.Unlock()
		if end := int64(ev.Offset); end > l.next[ev.Partition] {
			l.move(ev.Partition, end) // compaction took the last records
		}
	case ckafka.Error:
		l.Cluster.event("log", c, ev)
		if is(ev, ckafka.ErrUnknownTopicOrPart, ckafka.ErrUnknownTopic, ckafka.ErrUnknownPartition, ckafka.ErrUnknownTopicID,
			ckafka.ErrAutoOffsetReset, ckafka.ErrOffsetOutOfRange, ckafka.ErrTopicAuthorizationFailed) || ev.IsFatal() {
			return ev
		}
	case ckafka.OAuthBearerTokenRefresh:
		l.Cluster.event("log", c, ev)
	}
	return nil
}

func (l *Log) apply(m *ckafka.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	partition, offset := m.TopicPartition.Partition, int64(m.TopicPartition.Offset)
	entry, changed, err := l.replicas[partition].apply(offset, string(m.Key), m.Value)
	if v := l.verdicts[string(m.Key)]; v != nil && m.Value != nil {
		*v = verdict{seen: true, won: changed}
	}
	switch {
	case err != nil:
		l.log.Error("a record of the log is not the gateway's; it is passed over", slog.Any("error", err))
	case changed && m.Value == nil:
		return fmt.Errorf("the record that counts under the key %q was tombstoned by somebody else", m.Key)
	case changed:
		l.state.Apply(entry)
	}
	l.move(partition, offset+1)
	return nil
}
