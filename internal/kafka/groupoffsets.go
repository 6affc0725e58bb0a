package kafka

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync/atomic"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/stream"
)

// How many connections commit at the same time, how many commits each may have
// under way, and how many may wait in all. A broker answers the requests of a
// connection one after the other, and writes down together what comes from
// several: of four there are some thousand commits a second, of one a few
// hundred.
const (
	offsetLanes   = 4
	offsetsAtOnce = 8
	offsetsQueued = 10_000
)

// Offsets keeps the offsets, with their metadata, of groups that have no
// members: a subscription's, whose owner is the only one to commit. It may be
// used by any number of goroutines. Commits for one group are made in the order
// in which they are asked for if each waits for the one before. It is not for
// groups of readers, whose members commit themselves, or Commits for them.
//
// It does not go through librdkafka where that can be avoided: its Go binding
// never frees what it is asked to commit, up to 4 KiB a commit, and holds a
// thread for each question.
type Offsets struct {
	cluster *Cluster
	topics  stream.Topics
	lanes   []*lane // none: librdkafka alone knows how to log in
	waiting atomic.Int64
}

// lane is one connection, and the turns of those who use it.
type lane struct {
	client *wireClient
	turns  chan struct{}
}

// NewOffsets makes one. It connects when it is first asked.
func NewOffsets(c *Cluster, topics stream.Topics) *Offsets {
	o := &Offsets{cluster: c, topics: topics}
	if err := o.open(); err != nil {
		c.log.Warn("commits of subscriptions go through librdkafka, whose binding loses some memory with each", slog.Any("error", err))
		o.Close()
		o.lanes = []*lane{{turns: make(chan struct{}, offsetsAtOnce)}}
	}
	return o
}

func (o *Offsets) open() error {
	for range offsetLanes {
		client, err := newWireClient(o.cluster)
		if err != nil {
			return fmt.Errorf("configure the client of commits: %w", err)
		}
		o.lanes = append(o.lanes, &lane{client, make(chan struct{}, offsetsAtOnce)})
	}
	return nil
}

// Close ends the connections; questions under way fail.
func (o *Offsets) Close() {
	for _, l := range o.lanes {
		if l.client != nil {
			l.client.close()
		}
	}
}

// Committed gives all offsets that a group has committed in streams, sorted by
// stream and partition; none for a group that nobody knows. Kafka does not keep
// in which topic of a name an offset was committed: TopicID is empty. Errors:
// Forbidden, KafkaUnavailable, Overloaded.
func (o *Offsets) Committed(ctx context.Context, group string) ([]stream.GroupOffset, error) {
	var all []stream.GroupOffset
	err := o.take(ctx, group, func(ctx context.Context, l *lane) (err error) {
		if l.client == nil {
			all, err = o.list(ctx, group)
		} else {
			err = l.client.use(func(c *kgo.Client) (err error) {
				all, err = o.fetch(ctx, c, group)
				return err
			})
		}
		return err
	})
	slices.SortFunc(all, compareOffsets)
	return all, err
}

// Commit makes offsets the group's, each with its metadata, of which Kafka takes
// 4,096 bytes unless its brokers are configured otherwise. Partitions that are
// not named keep what they have. The topic ids must be set; where brokers know
// of them in commits (Kafka 4.1), an offset of a topic that was made anew is
// refused.
//
// Errors: GroupActive when the group has members; UnknownStream, InvalidRequest
// and Forbidden about single partitions, of which the others are committed all
// the same; Overloaded when too many commits wait, and nothing was committed;
// KafkaUnavailable, when nobody knows whether they were, and to commit again
// does no harm.
func (o *Offsets) Commit(ctx context.Context, group string, offsets []stream.GroupOffset) error {
	if len(offsets) == 0 {
		return nil
	}
	offsets = slices.SortedFunc(slices.Values(offsets), compareOffsets)
	return o.take(ctx, group, func(ctx context.Context, l *lane) error {
		if l.client == nil {
			return o.alter(ctx, group, offsets)
		}
		return l.client.use(func(c *kgo.Client) error { return o.send(ctx, c, group, offsets) })
	})
}

// Forget deletes a group with all its offsets; one that nobody knows is no error.
// Errors: GroupActive when the group has members, Forbidden without the right to
// DELETE it, KafkaUnavailable.
func (o *Offsets) Forget(ctx context.Context, group string) error {
	return o.take(ctx, group, func(ctx context.Context, l *lane) error {
		if err := o.delete(ctx, l, group); !is(kafkaError(err), ckafka.ErrGroupIDNotFound) {
			return err
		}
		return nil
	})
}

// delete deletes a group in its lane.
func (o *Offsets) delete(ctx context.Context, l *lane, group string) error {
	if l.client == nil {
		return o.remove(ctx, group)
	}
	return l.client.use(func(c *kgo.Client) error { return remove(ctx, c, group) })
}

func compareOffsets(a, b stream.GroupOffset) int {
	return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Number, b.Number))
}

