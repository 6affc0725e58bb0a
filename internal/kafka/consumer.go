package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// consumer makes a consumer without a group's duties: it is assigned explicit
// offsets, commits nothing, and says when it reaches the end. librdkafka wants
// a group name all the same.
func (c *Cluster) consumer(own ckafka.ConfigMap) (*ckafka.Consumer, error) {
	return c.consumerAs(c.creds.current.Load(), own)
}

// consumerAs is consumer with given credentials.
func (c *Cluster) consumerAs(i *identity, own ckafka.ConfigMap) (*ckafka.Consumer, error) {
	base := ckafka.ConfigMap{
		"group.id":                 c.group,
		"enable.auto.commit":       false,
		"enable.auto.offset.store": false,
		"auto.offset.reset":        "error",
		"enable.partition.eof":     true,
		"isolation.level":          c.isolation,
		"check.crcs":               true,
		"statistics.interval.ms":   0,
	}
	maps.Copy(base, own)
	cfg, err := c.configAs(i, base)
	if err != nil {
		return nil, err
	}
	hush(cfg)
	consumer, err := ckafka.NewConsumer(&cfg)
	if err != nil {
		return nil, fmt.Errorf("configure a Kafka consumer: %w", err)
	}
	c.refresh("consumer", consumer) // else questions that come before the first poll wait for a token
	return consumer, nil
}

// consumerStatistics is how often consumers tell their statistics, in
// milliseconds: what they tell grows with the partitions that they read.
const consumerStatistics = 15_000

// statisticsInterval is for consumers that somebody polls all the time: what
// the others tell would pile up.
func (c *Cluster) statisticsInterval() ckafka.ConfigValue {
	configured, err := c.creds.options().clientConfig()
	if interval, set := configured["statistics.interval.ms"]; err == nil && set {
		return interval
	}
	return consumerStatistics
}

// hush leaves out a client's log lines, unless somebody has asked for lines:
// for them a thread of each client would ask ten times a second whether there
// are any. What goes wrong comes as an event too, and the control connection
// has the same lines about the same brokers.
func hush(cfg ckafka.ConfigMap) {
	for _, asked := range []string{"debug", "log_level"} {
		if _, set := cfg[asked]; set {
			return
		}
	}
	delete(cfg, "go.logs.channel")
	cfg["go.logs.channel.enable"] = false
	cfg["log_level"] = 0 // emergencies, to stderr
}

// closed ends a consumer that is of no use any more.
func (c *Cluster) closed(client string, consumer *ckafka.Consumer) {
	if err := consumer.Close(); err != nil {
		c.log.Debug("a consumer did not close well", slog.String("client", client), slog.Any("error", err))
	}
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

// locateTimeout bounds how long a consumer waits for what locate asks.
const locateTimeout = 2 * time.Second

// locate asks for the first offsets of partitions through the consumer that will
// read them, which so learns where they are: otherwise an assignment of a topic
// that it does not know waits for a scan, once a second. A partition that does
// not exist has an error; of one that Kafka says nothing about now the offset is
// below 0.
func locate(ctx context.Context, c *ckafka.Consumer, places []place) (map[place]offset, error) {
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	found := make(map[place]offset, len(places))
	stale, err := askBegins(ctx, c, places, found)
	if err != nil || len(stale) == 0 {
		return found, err
	}
	there, err := lookAgain(ctx, c, stale, found)
	if err != nil || len(there) == 0 {
		return found, err
	}
	_, err = askBegins(ctx, c, there, found)
	return found, err
}

// askBegins asks once, notes what it found, and gives the partitions that the
// consumer knows too little of.
func askBegins(ctx context.Context, c *ckafka.Consumer, places []place, found map[place]offset) (stale []place, err error) {
	question := make([]ckafka.TopicPartition, len(places))
	for i, p := range places {
		question[i] = p.at(int64(ckafka.OffsetBeginning))
	}
	var answers []ckafka.TopicPartition
	err = askAgain(ctx, func() error {
		answers, err = c.OffsetsForTimes(question, timeout(ctx))
		return err
	})
	switch {
	case is(err, staleLayout...): // of none of them
		for _, p := range places {
			found[p] = offset{value: -1}
		}
		return places, nil
	case err != nil:
		return nil, toError(err)
	}
	for _, a := range answers {
		p := placeOf(a)
		found[p] = offset{value: int64(a.Offset)}
		if a.Error != nil {
			found[p] = offset{value: -1}
		}
		if is(a.Error, staleLayout...) {
			stale = append(stale, p)
		}
	}
	return stale, nil
}
