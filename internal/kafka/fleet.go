package kafka

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// The fleet's timings. Together they bound how long nobody works on the
// partitions of a gateway that was killed: its session's time, a heartbeat of
// the others, and the rebalance.
const (
	fleetSession   = 6 * time.Second // the least that Kafka allows by default
	fleetHeartbeat = time.Second
	fleetStall     = 10 * time.Second       // max.poll.interval.ms: what a gateway whose poll loop stalls may keep its partitions
	fleetPoll      = 500 * time.Millisecond // one wait of the poll loop
	fleetRetry     = time.Second            // pause before a consumer that failed is replaced
)

// RevokeTimeout is how long FleetOptions.Revoked may take. A gateway counts as
// alive meanwhile, and no longer.
const RevokeTimeout = 3 * time.Second

// FleetOptions is what a Fleet needs.
type FleetOptions struct {
	Topic      string // its partitions are what the gateways share out; no record of it is read
	Group      string // the gateways' own consumer group
	Partitions int    // of the topic; what lies beyond is left alone

	// Assigned takes partitions that this gateway owns from now on. It must
	// return at once.
	Assigned func(partitions []int32)
	// Revoked takes partitions that go to another gateway when it returns, which
	// must be within RevokeTimeout. Where Alive is false they may have gone
	// already, and nothing may be done for them any more, not even a commit.
	Revoked func(partitions []int32)
	// Position gives the offset that is committed for an owned partition, which
	// Kafka's tools show: how far this gateway has read it otherwise. Nil: 0.
	Position func(partition int32) int64

	Log *slog.Logger
}

// Fleet shares work out among gateways: they are one consumer group over the
// partitions of a topic, by the classic protocol with cooperative-sticky
// assignment, and each works for the partitions that it owns. It reads no
// records: it is not a reader, and the offsets it commits steer nothing.
//
// A gateway that was killed has its partitions elsewhere within ten seconds,
// one that ends with Close at once. What one did that was stopped for a while,
// or cut off from Kafka, is what Alive is for.
type Fleet struct {
	o       FleetOptions
	cluster *Cluster
	log     *slog.Logger

	mu      sync.Mutex
	owned   []int32 // sorted
	life    life
	trouble *stream.Error // nil: in the group, or on its way into it

	running sync.WaitGroup
	stop    context.CancelFunc
	stopped context.Context
}

// NewFleet makes a fleet's member. It joins when Start is called.
func NewFleet(c *Cluster, o FleetOptions) *Fleet {
	f := &Fleet{o: o, cluster: c, log: o.Log.With(slog.String("component", "fleet"), slog.String("group", o.Group))}
	f.stopped, f.stop = context.WithCancel(context.Background())
	return f
}

// Start joins the group, as soon as Kafka can be reached and the topic exists.
func (f *Fleet) Start() { f.running.Go(f.run) }

// Close gives up the partitions, which calls Revoked, and leaves the group at
// once: the others need not wait for the end of a session.
func (f *Fleet) Close() {
	f.stop()
	f.running.Wait()
}

// Owned gives the partitions that this gateway works for, sorted. One that is
// being revoked is among them until Revoked has returned, unless it was lost.
func (f *Fleet) Owned() []int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.owned)
}

// Alive says whether this gateway may act for the partitions that it owns: it
// noticed within the last two seconds what its group wants of it, and the group
// confirmed within them that it is a member. To be asked before each action.
//
// A process that is stopped, and wakes when its partitions belong to another,
// is not alive until the group has confirmed it anew, or has given it
// partitions again. So is one whose connection to Kafka is cut, before the end
// of the session that the others wait for.
func (f *Fleet) Alive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.owned) > 0 && f.life.alive(time.Now())
}

// run is a member until Close, with another consumer after each that failed.
func (f *Fleet) run() {
	for f.stopped.Err() == nil {
		err := f.join()
		if f.stopped.Err() != nil {
			return
		}
		if err == nil { // credentials have changed: at once
			continue
		}
		f.outside(err)
		pause(f.stopped, fleetRetry)
	}
}

// join is a member until Close, or a failure that a new consumer may heal, or,
// without an error, until there are other credentials.
func (f *Fleet) join() error {
	m := &fleetMember{Fleet: f, wake: make(chan struct{}, 1), number: f.cluster.creds.number()}
	var err error
	if m.consumer, err = f.consumer(); err != nil {
		return err
	}
	if err = m.consumer.SubscribeTopics([]string{f.o.Topic}, m.rebalance); err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		var proving sync.WaitGroup
		proving.Go(func() { m.prove(ctx) })
		if err = m.poll(); err == nil {
			m.leave()
		}
		cancel()
		proving.Wait()
	}
	if closing := m.questions.leave(m.consumer.Close); closing != nil {
		f.log.Warn("the consumer did not close well", slog.Any("error", closing))
	}
	m.drop(f.Owned(), true) // nothing, where the consumer's end has revoked
	return err
}

func (f *Fleet) consumer() (*ckafka.Consumer, error) {
	return f.cluster.consumer(ckafka.ConfigMap{
		"group.id":                           f.o.Group,
		"statistics.interval.ms":             f.cluster.statisticsInterval(),
		"partition.assignment.strategy":      cooperative,
		"session.timeout.ms":                 int(fleetSession.Milliseconds()),
		"heartbeat.interval.ms":              int(fleetHeartbeat.Milliseconds()),
		"max.poll.interval.ms":               int(fleetStall.Milliseconds()),
		"socket.timeout.ms":                  int(proofTimeout.Milliseconds()),
		"topic.metadata.refresh.interval.ms": 2000, // to notice when the topic is made, or made anew
		"enable.partition.eof":               false,
		"queued.min.messages":                1,
		"queued.max.messages.kbytes":         1,
	})
}

