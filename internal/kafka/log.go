package kafka

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// LogOptions is what a Log needs.
type LogOptions struct {
	Topic      string // compacted; made if there is none
	Partitions int    // how many the topic has, for ever: PartitionOf rests on it; 0 means 1
	Cluster    *Cluster
	Producer   *Producer
	Admin      *Admin
}

// Log is a replicated log: state that all gateways share, kept in one compacted
// topic and in the memory of each. A write that succeeded is seen by every
// gateway that calls Sync afterwards. All records of an entity are in one
// partition, the one that PartitionOf gives; between entities of different
// partitions there is no order.
type Log struct {
	LogOptions
	log   *slog.Logger
	state stream.State
	ready chan struct{} // closed when the log was read to its end for the first time

	problem atomic.Pointer[stream.Error] // why the log cannot be read at the moment; nil while it is

	mu       sync.Mutex
	replicas []*replica          // by partition
	verdicts map[string]*verdict // of writes that wait to be read back, by key
	next     []int64             // the next offset to read, by partition
	moved    chan struct{}       // closed and renewed when one of them grows
	asked    *barrier            // not yet under way
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
	o.Partitions = max(1, o.Partitions)
	l := &Log{
		LogOptions: o,
		log:        o.Cluster.log.With(slog.String("log", o.Topic)),
		state:      state,
		ready:      make(chan struct{}),
		verdicts:   map[string]*verdict{},
		moved:      make(chan struct{}),
	}
	l.forgetAll(make([]int64, o.Partitions))
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
	b := l.asked
	if b == nil {
		b = &barrier{done: make(chan struct{})}
		l.asked = b
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

// Partition says in which partition of the log an entity is.
func (l *Log) Partition(entity string) int32 { return PartitionOf(entity, l.Partitions) }

// Position gives the next offset that the log will read of a partition: how far
// this gateway knows the state.
func (l *Log) Position(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next[partition]
}

// syncAll carries out barriers until none is asked for.
func (l *Log) syncAll() {
	for {
		l.mu.Lock()
		b := l.asked
		l.asked = nil
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
	ends, err := l.ends(ctx)
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
	return l.await(ctx, func() bool { return l.reached(ends) })
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
	key, partition := logKey(entity, revision, rand.Text()), l.Partition(entity)
	stored, err := json.Marshal(logValue{Entity: entity, Revision: revision, Deleted: value == nil, Value: value})
	if err != nil {
		return false, fmt.Errorf("write %s: %w", entity, err)
	}
	v := l.expect(key)
	defer l.forget(key)
	offset, err := l.append(ctx, stream.Message{Topic: l.Topic, Partition: partition, Key: []byte(key), Value: stored})
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var read verdict
	err = l.await(ctx, func() bool {
		read = *v
		return l.next[partition] > offset
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
func (l *Log) append(ctx context.Context, m stream.Message) (offset int64, err error) {
	type result struct {
		report stream.Report
		err    error
	}
	reported := make(chan result, 1)
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
	partition := l.Partition(entity)
	l.mu.Lock()
	keys := l.replicas[partition].losers(entity)
	l.mu.Unlock()
	for _, key := range keys {
		m := stream.Message{Topic: l.Topic, Partition: partition, Key: []byte(key)}
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

// logError keeps the state of a topic that clients know nothing about from
// being told as their stream's.
func logError(err error) error {
	e := toError(err)
	if e.Code == stream.UnknownStream || e.Code == stream.InvalidRecord {
		e = toError(ckafka.NewError(ckafka.ErrTransport, "the log's topic is missing: "+e.Error(), false))
	}
	return e
}
