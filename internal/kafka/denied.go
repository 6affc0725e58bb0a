package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// right is what one of Kafka's ACLs allows, in Kafka's words.
type right struct {
	operation string // "WRITE"
	resource  string // "topic", "group"
	name      string
}

// of names the right in an error that says it is lacking. Others stay as they
// are.
func (r right) of(err error) error { return r.ofWho(gatewayItself, err) }

// gatewayItself is who lacks a right, unless it is a caller.
const gatewayItself = "the gateway"

// ofWho is of where somebody else may lack the right.
func (r right) ofWho(who string, err error) error {
	e, ok := errors.AsType[*stream.Error](err)
	about := []ckafka.ErrorCode{ckafka.ErrTopicAuthorizationFailed, ckafka.ErrClusterAuthorizationFailed}
	if r.resource == group {
		about = []ckafka.ErrorCode{ckafka.ErrGroupAuthorizationFailed}
	}
	if !ok || e.Code != stream.Forbidden || !is(e.Err, about...) {
		return err
	}
	own := *e
	own.Message = fmt.Sprintf("Kafka denies %s %s on the %s %s; ask who runs Kafka for that ACL", who, r.operation, r.resource, r.name)
	return &own
}

// The resources, in Kafka's words.
const (
	topic = "topic"
	group = "group"
)

func onTopic(operation, name string) right { return right{operation, topic, name} }
func onGroup(name string) right            { return right{"READ", group, name} }

// deniedFor is how long nothing is published after Kafka refused to let the
// gateway publish anything at all.
const deniedFor = time.Second

// denial remembers when that was. A user who may write to no topic gets no
// producer id, and librdkafka gives the whole producer up; without a pause each
// record would cost another one.
type denial struct {
	who   string       // may not publish; "": the gateway
	until atomic.Int64 // Unix nanoseconds
}

// take notes that a producer ended so.
func (d *denial) take(err ckafka.Error) {
	if err.IsFatal() && err.Code() == ckafka.ErrClusterAuthorizationFailed {
		d.until.Store(time.Now().Add(deniedFor).UnixNano())
	}
}

// error gives the reason why nothing can be published now, or nil.
func (d *denial) error(name string) error {
	if time.Now().UnixNano() >= d.until.Load() {
		return nil
	}
	return onTopic("WRITE", name).ofWho(cmp.Or(d.who, gatewayItself), toError(ckafka.NewError(ckafka.ErrClusterAuthorizationFailed, "no producer id is given to a user who may write to no topic", false)))
}

// explain gives the reason why a record was given up with its producer.
func (d *denial) explain(name string, err error) error {
	if is(err, ckafka.ErrPurgeQueue, ckafka.ErrFatal) {
		if denied := d.error(name); denied != nil {
			return denied
		}
	}
	return onTopic("WRITE", name).ofWho(cmp.Or(d.who, gatewayItself), toError(err))
}