// fleetMember is a Fleet with one consumer. One goroutine polls.
type fleetMember struct {
	*Fleet
	consumer  *ckafka.Consumer
	wake      chan struct{} // there is something new to be confirmed
	questions questions
	deaf      atomic.Bool // the group does not answer, though Kafka does
	told      told        // the one that proves writes it
	number    int64       // of the credentials that the consumer has
}

// poll serves the consumer until Close, a failure or other credentials.
func (m *fleetMember) poll() error {
	for m.stopped.Err() == nil && !m.cluster.stale(m.number) {
		if m.deaf.Load() {
			return errUnanswered
		}
		if err := m.serve(); err != nil {
			return err
		}
	}
	return nil
}

// leave gives up what is owned, while the group still confirms the member, and
// leaves.
func (m *fleetMember) leave() {
	if err := m.consumer.Unsubscribe(); err != nil {
		m.log.Warn("the fleet is not told that the gateway leaves", slog.Any("error", err))
		return
	}
	for end := time.Now().Add(RevokeTimeout); len(m.Owned()) > 0 && time.Now().Before(end); {
		if err := m.serve(); err != nil {
			return
		}
	}
}

// serve polls once.
func (m *fleetMember) serve() error {
	ev := m.consumer.Poll(int(fleetPoll.Milliseconds()))
	m.mu.Lock()
	m.life.polled(time.Now(), aliveFor)
	m.mu.Unlock()
	switch ev := ev.(type) {
	case nil, *ckafka.Message: // of records that were on their way when the partition was paused
	case ckafka.Error:
		return m.trouble(ev)
	default:
		m.cluster.event("fleet", m.consumer, ev)
	}
	return nil
}

// trouble handles an error of the consumer's. What is returned ends it.
func (m *fleetMember) trouble(err ckafka.Error) error {
	switch err.Code() {
	case ckafka.ErrMaxPollExceeded:
		m.log.Warn("the gateway stalled, and its partitions went to others", slog.Any("error", err))
	case ckafka.ErrUnknownTopicOrPart, ckafka.ErrUnknownTopic, ckafka.ErrUnknownPartition:
		m.log.Debug("the fleet's topic is not there yet", slog.Any("error", err))
	case ckafka.ErrGroupAuthorizationFailed, ckafka.ErrTopicAuthorizationFailed, ckafka.ErrInconsistentGroupProtocol, ckafka.ErrInvalidSessionTimeout:
		return err
	default:
		m.cluster.event("fleet", m.consumer, err)
		if err.IsFatal() {
			return err
		}
	}
	return nil
}

// rebalance is librdkafka's call, from within Poll or Close, when partitions
// come and go.
func (m *fleetMember) rebalance(_ *ckafka.Consumer, ev ckafka.Event) error {
	switch ev := ev.(type) {
	case ckafka.AssignedPartitions:
		return m.assigned(ev.Partitions)
	case ckafka.RevokedPartitions:
		m.questions.heed(func() { m.drop(numbers(ev.Partitions), m.consumer.AssignmentLost()) })
		return m.consumer.IncrementalUnassign(ev.Partitions)
	}
	return nil
}

// assigned takes partitions over. They are paused at their end: what the
// consumer is for is the assignment.
func (m *fleetMember) assigned(parts []ckafka.TopicPartition) error {
	for i := range parts {
		parts[i].Offset = ckafka.OffsetEnd
	}
	err := m.consumer.IncrementalAssign(parts)
	if err == nil && len(parts) > 0 {
		err = m.consumer.Pause(parts)
	}
	if err != nil {
		m.log.Error("partitions are not taken over", slog.Any("error", err))
		return err
	}
	m.inside()
	given := slices.DeleteFunc(numbers(parts), func(p int32) bool { return int(p) >= m.o.Partitions })
	m.mu.Lock()
	m.owned = slices.Compact(slices.Sorted(slices.Values(append(m.owned, given...))))
	m.life.rebalanced()
	m.tell()
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
	m.log.Info("partitions assigned", slog.Any("partitions", given))
	if len(given) > 0 {
		m.o.Assigned(given)
	}
	return nil
}

// drop gives partitions up: with the time that Revoked needs, or, when they
// were lost, without mercy.
func (m *fleetMember) drop(parts []int32, lost bool) {
	parts = slices.DeleteFunc(parts, func(p int32) bool { return !slices.Contains(m.Owned(), p) })
	m.mu.Lock()
	m.life.rebalanced()
	if lost {
		m.life.end()
		m.disown(parts)
	} else {
		m.life.polled(time.Now(), RevokeTimeout)
	}
	m.mu.Unlock()
	if len(parts) == 0 {
		return
	}
	m.log.Info("partitions revoked", slog.Any("partitions", parts), slog.Bool("lost", lost))
	m.o.Revoked(parts)
	m.mu.Lock()
	m.disown(parts)
	m.mu.Unlock()
}

// disown takes partitions out of what is owned. The lock is held.
func (m *fleetMember) disown(parts []int32) {
	m.owned = slices.DeleteFunc(m.owned, func(p int32) bool { return slices.Contains(parts, p) })
	m.tell()
}

// tell moves the metric. The lock is held.
func (m *fleetMember) tell() { m.cluster.metrics.fleetPartitions.Set(float64(len(m.owned))) }

func numbers(parts []ckafka.TopicPartition) []int32 {
	ns := make([]int32, len(parts))
	for i, tp := range parts {
		ns[i] = tp.Partition
	}
	return ns
}
