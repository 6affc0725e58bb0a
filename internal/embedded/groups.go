package embedded

import (
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetFetch answers for a group that nobody used yet as Kafka does: no
// offset (-1) for each partition, and no error. kfake would say
// GROUP_ID_NOT_FOUND, and a consumer that starts from committed offsets would
// never start. Requests about existing groups alone are left to kfake.
func (r *rules) offsetFetch(request kmsg.Request) kmsg.Response {
	req := request.(*kmsg.OffsetFetchRequest)
	if req.Version < 8 {
		if r.cluster.GroupInfo(req.Group) != nil {
			return nil
		}
		return fetchOld(req)
	}
	groups := make([]*kfake.GroupInfo, len(req.Groups))
	unknown := false
	for i, g := range req.Groups {
		groups[i] = r.cluster.GroupInfo(g.Group)
		unknown = unknown || groups[i] == nil
	}
	if !unknown {
		return nil
	}
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	for i, g := range req.Groups {
		resp.Groups = append(resp.Groups, r.fetchGroup(g, groups[i]))
	}
	return resp
}

// fetchOld answers the request of before version 8, which is about one group.
func fetchOld(req *kmsg.OffsetFetchRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch = p, -1, -1
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// fetchGroup answers for one group of several; info is nil where there is no
// such group.
func (r *rules) fetchGroup(g kmsg.OffsetFetchRequestGroup, info *kfake.GroupInfo) kmsg.OffsetFetchResponseGroup {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = g.Group
	topics := g.Topics
	if topics == nil && info != nil {
		topics = r.allTopics(info)
	}
	for _, t := range topics {
		name := t.Topic
		if topic := r.cluster.TopicIDInfo(t.TopicID); topic != nil {
			name = topic.Topic
		}
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rt.Partitions = append(rt.Partitions, committed(info, name, p))
		}
		out.Topics = append(out.Topics, rt)
	}
	return out
}

func committed(info *kfake.GroupInfo, topic string, partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	rp.Partition, rp.Offset, rp.LeaderEpoch = partition, -1, -1
	if info == nil {
		return rp
	}
	if c, ok := info.Commits[topic][partition]; ok {
		rp.Offset, rp.LeaderEpoch, rp.Metadata = c.Offset, c.LeaderEpoch, &c.Metadata
	}
	return rp
}

// allTopics lists what a group has committed, for a request that asks for
// everything.
func (r *rules) allTopics(info *kfake.GroupInfo) []kmsg.OffsetFetchRequestGroupTopic {
	var topics []kmsg.OffsetFetchRequestGroupTopic
	for name, partitions := range info.Commits {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic = name
		if topic := r.cluster.TopicInfo(name); topic != nil {
			t.TopicID = topic.TopicID
		}
		for p := range partitions {
			t.Partitions = append(t.Partitions, p)
		}
		topics = append(topics, t)
	}
	return topics
}
