package kafka

import (
	"context"
	"errors"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// How long franz-go's client believes what it knows of a topic, and how often it
// asks again by itself: listOffsets has its own patience.
const (
	wireMetadataAge = 100 * time.Millisecond
	wireRetries     = 2
)

// offsetsRequest asks for one offset of each partition (KIP-79, KIP-98).
func offsetsRequest(places []place, spec ckafka.OffsetSpec, isolation string) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1 // a consumer
	if isolation == readCommitted {
		req.IsolationLevel = 1
	}
	topics := map[string]int{}
	seen := make(map[place]bool, len(places))
	for _, p := range places {
		if seen[p] {
			continue
		}
		seen[p] = true
		i, known := topics[p.topic]
		if !known {
			i = len(req.Topics)
			topics[p.topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = p.topic
			req.Topics = append(req.Topics, t)
		}
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p.partition, int64(spec)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, part)
	}
	return req
}

// askOffsets asks the leaders, each once. A partition that has an error has it
// in the answer; where a broker did not answer, that is the error of all.
func askOffsets(ctx context.Context, client *kgo.Client, req *kmsg.ListOffsetsRequest) (map[place]offset, error) {
	found := map[place]offset{}
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			err := kafkaError(shard.Err)
			if _, theirs := errors.AsType[ckafka.Error](err); !theirs {
				return nil, adminError(err)
			}
			for _, t := range shard.Req.(*kmsg.ListOffsetsRequest).Topics {
				for _, p := range t.Partitions {
					found[place{t.Topic, p.Partition}] = offset{value: -1, err: err}
				}
			}
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				found[place{t.Topic, p.Partition}] = offset{value: p.Offset, err: kafkaError(kerr.ErrorForCode(p.ErrorCode))}
			}
		}
	}
	return found, nil
}

// kafkaError makes librdkafka's error of one of franz-go's, where it is Kafka's
// own: the codes are the same.
func kafkaError(err error) error {
	theirs, ok := errors.AsType[*kerr.Error](err)
	if !ok {
		return err
	}
	return ckafka.NewError(ckafka.ErrorCode(theirs.Code), err.Error(), false)
}
