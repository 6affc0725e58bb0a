package embedded

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxPartitions is the most partitions of one topic. Kafka has no such limit,
// but here each of them takes memory in the gateway's own process, and one
// request must not be able to use it up.
const maxPartitions = 10_000

// metadata refuses to look up, or to create by looking up, a bad name.
func (r *rules) metadata(request kmsg.Request) kmsg.Response {
	req := request.(*kmsg.MetadataRequest)
	for _, t := range req.Topics {
		// A fault that selects the empty name would select every topic, and
		// kfake does not create that one.
		if t.Topic == nil || *t.Topic == "" {
			continue
		}
		if why := checkName(*t.Topic); why != nil {
			r.refuse(req, kfake.Fault{Topic: *t.Topic}, why)
		}
	}
	return nil
}

// createTopics refuses what Kafka refuses. Where nothing is left to do it
// answers itself, with a message for each topic; otherwise kfake creates the
// good topics and answers the bad ones with the code alone.
func (r *rules) createTopics(request kmsg.Request) kmsg.Response {
	req := request.(*kmsg.CreateTopicsRequest)
	clear(r.compact)
	refused := make(map[string]*refusal)
	for i := range req.Topics {
		if why := checkTopic(&req.Topics[i]); why != nil {
			refused[req.Topics[i].Topic] = why
		}
	}
	// A fault cannot select the topic without a name, so that one takes the
	// others of its request with it.
	if len(refused) > 0 && (len(refused) == len(req.Topics) || refused[""] != nil) {
		return refuseTopics(req, refused)
	}
	for name, why := range refused {
		r.refuse(req, kfake.Fault{Topic: name}, why)
	}
	for i := range req.Topics {
		for j := range req.Topics[i].Configs {
			hide(&req.Topics[i].Configs[j].Name)
		}
	}
	return nil
}

func refuseTopics(req *kmsg.CreateTopicsRequest, refused map[string]*refusal) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	for _, t := range req.Topics {
		why := refused[t.Topic]
		if why == nil {
			why = &refusal{kerr.InvalidRequest, "Another topic of the request has no name: nothing was created"}
		}
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, why.err.Code, &why.message
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func checkTopic(t *kmsg.CreateTopicsRequestTopic) *refusal {
	if why := checkName(t.Topic); why != nil {
		return why
	}
	if n := max(int(t.NumPartitions), len(t.ReplicaAssignment)); t.NumPartitions < -1 || n > maxPartitions {
		return badCount(n)
	}
	if t.ReplicationFactor == 0 || t.ReplicationFactor < -1 {
		return &refusal{kerr.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value."}
	}
	after := make(configs, len(t.Configs))
	for _, c := range t.Configs {
		if why := checkConfig(c.Name, c.Value); why != nil {
			return why
		}
		after[c.Name] = *c.Value
	}
	return after.check()
}

// deleteTopics changes nothing: it forgets what is known of the topics.
func (r *rules) deleteTopics(kmsg.Request) kmsg.Response {
	clear(r.compact)
	return nil
}

func (r *rules) createPartitions(request kmsg.Request) kmsg.Response {
	req := request.(*kmsg.CreatePartitionsRequest)
	for _, t := range req.Topics {
		if t.Count > maxPartitions && t.Topic != "" {
			r.refuse(req, kfake.Fault{Topic: t.Topic}, badCount(int(t.Count)))
		}
	}
	return nil
}

func badCount(n int) *refusal {
	return &refusal{kerr.InvalidPartitions, fmt.Sprintf("%d partitions: the embedded broker takes 1 to %d a topic", n, maxPartitions)}
}
