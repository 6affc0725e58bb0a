package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// look makes librdkafka see that a topic has grown, which it otherwise does
// within five minutes. Only of an answer about all topics does it tell its group.
func (m *Member) look(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if _, err := metadata(ctx, m.consumer, nil, true); err != nil {
		m.log.Debug("no look at a stream that grew", slog.String("stream", id), slog.Any("error", err))
	}
}

// restart goes to the beginning of a stream that was made anew, in all its
// partitions that are read. It is false where Kafka does not tell the beginning
// yet.
func (m *Member) restart(l stream.Layout) bool {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	m.look(l.Stream)
	for p, at := range m.places {
		if p.Stream != l.Stream || at.topicID == l.TopicID {
			continue
		}
		begin, _, err := m.bounds(ctx, p)
		if err == nil {
			err = m.move(p, memberPlace{l.TopicID, begin})
		}
		if err != nil {
			m.log.Debug("a stream that was made anew is not there yet", slog.String("stream", l.Stream), slog.Any("error", err))
			return false
		}
		m.gap(l, p, at.next, begin)
		if m.o.Begin != nil {
			m.pin([]ckafka.TopicPartition{m.at(p, begin)})
		}
	}
	return true
}

// move goes on elsewhere in a partition. A seek would not do: librdkafka does
// not seek in a partition that it cannot read where it is.
func (m *Member) move(p stream.Partition, to memberPlace) error {
	m.places[p] = to
	there := []ckafka.TopicPartition{m.at(p, to.next)}
	if m.incremental() {
		if err := m.consumer.IncrementalUnassign(there); err != nil {
			return fmt.Errorf("leave a partition: %w", err)
		}
		if err := m.consumer.IncrementalAssign(there); err != nil {
			return fmt.Errorf("enter a partition: %w", err)
		}
		return nil
	}
	var all []ckafka.TopicPartition
	for p, at := range m.places {
		all = append(all, m.at(p, at.next))
	}
	if err := m.consumer.Assign(all); err != nil {
		return fmt.Errorf("assign partitions: %w", err)
	}
	return nil
}

// outOfRange finds the partitions whose next offset the broker does not have:
// retention was faster, the newest records were lost, or the stream was made
// anew. Of the newest it is not known which were lost, so all begin anew, after
// a gap. librdkafka does not say which partition it was.
func (m *Member) outOfRange() error {
	ctx, cancel := context.WithTimeout(context.Background(), memberTimeout)
	defer cancel()
	for p, at := range maps.Clone(m.places) {
		begin, end, err := m.bounds(ctx, p)
		if is(err, ckafka.ErrUnknownTopicOrPart, ckafka.ErrUnknownPartition) {
			continue // SetStreams will say so
		} else if err != nil {
			return toError(err)
		}
		// Also those that are in range are entered anew: that which had the
		// error waits for it, even if its bounds have moved meanwhile.
		to := at
		if at.next < begin || at.next > end {
			to = memberPlace{m.topicID(ctx, p, at), begin}
		}
		if err := m.move(p, to); err != nil {
			return toError(err)
		}
		if to != at && at.next >= 0 {
			m.gap(m.layout(p, to.topicID), p, at.next, to.next)
		}
	}
	if m.held {
		return m.Hold(true)
	}
	return nil
}

// topicID asks which topic a stream is now: one that was made anew shall begin
// anew once, not a second time when SetStreams says so.
func (m *Member) topicID(ctx context.Context, p stream.Partition, at memberPlace) string {
	t, err := NewAdmin(m.cluster, 0).Exists(ctx, m.o.Topics.Topic(p.Stream))
	if err != nil {
		return at.topicID
	}
	return t.ID
}
