package kafka

import (
	"context"

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
