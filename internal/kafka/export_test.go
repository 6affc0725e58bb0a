package kafka

import ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

// FailFatally makes librdkafka raise a fatal error in the producer, as it does
// when a record was lost in a way that idempotence forbids.
func (p *Producer) FailFatally() {
	p.current.Load().handle.TestFatalError(ckafka.ErrOutOfOrderSequenceNumber, "raised by a test")
}
