package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/stream"
)

// fetch asks through franz-go.
func (o *Offsets) fetch(ctx context.Context, c *kgo.Client, group string) ([]stream.GroupOffset, error) {
	answers, err := kadm.NewClient(c).FetchOffsets(kadm.RequireStable(ctx), group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var all []stream.GroupOffset
	for _, a := range answers.Sorted() {
		if a.Err != nil {
			return nil, a.Err
		}
		if id, ok := o.topics.Stream(a.Topic); ok && a.At >= 0 {
			all = append(all, stream.GroupOffset{
				Partition: stream.Partition{Stream: id, Number: a.Partition}, Offset: a.At, Metadata: a.Metadata,
			})
		}
	}
	return all, nil
}

// remove deletes a group through franz-go.
func remove(ctx context.Context, c *kgo.Client, group string) error {
	answer, err := kadm.NewClient(c).DeleteGroup(ctx, group)
	if err != nil {
		return err
	}
	return answer.Err
}

// send commits through franz-go, as one who is no member.
func (o *Offsets) send(ctx context.Context, c *kgo.Client, group string, offsets []stream.GroupOffset) error {
	req, err := o.request(group, offsets)
	if err != nil {
		return err
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// request puts offsets, which are sorted, into one question. Its versions from
// 10 on name topics by their ids (KIP-848), those before by their names.
func (o *Offsets) request(group string, offsets []stream.GroupOffset) (*kmsg.OffsetCommitRequest, error) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	for _, at := range offsets {
		topic := o.topics.Topic(at.Stream)
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != topic {
			t := kmsg.NewOffsetCommitRequestTopic()
			id, err := topicID(at.TopicID)
			if err != nil {
				return nil, unexpected(err)
			}
			t.Topic, t.TopicID = topic, id
			req.Topics = append(req.Topics, t)
		}
		t := &req.Topics[len(req.Topics)-1]
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = at.Number, at.Offset, &at.Metadata
		t.Partitions = append(t.Partitions, p)
	}
	return req, nil
}

// topicID reads a topic's id as librdkafka writes it.
func topicID(text string) (id [16]byte, err error) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(b) != len(id) {
		err = errors.New("the id of a topic is not 16 bytes long")
	}
	copy(id[:], b)
	return id, err
}
