package kafka

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// logRetry is the pause before another attempt to read the log; it doubles up
// to logRetryMax while attempts fail.
const (
	logRetry    = 50 * time.Millisecond
	logRetryMax = 5 * time.Second
)

// LogOptions is what a Log needs.
type LogOptions struct {
	Topic    string // compacted, of one partition; made if there is none
	Cluster  *Cluster
	Producer *Producer
	Admin    *Admin
}

// Log is a replicated log: state that all gateways share, kept in one compacted
// topic and in the memory of each. A write that succeeded is seen by every
// gateway that calls Sync afterwards.
type Log struct {
	LogOptions
	log   *slog.Logger
	state stream.State
	ready chan struct{} // closed when the log was read to its end for the first time

	problem atomic.Pointer[stream.Error] // why the log cannot be read at the moment; nil while it is

	mu       sync.Mutex
	replica  *replica
	verdicts map[string]*verdict // of writes that wait to be read back, by key
	position int64               // the next offset to read
	moved    chan struct{}       // closed and renewed when position grows
	next     *barrier            // asked for, not yet under way
	syncing  bool

	running sync.WaitGroup
	stop    context.CancelFunc
	stopped context.Context
}

// verdict is whether a write counted when its record was read back. It is
// decided there and then: later another writer may have built upon it.
type verdict struct{ seen, won bool }

// barrier is one reading to the end of the log, shared by all who asked before
// it began.
type barrier struct {
	done chan struct{}
	err  error
}

// NewLog makes a log that keeps state up to date once Start is called.
func NewLog(o LogOptions, state stream.State) *Log {
	l := &Log{
		LogOptions: o,
		log:        o.Cluster.log.With(slog.String("log", o.Topic)),
		state:      state,
		ready:      make(chan struct{}),
		replica:    newReplica(),
		verdicts:   map[string]*verdict{},
		moved:      make(chan struct{}),
	}
	l.stopped, l.stop = context.WithCancel(context.Background())
	return l
}

// Start begins to read. Until Kafka can be reached and the log was read to its
// end, Ready says no and Sync fails.
func (l *Log) Start() { l.running.Go(l.follow) }

// Close stops reading.
func (l *Log) Close() {
	l.stop()
	l.running.Wait()
}

// Ready says whether the log was read to its end once.
func (l *Log) Ready() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

// Problem gives the reason why the log cannot be read at the moment, as it may
// be told to clients, or nil.
func (l *Log) Problem() error {
	if e := l.problem.Load(); e != nil {
		return e
	}
	return nil
}

// Sync returns when everything that was in the log at the time of the call is
// in the state. Calls at the same time share one question to Kafka, never one
// that was under way already. The error is KafkaUnavailable.
func (l *Log) Sync(ctx context.Context) error {
	if err := l.Cluster.Reachable(); err != nil {
		return err
	}
	l.mu.Lock()
	b := l.next
	if b == nil {
		b = &barrier{done: make(chan struct{})}
		l.next = b
	}
	if !l.syncing {
		l.syncing = true
		l.running.Go(l.syncAll)
	}
	l.mu.Unlock()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ended(ctx)
	}
}

// syncAll carries out barriers until none is asked for.
func (l *Log) syncAll() {
	for {
		l.mu.Lock()
		b := l.next
		l.next = nil
		if b == nil {
			l.syncing = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		b.err = l.readToEnd()
		close(b.done)
	}
}

func (l *Log) readToEnd() error {
	ctx, cancel := context.WithTimeout(l.stopped, callTimeout)
	defer cancel()
	_, end, err := bounds(ctx, l.Cluster.handle, l.Topic, 0)
	if err != nil {
		return logError(err)
	}
	select {
	case <-l.ready:
	case <-ctx.Done():
		if problem := l.Problem(); problem != nil {
			return logError(problem)
		}
		return ended(ctx)
	}
	return l.await(ctx, func() bool { return l.position >= end })
}

// await returns when the condition, asked under the lock, holds.
func (l *Log) await(ctx context.Context, holds func() bool) error {
	for {
		l.mu.Lock()
		ok, moved := holds(), l.moved
		l.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ended(ctx)
		}
	}
}

// Write stores an entity's new value, nil to delete it, on top of the revision
// that the caller has seen (0: none). It reports whether this write is the one
// that took that place; when it is not, somebody else was faster, whose write
// is in the state by now. Errors: KafkaUnavailable and the like with NotStored;
// OutcomeUnknown when the write may come to count all the same.
func (l *Log) Write(ctx context.Context, entity string, seen int64, value []byte) (won bool, err error) {
	revision := seen + 1
	key := logKey(entity, revision, rand.Text())
	stored, err := json.Marshal(logValue{Entity: entity, Revision: revision, Deleted: value == nil, Value: value})
	if err != nil {
		return false, fmt.Errorf("write %s: %w", entity, err)
	}
	v := l.expect(key)
	defer l.forget(key)
	offset, err := l.append(ctx, key, stored)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var read verdict
	err = l.await(ctx, func() bool {
		read = *v
		return l.position > offset
	})
	if err != nil || !read.seen {
		return false, stream.Errorf(stream.OutcomeUnknown, "the change was sent, and not seen to take effect in time; look whether it did").
			WithOutcome(stream.OutcomeUnclear).Because(err)
	}
	l.bury(entity)
	return read.won, nil
}

