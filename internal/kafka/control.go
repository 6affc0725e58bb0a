package kafka

import (
	"fmt"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// control is the control connection's handle. Whoever asks something of it is
// inside until that is answered.
type control struct {
	gate
	producer *ckafka.Producer
	admin    *ckafka.AdminClient
}

// errClosed is what questions get after close.
var errClosed = ckafka.NewError(ckafka.ErrState, "the gateway is stopping", false)

func openControl(cfg ckafka.ConfigMap) (*control, error) {
	producer, err := ckafka.NewProducer(&cfg)
	if err != nil {
		return nil, fmt.Errorf("configure the Kafka client: %w", err)
	}
	admin, err := ckafka.NewAdminClientFromProducer(producer)
	if err != nil {
		producer.Close()
		return nil, fmt.Errorf("configure the Kafka administration client: %w", err)
	}
	return &control{producer: producer, admin: admin}, nil
}

// renew replaces the handle by one with other properties, when the questions
// under way are answered. After close it does nothing.
func (c *control) renew(cfg ckafka.ConfigMap) error {
	next, err := openControl(cfg)
	if err != nil {
		return err
	}
	c.hold()
	old, gone := c.producer, c.shut
	if !gone {
		c.producer, c.admin = next.producer, next.admin
	}
	c.release(false)
	if gone {
		next.end()
		return errClosed
	}
	old.Close() // whose events end with it
	return nil
}

// events gives those of the present handle.
func (c *control) events() chan ckafka.Event {
	c.hold()
	defer c.release(false)
	return c.producer.Events()
}

// end waits for the questions under way, and frees the handle, which also ends
// its events.
func (c *control) end() {
	c.close()
	c.producer.Close()
}

// use asks something of the handle unless it is gone.
func use[T any](c *control, ask func() (T, error)) (T, error) {
	if !c.enter() {
		var none T
		return none, errClosed
	}
	defer c.leave()
	return ask()
}

// GetMetadata asks about topics and brokers.
func (c *control) GetMetadata(topic *string, all bool, timeoutMs int) (*ckafka.Metadata, error) {
	return use(c, func() (*ckafka.Metadata, error) { return c.producer.GetMetadata(topic, all, timeoutMs) })
}

// QueryWatermarkOffsets asks for a partition's bounds.
func (c *control) QueryWatermarkOffsets(topic string, partition int32, timeoutMs int) (low, high int64, err error) {
	_, err = use(c, func() (struct{}, error) {
		low, high, err = c.producer.QueryWatermarkOffsets(topic, partition, timeoutMs)
		return struct{}{}, err
	})
	return low, high, err
}

// SetOAuthBearerToken gives the handle a token to log in with.
func (c *control) SetOAuthBearerToken(token ckafka.OAuthBearerToken) error {
	_, err := use(c, func() (struct{}, error) { return struct{}{}, c.producer.SetOAuthBearerToken(token) })
	return err
}

// SetOAuthBearerTokenFailure tells the handle that there is no token.
func (c *control) SetOAuthBearerTokenFailure(reason string) error {
	_, err := use(c, func() (struct{}, error) { return struct{}{}, c.producer.SetOAuthBearerTokenFailure(reason) })
	return err
}