// take waits for a turn in the group's lane, and asks.
func (o *Offsets) take(ctx context.Context, group string, ask func(context.Context, *lane) error) error {
	return o.turn(ctx, group, func(ctx context.Context, l *lane) error {
		if err := ask(ctx, l); err != nil {
			return onGroup(group).of(offsetsError(ctx, err))
		}
		return nil
	})
}

// turn is take for those who word their errors themselves.
func (o *Offsets) turn(ctx context.Context, group string, ask func(context.Context, *lane) error) error {
	if err := o.cluster.Reachable(); err != nil {
		return err
	}
	defer o.waiting.Add(-1)
	if o.waiting.Add(1) > offsetsQueued {
		return overloadedOffsets(nil)
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	h := fnv.New32a()
	_, _ = h.Write([]byte(group))
	l := o.lanes[int(h.Sum32()%offsetLanes)%len(o.lanes)]
	select {
	case l.turns <- struct{}{}:
	case <-ctx.Done():
		return overloadedOffsets(ctx.Err())
	}
	defer func() { <-l.turns }()
	return ask(ctx, l)
}

func overloadedOffsets(cause error) error {
	e := stream.Errorf(stream.Overloaded, "too many positions are being committed; try again a little later").WithOutcome(stream.NotStored).Because(cause)
	e.RetryAfter = retryOverloaded
	return e
}

// offsetsError makes the gateway's error of one of either library: Kafka's codes
// are the same in both.
func offsetsError(ctx context.Context, err error) error {
	err = kafkaError(err)
	switch {
	case is(err, ckafka.ErrUnknownMemberID, ckafka.ErrIllegalGeneration, ckafka.ErrRebalanceInProgress, ckafka.ErrStaleMemberEpoch, ckafka.ErrFencedMemberEpoch, ckafka.ErrNonEmptyGroup):
		return stream.Errorf(stream.GroupActive, "the group has members: another program reads as it; end that program, or give the subscription a group of its own").Because(err)
	case is(err, ckafka.ErrOffsetMetadataTooLarge):
		return stream.Errorf(stream.InvalidRequest, "the brokers take less metadata with an offset than there is; ask who runs Kafka to raise offset.metadata.max.bytes to 4096").Because(err)
	}
	return commitError(ctx, err)
}

// list asks through librdkafka.
func (o *Offsets) list(ctx context.Context, group string) ([]stream.GroupOffset, error) {
	ask := []ckafka.ConsumerGroupTopicPartitions{{Group: group}}
	h := o.cluster.handle
	r, err := use(h, func() (ckafka.ListConsumerGroupOffsetsResult, error) {
		return h.admin.ListConsumerGroupOffsets(ctx, ask, ckafka.SetAdminRequestTimeout(callTimeout), ckafka.SetAdminRequireStableOffsets(true))
	})
	if err == nil {
		err = partitionError(r.ConsumerGroupsTopicPartitions)
	}
	if err != nil {
		return nil, err
	}
	var all []stream.GroupOffset
	for _, tp := range r.ConsumerGroupsTopicPartitions[0].Partitions {
		if id, ok := o.topics.Stream(*tp.Topic); ok && tp.Offset >= 0 {
			at := stream.GroupOffset{Partition: stream.Partition{Stream: id, Number: tp.Partition}, Offset: int64(tp.Offset)}
			if tp.Metadata != nil {
				at.Metadata = *tp.Metadata
			}
			all = append(all, at)
		}
	}
	return all, nil
}

// alter commits through librdkafka.
func (o *Offsets) alter(ctx context.Context, group string, offsets []stream.GroupOffset) error {
	parts := make([]ckafka.TopicPartition, len(offsets))
	for i, at := range offsets {
		parts[i] = place{o.topics.Topic(at.Stream), at.Number}.at(at.Offset)
		parts[i].Metadata = &at.Metadata
	}
	h := o.cluster.handle
	r, err := use(h, func() (ckafka.AlterConsumerGroupOffsetsResult, error) {
		return h.admin.AlterConsumerGroupOffsets(ctx, []ckafka.ConsumerGroupTopicPartitions{{Group: group, Partitions: parts}}, ckafka.SetAdminRequestTimeout(callTimeout))
	})
	if err == nil {
		err = partitionError(r.ConsumerGroupsTopicPartitions)
	}
	return err
}

// remove deletes a group through librdkafka.
func (o *Offsets) remove(ctx context.Context, group string) error {
	h := o.cluster.handle
	r, err := use(h, func() (ckafka.DeleteConsumerGroupsResult, error) {
		return h.admin.DeleteConsumerGroups(ctx, []string{group}, ckafka.SetAdminRequestTimeout(callTimeout))
	})
	if err != nil {
		return err
	}
	for _, g := range r.ConsumerGroupResults {
		if g.Error.Code() != ckafka.ErrNoError {
			return g.Error
		}
	}
	return nil
}
