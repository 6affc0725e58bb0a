package kafka

import (
	"log/slog"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// Trouble says why this gateway is not in the fleet, and what to do; nil while
// it is in it, or on its way into it. The error's code is Forbidden where Kafka
// refuses it. What other gateways do, it does not know.
func (f *Fleet) Trouble() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trouble == nil {
		return nil
	}
	return f.trouble
}

// outside notes that Kafka does not take the gateway into the group. It tries
// again all the time; the log is told when there is something new.
func (f *Fleet) outside(cause error) {
	trouble := f.remedy(cause)
	f.mu.Lock()
	known := f.trouble != nil && f.trouble.Message == trouble.Message
	f.trouble = trouble
	f.mu.Unlock()
	f.cluster.metrics.fleetRefused.Set(1)
	if !known {
		f.log.Error("this gateway delivers no subscriptions; it tries again all the time", slog.String("remedy", trouble.Message), slog.Any("error", cause))
	}
}

// inside notes that the gateway is a member.
func (f *Fleet) inside() {
	f.mu.Lock()
	was := f.trouble
	f.trouble = nil
	f.mu.Unlock()
	f.cluster.metrics.fleetRefused.Set(0)
	if was != nil {
		f.log.Info("this gateway takes part in deliveries again")
	}
}

// remedy says in words for who runs the gateway what would help.
func (f *Fleet) remedy(cause error) *stream.Error {
	e := toError(cause)
	switch {
	case is(cause, ckafka.ErrGroupAuthorizationFailed):
		e.Message = "Kafka does not let the gateway share in the deliveries: grant its principal READ on the group " + f.o.Group
	case is(cause, ckafka.ErrTopicAuthorizationFailed):
		e.Message = "Kafka does not let the gateway share in the deliveries: grant its principal READ and DESCRIBE on the topic " + f.o.Topic
	case is(cause, ckafka.ErrInconsistentGroupProtocol):
		e.Message = "another program is a member of the group " + f.o.Group + ", which is the gateways' own: end that program"
	case is(cause, ckafka.ErrInvalidSessionTimeout):
		e.Message = "the brokers refuse a session of 6s: set their group.min.session.timeout.ms to 6000 or less"
	default:
		e.Message = "the gateway could not share in the deliveries: its log says why"
	}
	return e
}
