package kafka

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// memberDefaults hold unless the configuration says otherwise. Ten seconds
// after a gateway was killed its partitions move on. Members learn of a
// rebalance by their heartbeats, and all wait for the last of them, so one a
// second it is. There may be many members in a gateway, so each prefetches
// little: librdkafka's own default is 64 MiB.
var memberDefaults = ckafka.ConfigMap{
	"session.timeout.ms":         10_000,
	"heartbeat.interval.ms":      1_000,
	"queued.min.messages":        1_000,
	"queued.max.messages.kbytes": 1 << 10,
	"fetch.queue.backoff.ms":     10, // a second by default, which a short queue would cost all the time
	"max.partition.fetch.bytes":  512 << 10,
	"fetch.error.backoff.ms":     100,
}

// The assignment strategies a member offers. librdkafka does not mix the two
// kinds in one consumer, as Java's does. The first lets members keep their
// partitions while others join; ordinary consumers share it that list
// cooperative-sticky (franz-go does, and Java by default). The second is for
// groups whose other members speak nothing else (librdkafka by default,
// sarama, Python's).
const (
	cooperative = "cooperative-sticky"
	eager       = "range,roundrobin"
)

// memberTimeout bounds what a member asks Kafka while its group waits for it.
const memberTimeout = 10 * time.Second

// MemberEvents is told what a member learns. The calls come from within Poll
// and Close.
type MemberEvents interface {
	// Record takes a record, of the stream as its layout says.
	Record(l stream.Layout, r *stream.Record)
	// Gap takes a part of a partition that will not come. The layout is that
	// of the stream in which reading goes on.
	Gap(l stream.Layout, g stream.Gap)
	// Revoked takes the partitions that go to another member when the call
	// returns. What may be committed of them must be stored by then.
	Revoked(ps []stream.Partition)
}

// MemberOptions says how a consumer joins its group.
type MemberOptions struct {
	Group       string
	Topics      stream.Topics
	CommitEvery time.Duration // how often what was stored is committed, and before a partition is given up; 0: never
	Events      MemberEvents

	// Begin gives where a partition begins for which the group has committed
	// nothing: negative is its beginning. If the offset is one in an earlier
	// stream of that name, reading begins at the beginning, after a gap. What
	// Begin decides is committed at once, so that it is decided once. Nil:
	// every partition begins at its beginning.
	Begin func(l stream.Layout, partition int32) (offset int64, earlier bool)
}

// Member is a consumer in a consumer group. All members of the group, in
// whatever gateway or program, share the partitions of its streams. Commits
// carry the topic's id, so that a stream that was made anew is not read from an
// offset of the earlier one.
//
// One goroutine uses it. It must call Poll again within five minutes
// (max.poll.interval.ms), else the partitions go to others; and soon, for a
// rebalance of the group waits for each member.
type Member struct {
	cluster  *Cluster
	log      *slog.Logger
	o        MemberOptions
	consumer *ckafka.Consumer
	strategy string
	layouts  map[string]stream.Layout // what is subscribed to, by stream
	places   map[stream.Partition]memberPlace
	left     map[stream.Partition]memberPlace // where this member was in what it gave up
	held     bool
	number   int64 // of the credentials that the consumer has
	failed   error // what went wrong in a rebalance

	questions questions
}

// memberPlace is where a member is in a partition.
type memberPlace struct {
	topicID string
	next    int64 // the offset to read next; negative: the beginning, whichever that is
}

