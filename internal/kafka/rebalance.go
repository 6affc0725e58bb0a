package kafka

import (
	"context"
	"log/slog"
	"strings"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// topicMark begins the metadata of the gateway's commits; the topic's id
// follows.
const topicMark = "topic="

// rebalancePause is the pause between questions whose answer a rebalance needs.
const rebalancePause = 100 * time.Millisecond

func commitMetadata(topicID string) string { return topicMark + topicID }

// otherTopic says whether a commit was made for another topic than the one of
// that name that there is now. Commits of ordinary consumers do not tell.
func otherTopic(metadata *string, topicID string) bool {
	if metadata == nil {
		return false
	}
	id, marked := strings.CutPrefix(*metadata, topicMark)
	return marked && id != topicID
}

// rebalance is librdkafka's call, from within Poll or Close, when partitions
// come and go.
func (m *Member) rebalance(_ *ckafka.Consumer, ev ckafka.Event) error {
	switch ev := ev.(type) {
	case ckafka.AssignedPartitions:
		if err := m.assigned(ev.Partitions); err != nil {
			m.failed = err
		}
	case ckafka.RevokedPartitions:
		m.questions.heed(func() { m.revoked(ev.Partitions) })
		if err := m.unassign(ev.Partitions); err != nil {
			m.failed = err
		}
	}
	return nil
}

// unassign lets librdkafka let go; it commits what was stored before.
func (m *Member) unassign(parts []ckafka.TopicPartition) error {
	if m.incremental() {
		return m.consumer.IncrementalUnassign(parts)
	}
	return m.consumer.Unassign()
}

func (m *Member) revoked(parts []ckafka.TopicPartition) {
	var ps []stream.Partition
	for _, tp := range parts {
		if p, ok := m.partition(tp); ok {
			ps = append(ps, p)
		}
	}
	m.log.Debug("partitions revoked", slog.Int("partitions", len(ps)), slog.Bool("lost", m.consumer.AssignmentLost()))
	m.o.Events.Revoked(ps)
	for _, p := range ps {
		m.left[p] = m.places[p]
		delete(m.places, p)
	}
}

// incremental says whether the group rebalances cooperatively.
func (m *Member) incremental() bool { return m.consumer.GetRebalanceProtocol() == "COOPERATIVE" }

// assigned finds where to begin in the partitions that were given to this
// member, and begins.
func (m *Member) assigned(parts []ckafka.TopicPartition) error {
	ctx, cancel := context.WithTimeout(context.Background(), memberTimeout)
	defer cancel()
	m.log.Debug("partitions assigned", slog.Int("partitions", len(parts)))
	committed, err := m.committed(ctx, parts)
	if err != nil {
		return err
	}
	var decided []ckafka.TopicPartition
	for i, tp := range committed {
		at, pin, err := m.begin(ctx, tp)
		if err != nil {
			return toError(err)
		}
		committed[i] = at
		if pin {
			decided = append(decided, at)
		}
	}
	if m.incremental() {
		err = m.consumer.IncrementalAssign(committed)
	} else {
		err = m.consumer.Assign(committed)
	}
	if err == nil && m.held {
		err = m.Hold(true)
	}
	if err != nil {
		return toError(err)
	}
	m.pin(decided)
	return nil
}

// committed asks for the group's offsets until Kafka tells them: a coordinator
// may have moved a moment ago, and offsets of a transaction are unstable until
// it ends.
func (m *Member) committed(ctx context.Context, parts []ckafka.TopicPartition) (answer []ckafka.TopicPartition, err error) {
	if len(parts) == 0 {
		return nil, nil
	}
	for {
		answer, err = m.consumer.Committed(parts, timeout(ctx))
		for _, tp := range answer {
			if err == nil && tp.Error != nil {
				err = tp.Error
			}
		}
		if err == nil || is(err, ckafka.ErrGroupAuthorizationFailed, ckafka.ErrTopicAuthorizationFailed) {
			break
		}
		pause(ctx, rebalancePause)
		if ctx.Err() != nil {
			return nil, ended(ctx)
		}
	}
	if err != nil {
		return nil, onGroup(m.o.Group).of(m.unreadable(toError(err)))
	}
	return answer, nil
}

// begin decides where a partition begins, from what the group has committed;
// pin asks for that to be committed.
func (m *Member) begin(ctx context.Context, tp ckafka.TopicPartition) (at ckafka.TopicPartition, pin bool, err error) {
	p, ok := m.partition(tp)
	l := m.layouts[p.Stream]
	if !ok {
		return tp, false, nil
	}
	offset, gone := int64(tp.Offset), tp.Offset >= 0 && otherTopic(tp.Metadata, l.TopicID)
	pin = offset < 0 && m.o.Begin != nil
	if before, was := m.left[p]; was && before.topicID != l.TopicID && before.next >= 0 && (offset < 0 || gone) {
		offset, gone = before.next, true // this member knows better how far it was
	}
	delete(m.left, p)
	if offset < 0 && m.o.Begin != nil {
		offset, gone = m.o.Begin(l, p.Number)
	}
	next := offset
	if gone && offset >= 0 || offset < 0 && pin {
		if next, _, err = m.bounds(ctx, p); err != nil {
			return tp, false, err
		}
	}
	m.places[p] = memberPlace{l.TopicID, next}
	if gone && offset >= 0 {
		m.gap(l, p, offset, next)
	}
	return m.at(p, next), pin, nil
}

// pin commits where partitions begin that had no offset yet. Otherwise a group
// that began at the latest records would, after a restart, begin at what is the
// latest then.
func (m *Member) pin(at []ckafka.TopicPartition) {
	if len(at) == 0 {
		return
	}
	for i, tp := range at {
		if p, ok := m.partition(tp); ok {
			at[i].Metadata = new(commitMetadata(m.places[p].topicID))
		}
	}
	answer := m.questions.put(func() error {
		_, err := m.consumer.CommitOffsets(at)
		return err
	})
	late := time.NewTimer(memberTimeout)
	defer late.Stop()
	var err error
	select {
	case err = <-answer:
	case <-late.C:
		err = errUnanswered
	}
	if err != nil {
		m.log.Warn("where the group begins is not committed", slog.Any("error", err))
	}
}
