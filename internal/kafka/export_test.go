package kafka

import (
	"context"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// FailFatally makes librdkafka raise a fatal error in the producer, as it does
// when a record was lost in a way that idempotence forbids.
func (p *Producer) FailFatally() {
	p.current.Load().handle.TestFatalError(ckafka.ErrOutOfOrderSequenceNumber, "raised by a test")
}

// Examine gives what is found by talking to the options' servers, without a
// client of librdkafka, which may not be built with what the options ask for.
func Examine(ctx context.Context, o Options) string {
	o, _ = o.effective()
	return prober{o}.examineAll(ctx).text
}

// AskFirst makes a consumer and asks through it, before anything was polled.
func (c *Cluster) AskFirst(timeoutMs int) error {
	consumer, err := c.consumer(nil)
	if err != nil {
		return err
	}
	defer consumer.Close()
	_, err = consumer.GetMetadata(nil, false, timeoutMs)
	return err
}

// Believe makes the producer take a partition for one that has just stored a
// record without a key, for an hour.
func (p *Producer) Believe(topic string, partition int32) {
	pair := p.pairs.of(topic)
	pair.other.Store(partition)
	pair.stored.Store(time.Now().Add(time.Hour).UnixMilli())
}
