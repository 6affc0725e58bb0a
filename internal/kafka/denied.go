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
	who       string // lacks it; "": the gateway
}

// of names the right in an error that says it is lacking. Others stay as they
// are.
func (r right) of(err error) error {
	e, ok := errors.AsType[*stream.Error](err)
	about := []ckafka.ErrorCode{ckafka.ErrTopicAuthorizationFailed, ckafka.ErrClusterAuthorizationFailed}
	if r.resource == group {
		about = []ckafka.ErrorCode{ckafka.ErrGroupAuthorizationFailed}
	}
	if !ok || e.Code != stream.Forbidden || !is(e.Err, about...) {
		return err
	}
	own := *e
	own.Message = fmt.Sprintf("Kafka denies %s %s on the %s %s; ask who runs Kafka for that ACL", cmp.Or(r.who, "the gateway"), r.operation, r.resource, r.name)
	return &own
}

// The resources, in Kafka's words.
const (
	topic = "topic"
	group = "group"
)

func onTopic(operation, name string) right { return right{operation, topic, name, ""} }
func onGroup(name string) right            { return right{"READ", group, name, ""} }

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

func (d *denial) write(topic string) right { return right{"WRITE", "topic", topic, d.who} }

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
	return d.write(name).of(toError(ckafka.NewError(ckafka.ErrClusterAuthorizationFailed, "no producer id is given to a user who may write to no topic", false)))
}

// explain gives the reason why a record was given up with its producer.
func (d *denial) explain(name string, err error) error {
	if is(err, ckafka.ErrPurgeQueue, ckafka.ErrFatal) {
		if denied := d.error(name); denied != nil {
			return denied
		}
	}
	return d.write(name).of(toError(err))
}