// NewMember makes a consumer. It joins its group with SetStreams.
func NewMember(c *Cluster, o MemberOptions) (*Member, error) {
	m := &Member{
		cluster: c, log: c.log.With(slog.String("group", o.Group)), o: o, strategy: cooperative,
		layouts: map[string]stream.Layout{}, places: map[stream.Partition]memberPlace{}, left: map[stream.Partition]memberPlace{},
	}
	if err := m.open(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Member) open() error {
	own := ckafka.ConfigMap{
		"group.id":                      m.o.Group,
		"statistics.interval.ms":        m.cluster.statisticsInterval(),
		"partition.assignment.strategy": m.strategy,
		"enable.partition.eof":          false,
		"enable.auto.commit":            m.o.CommitEvery > 0,
	}
	if m.o.CommitEvery > 0 {
		own["auto.commit.interval.ms"] = max(1, int(m.o.CommitEvery.Milliseconds()))
	}
	m.number = m.cluster.creds.number()
	configured, err := m.cluster.creds.options().clientConfig()
	if err != nil {
		return err
	}
	for name, value := range memberDefaults {
		if _, set := configured[name]; !set {
			own[name] = value
		}
	}
	m.consumer, err = m.cluster.consumer(own)
	return err
}

// SetStreams tells the member which streams it shares, and what they are now.
// Streams that joined are subscribed to, those that are missing are given up,
// and those that were made anew begin anew, after a gap. It is to be called
// about once a second.
func (m *Member) SetStreams(layouts []stream.Layout) error {
	now := make(map[string]stream.Layout, len(layouts))
	changed := len(layouts) != len(m.layouts)
	for _, l := range layouts {
		before, known := m.layouts[l.Stream]
		switch {
		case !known:
			changed = true
		case before.TopicID != l.TopicID:
			if !m.restart(l) { // another look, in a second
				l = before
			}
		case before.Partitions != l.Partitions:
			m.look(l.Stream)
		}
		now[l.Stream] = l
	}
	m.layouts = now
	if !changed {
		return nil
	}
	return m.subscribe()
}

func (m *Member) subscribe() error {
	if len(m.layouts) == 0 {
		if err := m.consumer.Unsubscribe(); err != nil {
			return toError(err)
		}
		return nil
	}
	var topics []string
	for _, id := range slices.Sorted(maps.Keys(m.layouts)) {
		topics = append(topics, m.o.Topics.Topic(id))
	}
	if err := m.consumer.SubscribeTopics(topics, m.rebalance); err != nil {
		return toError(err)
	}
	return nil
}

// gap tells of one.
func (m *Member) gap(l stream.Layout, p stream.Partition, from, to int64) {
	m.log.Info("gap in a stream", slog.String("stream", p.Stream), slog.Int("partition", int(p.Number)), slog.Int64("from", from), slog.Int64("to", to))
	m.o.Events.Gap(l, stream.Gap{Partition: p, From: max(from, 0), To: to})
}

func (m *Member) bounds(ctx context.Context, p stream.Partition) (begin, end int64, err error) {
	return bounds(ctx, m.consumer, m.o.Topics.Topic(p.Stream), p.Number)
}

// at names a place in librdkafka's way.
func (m *Member) at(p stream.Partition, next int64) ckafka.TopicPartition {
	offset := ckafka.OffsetBeginning
	if next >= 0 {
		offset = ckafka.Offset(next)
	}
	return ckafka.TopicPartition{Topic: new(m.o.Topics.Topic(p.Stream)), Partition: p.Number, Offset: offset}
}

// Poll waits at most d for one event and hands it on. An error ends the
// membership: Forbidden, GroupActive when the group's other members share no
// assignment strategy with the gateway, KafkaUnavailable.
func (m *Member) Poll(d time.Duration) error {
	if m.cluster.stale(m.number) {
		if err := m.renew(); err != nil {
			return err
		}
	}
	switch ev := m.consumer.Poll(int(d.Milliseconds())).(type) {
	case nil:
	case *ckafka.Message:
		m.record(ev)
	case ckafka.Error:
		if err := m.trouble(ev); err != nil {
			return err
		}
	case ckafka.OffsetsCommitted:
		if ev.Error != nil && !is(ev.Error, ckafka.ErrNoOffset) {
			m.log.Warn("offsets are not committed; records may be delivered again", slog.Any("error", ev.Error))
		}
	default:
		m.cluster.event("member", m.consumer, ev)
	}
	return m.failed
}

func (m *Member) record(msg *ckafka.Message) {
	if msg.TopicPartition.Error != nil {
		m.log.Warn("a record cannot be read", slog.Any("error", msg.TopicPartition.Error))
		return
	}
	p, ok := m.partition(msg.TopicPartition)
	at, given := m.places[p]
	if !ok || !given {
		return // it was on its way when the partition was given up
	}
	r := record(p.Stream, msg)
	at.next = r.Offset + 1
	m.places[p] = at
	m.o.Events.Record(m.layout(p, at.topicID), &r)
}

// layout gives a stream's layout with the topic id under which the partition
// is read.
func (m *Member) layout(p stream.Partition, topicID string) stream.Layout {
	l := m.layouts[p.Stream]
	l.Stream, l.TopicID = p.Stream, topicID
	return l
}

func (m *Member) partition(tp ckafka.TopicPartition) (stream.Partition, bool) {
	id, ok := m.o.Topics.Stream(*tp.Topic)
	return stream.Partition{Stream: id, Number: tp.Partition}, ok
}

// trouble handles an error of the consumer's. What is returned ends it.
func (m *Member) trouble(err ckafka.Error) error {
	switch err.Code() {
	case ckafka.ErrInconsistentGroupProtocol:
		return m.fallBack(err)
	case ckafka.ErrAutoOffsetReset, ckafka.ErrOffsetOutOfRange:
		return m.outOfRange()
	case ckafka.ErrUnknownTopicOrPart, ckafka.ErrUnknownTopic, ckafka.ErrUnknownPartition:
		m.log.Debug("a stream is not there", slog.Any("error", err)) // SetStreams will say so
		return nil
	case ckafka.ErrGroupMaxSizeReached:
		return stream.Errorf(stream.Overloaded, "Kafka takes no more members into the group (group.max.size)").Because(err)
	case ckafka.ErrTopicAuthorizationFailed:
		return m.unreadable(toError(err))
	case ckafka.ErrGroupAuthorizationFailed, ckafka.ErrInvalidGroupID, ckafka.ErrInvalidSessionTimeout:
		return onGroup(m.o.Group).of(toError(err))
	}
	m.cluster.event("member", m.consumer, err)
	if err.IsFatal() {
		return toError(err)
	}
	return nil
}

// unreadable names in an error what may not be read. librdkafka does not say
// which of the topics it was.
func (m *Member) unreadable(err error) error {
	var names []string
	for _, id := range slices.Sorted(maps.Keys(m.layouts)) {
		names = append(names, m.o.Topics.Topic(id))
	}
	return onTopic("READ", enumerate(names, "or")).of(err)
}

// fallBack joins again with the strategies of ordinary consumers, when the
// group's members do not share the first choice.
func (m *Member) fallBack(cause error) error {
	if m.strategy == eager {
		return stream.Errorf(stream.GroupActive, "the group's other members share no assignment strategy with the gateway: one of cooperative-sticky, range or roundrobin must be among theirs").Because(cause)
	}
	m.log.Info("the group's members do not rebalance cooperatively, joining as they do", slog.String("strategy", eager))
	m.strategy = eager
	if err := m.consumer.Close(); err != nil {
		m.log.Debug("a consumer did not close well", slog.Any("error", err))
	}
	if err := m.open(); err != nil {
		return err
	}
	m.held = false
	return m.subscribe()
}

// renew joins the group again, with the credentials there are now. What was
// stored is committed before, so this is a rebalance like any other.
func (m *Member) renew() error {
	m.log.Info("credentials have changed, joining again")
	if err := m.Close(); errors.Is(err, errLeftBehind) {
		return err
	} else if err != nil {
		m.log.Debug("a consumer did not close well", slog.Any("error", err))
	}
	if err := m.open(); err != nil {
		return err
	}
	return m.subscribe()
}

// Store notes that everything before offset is done with, to be committed. The
// topic id is that of the layout with which the record came; of a stream that
// is gone, or a partition that was given up, nothing is noted.
func (m *Member) Store(p stream.Partition, topicID string, offset int64) {
	if at, given := m.places[p]; !given || at.topicID != topicID {
		return
	}
	tp := m.at(p, offset)
	tp.Metadata = new(commitMetadata(topicID))
	if _, err := m.consumer.StoreOffsets([]ckafka.TopicPartition{tp}); err != nil {
		m.log.Debug("an offset is not stored", slog.String("stream", p.Stream), slog.Any("error", err))
	}
}

// Hold stops records from coming, or lets them come again. Poll goes on to
// serve the group's rebalances. What was fetched already is fetched again.
func (m *Member) Hold(hold bool) error {
	m.held = hold
	var all []ckafka.TopicPartition
	for p := range m.places {
		all = append(all, m.at(p, 0))
	}
	var err error
	switch {
	case len(all) == 0:
	case hold:
		err = m.consumer.Pause(all)
	default:
		err = m.consumer.Resume(all)
	}
	if err != nil {
		return toError(err)
	}
	return nil
}

// Close commits what was stored, and leaves the group at once. Where Kafka does
// not answer it returns after seconds, with an error, and the member leaves when
// it does.
func (m *Member) Close() error {
	if err := m.questions.leave(m.consumer.Close); err != nil {
		return toError(err)
	}
	return nil
}
