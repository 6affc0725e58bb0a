package kafka

import (
	"context"
	"slices"
	"strings"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// listOfLibrdkafka lists where only librdkafka knows how to log in.
func (g *Groups) listOfLibrdkafka(ctx context.Context, keep func(string) bool) ([]stream.Group, error) {
	h := g.offsets.cluster.handle
	r, err := use(h, func() (ckafka.ListConsumerGroupsResult, error) {
		return h.admin.ListConsumerGroups(ctx, ckafka.SetAdminRequestTimeout(callTimeout))
	})
	if err != nil {
		return nil, err
	}
	if len(r.Errors) > 0 {
		return nil, r.Errors[0]
	}
	var ids []string
	for _, l := range r.Valid {
		if keep(l.GroupID) {
			ids = append(ids, l.GroupID)
		}
	}
	var found []stream.Group
	for chunk := range slices.Chunk(ids, groupsAtOnce) {
		some, err := g.describeEach(ctx, chunk)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return slices.DeleteFunc(found, func(g stream.Group) bool { return g.State == stream.GroupGone }), nil
}

// describeOfLibrdkafka describes one group.
func (g *Groups) describeOfLibrdkafka(ctx context.Context, id string) (stream.Group, error) {
	found, err := g.describeEach(ctx, []string{id})
	if err != nil || len(found) == 0 {
		return stream.Group{State: stream.GroupGone}, err
	}
	return found[0], nil
}

func (g *Groups) describeEach(ctx context.Context, ids []string) ([]stream.Group, error) {
	h := g.offsets.cluster.handle
	r, err := use(h, func() (ckafka.DescribeConsumerGroupsResult, error) {
		return h.admin.DescribeConsumerGroups(ctx, ids, ckafka.SetAdminRequestTimeout(callTimeout))
	})
	if err != nil {
		return nil, err
	}
	var found []stream.Group
	for _, d := range r.ConsumerGroupDescriptions {
		out := stream.Group{
			ID: d.GroupID, State: d.State.String(), Protocol: strings.ToLower(d.Type.String()), Assignor: d.PartitionAssignor, Coordinator: int32(d.Coordinator.ID),
		}
		switch {
		case is(d.Error, ckafka.ErrGroupIDNotFound):
			out.State = stream.GroupGone
		case d.Error.Code() != ckafka.ErrNoError:
			return nil, d.Error
		case out.Protocol != stream.GroupConsumer:
			out.Protocol = stream.GroupClassic
		}
		for _, m := range d.Members {
			member := stream.GroupMember{ID: m.ConsumerID, InstanceID: m.GroupInstanceID, ClientID: m.ClientID, Host: m.Host}
			for _, tp := range m.Assignment.TopicPartitions {
				g.share(&member, *tp.Topic, []int32{tp.Partition})
			}
			out.Members = append(out.Members, member)
		}
		finishGroup(&out)
		found = append(found, out)
	}
	return found, nil
}
