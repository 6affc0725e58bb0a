package kafka

import (
	"fmt"
	"maps"
	"slices"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// consumer makes a consumer without a group's duties: it is assigned explicit
// offsets, commits nothing, and says when it reaches the end. librdkafka wants
// a group name all the same.
func (c *Cluster) consumer(own ckafka.ConfigMap) (*ckafka.Consumer, error) {
	base := ckafka.ConfigMap{
		"group.id":                 c.group,
		"enable.auto.commit":       false,
		"enable.auto.offset.store": false,
		"auto.offset.reset":        "error",
		"enable.partition.eof":     true,
		"isolation.level":          "read_committed",
		"check.crcs":               true,
		"statistics.interval.ms":   0,
	}
	maps.Copy(base, own)
	cfg, err := c.config(base)
	if err != nil {
		return nil, err
	}
	consumer, err := ckafka.NewConsumer(&cfg)
	if err != nil {
		return nil, fmt.Errorf("configure a Kafka consumer: %w", err)
	}
	c.refresh("consumer", consumer) // else questions that come before the first poll wait for a token
	return consumer, nil
}

// record decodes a message of a stream.
func record(id string, m *ckafka.Message) stream.Record {
	r := stream.Record{
		Stream:    id,
		Partition: m.TopicPartition.Partition,
		Offset:    int64(m.TopicPartition.Offset),
		Timestamp: m.Timestamp.UTC(),
		Key:       m.Key,
		Value:     m.Value,
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, stream.Header{Name: h.Key, Value: slices.Clip(h.Value)})
	}
	r.Interpret()
	return r
}
