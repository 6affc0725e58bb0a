package kafka

import (
	"context"
	"net"
	"slices"
	"strings"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/stream"
)

// Groups looks at consumer groups, whoever's members they have, and changes
// those that have none. It may be used by any number of goroutines. It knows
// nothing of lag, which needs the ends of streams too, and is no member of any
// group: that is Member.
//
// It asks on the connections of an Offsets, through franz-go where that knows
// how to log in: librdkafka cannot delete single offsets, and asks about each
// group by itself.
type Groups struct {
	offsets *Offsets
}

// NewGroups makes one, which is good as long as the offsets are.
func NewGroups(o *Offsets) *Groups { return &Groups{offsets: o} }

// ownGroupMark is part of the ids of groups that gateways have among themselves.
var ownGroupMark = stream.Topics{}.Internal("")

// activeGroup are the errors of a group that has members.
var activeGroup = []ckafka.ErrorCode{
	ckafka.ErrNonEmptyGroup, ckafka.ErrGroupSubscribedToTopic, ckafka.ErrUnknownMemberID, ckafka.ErrIllegalGeneration,
	ckafka.ErrRebalanceInProgress, ckafka.ErrStaleMemberEpoch, ckafka.ErrFencedMemberEpoch,
}

// List gives the groups of consumers whose ids keep wants, sorted by id, with
// their members. Groups that gateways have among themselves, and those of other
// kinds of programs, are left out. Errors: Forbidden, KafkaUnavailable,
// Overloaded.
func (g *Groups) List(ctx context.Context, keep func(id string) bool) ([]stream.Group, error) {
	wanted := func(id string) bool { return !strings.Contains(id, ownGroupMark) && keep(id) }
	var found []stream.Group
	err := g.ask(ctx, "", right{operation: "DESCRIBE", resource: "cluster", name: "itself"}, func(ctx context.Context, l *lane) (err error) {
		if l.client == nil {
			found, err = g.listOfLibrdkafka(ctx, wanted)
			return err
		}
		return l.client.use(func(c *kgo.Client) (err error) {
			found, err = g.list(ctx, c, wanted)
			return err
		})
	})
	slices.SortFunc(found, func(a, b stream.Group) int { return strings.Compare(a.ID, b.ID) })
	return found, err
}

// Describe gives one group of consumers. Errors: UnknownGroup, Forbidden,
// KafkaUnavailable, Overloaded.
func (g *Groups) Describe(ctx context.Context, id string) (found stream.Group, err error) {
	err = g.ask(ctx, id, right{operation: "DESCRIBE", resource: group, name: id}, func(ctx context.Context, l *lane) (err error) {
		if l.client == nil {
			found, err = g.describeOfLibrdkafka(ctx, id)
			return err
		}
		return l.client.use(func(c *kgo.Client) (err error) {
			found, err = g.describe(ctx, c, id)
			return err
		})
	})
	if err == nil && found.State == stream.GroupGone {
		return found, unknownGroup(id)
	}
	return found, err
}

// Set makes offsets the group's, as Offsets.Commit does, all or none as far as
// Kafka tells before what it would refuse. The topic ids must be set: they are
// noted beside the offsets. Errors: GroupActive, Forbidden, UnknownStream,
// KafkaUnavailable, Overloaded.
func (g *Groups) Set(ctx context.Context, id string, offsets []stream.GroupOffset) error {
	if err := g.offsets.turn(ctx, id, func(ctx context.Context, l *lane) error {
		if l.client == nil {
			return nil
		}
		return groupError(ctx, id, l.client.use(func(c *kgo.Client) error { return g.readable(ctx, c, offsets) }))
	}); err != nil {
		return err
	}
	marked := slices.Clone(offsets)
	for i := range marked {
		marked[i].Metadata = commitMetadata(marked[i].TopicID)
	}
	err := g.offsets.Commit(ctx, id, marked)
	if stream.CodeOf(err) == stream.GroupActive {
		return groupActive(id).Because(err)
	}
	return err
}

