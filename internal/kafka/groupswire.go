package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/stream"
)

// groupsAtOnce is how many groups are described in one question.
const groupsAtOnce = 500

// consumerProtocol is the type of groups of consumers, as opposed to, say, those
// of Kafka Connect; one that has only offsets has none.
const consumerProtocol = "consumer"

// list asks through franz-go. An answer that a broker does not give makes the
// whole an error: a part would be taken for all.
func (g *Groups) list(ctx context.Context, c *kgo.Client, keep func(string) bool) ([]stream.Group, error) {
	var classic, consumer []string
	for _, shard := range c.RequestSharded(ctx, kmsg.NewPtrListGroupsRequest()) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		resp := shard.Resp.(*kmsg.ListGroupsResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return nil, err
		}
		for _, l := range resp.Groups {
			switch {
			case l.ProtocolType != "" && l.ProtocolType != consumerProtocol, !keep(l.Group):
			case strings.EqualFold(l.GroupType, stream.GroupConsumer):
				consumer = append(consumer, l.Group)
			case l.GroupType == "" || strings.EqualFold(l.GroupType, stream.GroupClassic):
				classic = append(classic, l.Group)
			}
		}
	}
	found, err := inChunks(ctx, c, classic, g.describeClassic)
	if err != nil {
		return nil, err
	}
	more, err := inChunks(ctx, c, consumer, g.describeConsumer)
	if err != nil {
		return nil, err
	}
	found = append(found, more...)
	return slices.DeleteFunc(found, func(g stream.Group) bool { return g.State == stream.GroupGone }), nil
}

type describer func(ctx context.Context, c *kgo.Client, ids ...string) ([]stream.Group, error)

func inChunks(ctx context.Context, c *kgo.Client, ids []string, describe describer) (all []stream.Group, err error) {
	for chunk := range slices.Chunk(ids, groupsAtOnce) {
		some, err := describe(ctx, c, chunk...)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// describe asks about one group. Which protocol it has is not known: to the
// question about the other one it does not exist. Brokers before Kafka 3.7 know
// of one protocol alone.
func (g *Groups) describe(ctx context.Context, c *kgo.Client, id string) (stream.Group, error) {
	found, err := g.describeConsumer(ctx, c, id)
	if err == nil && found[0].State == stream.GroupGone || errors.Is(err, kerr.UnsupportedVersion) || err != nil && tooOld(err) {
		found, err = g.describeClassic(ctx, c, id)
	}
	if err != nil {
		return stream.Group{}, err
	}
	return found[0], nil
}

// tooOld says whether a broker does not know a question at all.
func tooOld(err error) bool { return strings.Contains(err.Error(), "broker is too old") }

// describeClassic gives the groups in the order of the ids. One that is of
// another protocol, or not of consumers, or not there, is GroupGone.
func (g *Groups) describeClassic(ctx context.Context, c *kgo.Client, ids ...string) ([]stream.Group, error) {
	answers, err := kadm.NewClient(c).DescribeGroups(ctx, ids...)
	if err != nil {
		return nil, err
	}
	found := make([]stream.Group, len(ids))
	for i, id := range ids {
		found[i] = stream.Group{ID: id, Protocol: stream.GroupClassic, State: stream.GroupGone}
		a := answers[id]
		if a.Err != nil && !errors.Is(a.Err, kerr.GroupIDNotFound) {
			return nil, a.Err
		}
		if a.Err != nil || a.State == "" || a.ProtocolType != "" && a.ProtocolType != consumerProtocol {
			continue
		}
		found[i].State, found[i].Assignor, found[i].Coordinator = a.State, a.Protocol, a.Coordinator.NodeID
		for _, m := range a.Members {
			found[i].Members = append(found[i].Members, g.classicMember(m))
		}
		finishGroup(&found[i])
	}
	return found, nil
}

func (g *Groups) classicMember(m kadm.DescribedGroupMember) stream.GroupMember {
	out := stream.GroupMember{ID: m.MemberID, InstanceID: deref(m.InstanceID), ClientID: m.ClientID, Host: m.ClientHost}
	if assigned, ok := m.Assigned.AsConsumer(); ok {
		for _, t := range assigned.Topics {
			g.share(&out, t.Topic, t.Partitions)
		}
	}
	return out
}

// describeConsumer is describeClassic for KIP-848.
func (g *Groups) describeConsumer(ctx context.Context, c *kgo.Client, ids ...string) ([]stream.Group, error) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = ids
	names := topicNames{c: c}
	found := map[string]stream.Group{}
	for _, shard := range c.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, a := range shard.Resp.(*kmsg.ConsumerGroupDescribeResponse).Groups {
			err := kerr.ErrorForCode(a.ErrorCode)
			if errors.Is(err, kerr.GroupIDNotFound) {
				continue
			} else if err != nil {
				return nil, err
			}
			out := stream.Group{ID: a.Group, Protocol: stream.GroupConsumer, State: a.State, Assignor: a.AssignorName, Coordinator: shard.Meta.NodeID}
			for _, m := range a.Members {
				member := stream.GroupMember{ID: m.MemberID, InstanceID: deref(m.InstanceID), ClientID: m.ClientID, Host: m.ClientHost}
				for _, t := range m.Assignment.TopicPartitions {
					name, err := names.of(ctx, t)
					if err != nil {
						return nil, err
					}
					g.share(&member, name, t.Partitions)
				}
				out.Members = append(out.Members, member)
			}
			finishGroup(&out)
			found[a.Group] = out
		}
	}
	all := make([]stream.Group, len(ids))
	for i, id := range ids {
		all[i] = found[id]
		if _, there := found[id]; !there {
			all[i] = stream.Group{ID: id, Protocol: stream.GroupConsumer, State: stream.GroupGone}
		}
	}
	return all, nil
}