func (l *Log) expect(key string) *verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &verdict{}
	l.verdicts[key] = v
	return v
}

func (l *Log) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.verdicts, key)
}

// append stores a record and waits for its report.
func (l *Log) append(ctx context.Context, key string, value []byte) (offset int64, err error) {
	type result struct {
		report stream.Report
		err    error
	}
	reported := make(chan result, 1)
	m := stream.Message{Topic: l.Topic, Key: []byte(key), Value: value}
	if err := l.Producer.Send(&m, func(r stream.Report, err error) { reported <- result{r, err} }); err != nil {
		return 0, logError(err)
	}
	select {
	case r := <-reported:
		if r.err != nil {
			return 0, logError(r.err)
		}
		return r.report.Offset, nil
	case <-ctx.Done():
		return 0, stream.Errorf(stream.OutcomeUnknown, "Kafka did not acknowledge the change in time; look whether it took place").
			WithOutcome(stream.OutcomeUnclear).Because(context.Cause(ctx))
	}
}

// bury puts tombstones on the entity's records that decide nothing any more.
// It does not wait: one that fails is tried again with the entity's next write.
func (l *Log) bury(entity string) {
	l.mu.Lock()
	keys := l.replica.losers(entity)
	l.mu.Unlock()
	for _, key := range keys {
		m := stream.Message{Topic: l.Topic, Key: []byte(key)}
		err := l.Producer.Send(&m, func(_ stream.Report, err error) {
			if err != nil {
				l.log.Warn("cannot tombstone a superseded record", slog.String("key", key), slog.Any("error", err))
			}
		})
		if err != nil {
			l.log.Warn("cannot tombstone a superseded record", slog.String("key", key), slog.Any("error", err))
		}
	}
}

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
	begin, end, err := l.prepare()
	if err != nil {
		return false, err
	}
	c, err := l.Cluster.consumer(ckafka.ConfigMap{
		"isolation.level":                    "read_uncommitted",
		"fetch.wait.max.ms":                  100,
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
	if err := c.Assign([]ckafka.TopicPartition{{Topic: &l.Topic, Partition: 0, Offset: ckafka.Offset(begin)}}); err != nil {
		return false, err
	}
	l.restart(begin)
	l.problem.Store(nil)
	for l.stopped.Err() == nil {
		l.announce(end)
		if err := l.take(c, c.Poll(int(pollInterval.Milliseconds()))); err != nil {
			return true, err
		}
	}
	return true, nil
}

// prepare gives the log's bounds; it makes the topic if there is none.
func (l *Log) prepare() (begin, end int64, err error) {
	ctx, cancel := context.WithTimeout(l.stopped, adminTimeout)
	defer cancel()
	if err := l.Admin.ensureLog(ctx, l.Topic); err != nil {
		return 0, 0, err
	}
	if err := l.Producer.Refresh(ctx, l.Topic); err != nil {
		return 0, 0, err
	}
	return bounds(ctx, l.Cluster.handle, l.Topic, 0)
}

// restart forgets the state, to read from offset on.
func (l *Log) restart(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replica = newReplica()
	l.state.Reset()
	l.move(offset)
}

// move sets the position. The lock is held.
func (l *Log) move(offset int64) {
	l.position = offset
	l.Cluster.metrics.logOffset.WithLabelValues(l.Topic).Set(float64(offset))
	close(l.moved)
	l.moved = make(chan struct{})
}

// announce opens Ready once what was in the log at the start is read.
func (l *Log) announce(end int64) {
	if l.Ready() {
		return
	}
	l.mu.Lock()
	read := l.position >= end
	l.mu.Unlock()
	if read {
		l.log.Info("log read", slog.Int64("offset", end))
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
		if end := int64(ev.Offset); end > l.position {
			l.move(end) // compaction took the last records
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
	offset := int64(m.TopicPartition.Offset)
	entry, changed, err := l.replica.apply(offset, string(m.Key), m.Value)
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
	l.move(offset + 1)
	return nil
}

// logError keeps the state of a topic that clients know nothing about from
// being told as their stream's.
func logError(err error) error {
	e := toError(err)
	if e.Code == stream.UnknownStream || e.Code == stream.InvalidRecord {
		e = toError(ckafka.NewError(ckafka.ErrTransport, "the log's topic is missing: "+e.Error(), false))
	}
	return e
}