// Forget deletes the group's offsets in partitions. Errors: GroupActive when
// its members read one of these streams, UnknownGroup, Forbidden,
// KafkaUnavailable, Overloaded; InvalidRequest where only librdkafka knows how
// to log in, which cannot do this.
func (g *Groups) Forget(ctx context.Context, id string, ps []stream.Partition) error {
	return g.ask(ctx, id, right{operation: "DELETE", resource: group, name: id}, func(ctx context.Context, l *lane) error {
		if l.client == nil {
			return stream.Errorf(stream.InvalidRequest, "this gateway logs in to Kafka in a way with which it cannot delete single offsets; delete the whole group, or use Kafka's own tools (kafka-consumer-groups --delete-offsets)")
		}
		return l.client.use(func(c *kgo.Client) error { return g.forget(ctx, c, id, ps) })
	})
}

// Delete deletes the group with all its offsets. Errors: GroupActive,
// UnknownGroup, Forbidden, KafkaUnavailable, Overloaded.
func (g *Groups) Delete(ctx context.Context, id string) error {
	return g.ask(ctx, id, right{operation: "DELETE", resource: group, name: id}, func(ctx context.Context, l *lane) error {
		return g.offsets.delete(ctx, l, id)
	})
}

// ask asks in the group's lane, and words the error; lacking is the right that
// may be missing.
func (g *Groups) ask(ctx context.Context, id string, lacking right, question func(context.Context, *lane) error) error {
	return g.offsets.turn(ctx, id, func(ctx context.Context, l *lane) error {
		return lacking.of(groupError(ctx, id, question(ctx, l)))
	})
}

func groupError(ctx context.Context, id string, err error) error {
	err = kafkaError(err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		e := stream.Errorf(stream.KafkaUnavailable, "Kafka did not answer in time; look what it is now, and try again").Because(err)
		e.RetryAfter = retryUnavailable
		return e
	case is(err, ckafka.ErrGroupIDNotFound):
		return unknownGroup(id).Because(err)
	case is(err, activeGroup...):
		return groupActive(id).Because(err)
	case is(err, ckafka.ErrInvalidGroupID):
		return stream.Errorf(stream.InvalidRequest, "Kafka refuses the id of the group").Because(err)
	}
	e := toError(err)
	if e.Code == stream.Internal {
		e.Code, e.Message, e.RetryAfter = stream.KafkaUnavailable, "Kafka did not do what was asked of it; try again a little later", retryUnavailable
	}
	return e
}

func unknownGroup(id string) *stream.Error {
	return stream.Errorf(stream.UnknownGroup, "there is no consumer group %q; GET /groups lists those there are", id)
}

func groupActive(id string) *stream.Error {
	return stream.Errorf(stream.GroupActive, "the consumer group %q has members: end the programs that read in it, in this gateway or elsewhere, and try again when GET /groups/{id} shows no members", id)
}

// share sorts what a member was assigned into partitions of streams and others.
func (g *Groups) share(m *stream.GroupMember, topic string, partitions []int32) {
	id, ok := g.offsets.topics.Stream(topic)
	if !ok {
		m.Others += len(partitions)
		return
	}
	for _, n := range partitions {
		m.Assignment = append(m.Assignment, stream.Partition{Stream: id, Number: n})
	}
}

// finish brings what Kafka says of a group into the gateway's words.
func finishGroup(g *stream.Group) {
	g.State = inWords(g.State)
	for i := range g.Members {
		m := &g.Members[i]
		m.Host = strings.TrimPrefix(m.Host, "/") // as Java writes an address
		if host, _, err := net.SplitHostPort(m.Host); err == nil {
			m.Host = host
		}
		slices.SortFunc(m.Assignment, comparePartitions)
	}
	slices.SortFunc(g.Members, func(a, b stream.GroupMember) int { return strings.Compare(a.ID, b.ID) })
}

// inWords writes "PreparingRebalance" as "preparing_rebalance".
func inWords(state string) string {
	var b strings.Builder
	for i, c := range state {
		if i > 0 && c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(c)
	}
	return strings.ToLower(b.String())
}

func comparePartitions(a, b stream.Partition) int {
	return compareOffsets(stream.GroupOffset{Partition: a}, stream.GroupOffset{Partition: b})
}

// CommittedElsewhere says of an offset whether the gateway's own commit of it
// was made in another topic than the one of that name that there is now. Of
// others' commits nobody knows.
func CommittedElsewhere(o stream.GroupOffset, l stream.Layout) bool {
	return otherTopic(&o.Metadata, l.TopicID)
}