// topicNames finds the names of topics that are told by their ids alone, as the
// embedded broker does.
type topicNames struct {
	c    *kgo.Client
	byID map[kadm.TopicID]string
}

func (n *topicNames) of(ctx context.Context, t kmsg.AssignmentTopicPartition) (string, error) {
	if t.Topic != "" {
		return t.Topic, nil
	}
	if n.byID == nil {
		topics, err := kadm.NewClient(n.c).ListTopics(ctx)
		if err != nil {
			return "", err
		}
		n.byID = map[kadm.TopicID]string{}
		for _, t := range topics {
			n.byID[t.ID] = t.Topic
		}
	}
	return n.byID[t.TopicID], nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// forget deletes offsets through franz-go.
func (g *Groups) forget(ctx context.Context, c *kgo.Client, id string, ps []stream.Partition) error {
	topics := kadm.TopicsSet{}
	for _, p := range ps {
		topics.Add(g.offsets.topics.Topic(p.Stream), p.Number)
	}
	answer, err := kadm.NewClient(c).DeleteOffsets(ctx, id, topics)
	if err != nil {
		return err
	}
	return answer.Error()
}

// readable says whether offsets may be committed in all of their streams: Kafka
// would commit those in the others all the same. Brokers that do not tell what
// is allowed, or ask nobody, leave that to the commit.
func (g *Groups) readable(ctx context.Context, c *kgo.Client, offsets []stream.GroupOffset) error {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	named := map[string]bool{}
	for _, o := range offsets {
		name := g.offsets.topics.Topic(o.Stream)
		if !named[name] {
			named[name] = true
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = &name
			req.Topics = append(req.Topics, t)
		}
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		told := t.AuthorizedOperations > 0
		if told && t.AuthorizedOperations&(1<<kadm.OpRead) == 0 {
			denied := ckafka.NewError(ckafka.ErrTopicAuthorizationFailed, "offsets may not be committed in it", false)
			return onTopic("READ", deref(t.Topic)).of(toError(denied))
		}
	}
	return nil
}
