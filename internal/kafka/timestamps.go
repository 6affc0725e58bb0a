package kafka

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// believeFor is how long a topic's timestamp type is believed to be the same.
const believeFor = time.Minute

// timestampTypes knows which topics keep the time that a record was published
// with. Others (message.timestamp.type=LogAppendTime) get the broker's, which
// delivery reports do not tell; then the gateway does not tell any.
type timestampTypes struct {
	cluster *Cluster
	topics  sync.Map // topic → timestampType
	asking  singleflight.Group
}

type timestampType struct {
	kept  bool // CreateTime
	asked time.Time
}

// kept says whether the topic keeps the publisher's time, as far as is known
// without asking. An answer that is too old is renewed in the background.
func (t *timestampTypes) kept(topic string) (kept, known bool) {
	v, known := t.topics.Load(topic)
	if !known {
		return false, false
	}
	found := v.(timestampType)
	if time.Since(found.asked) > believeFor {
		t.topics.Store(topic, timestampType{found.kept, time.Now()}) // one asks for all
		t.cluster.spawn(func() { t.ask(topic) })
	}
	return found.kept, true
}

// ask asks Kafka. A gateway that may not know (DESCRIBE_CONFIGS) says that the
// time is not kept.
func (t *timestampTypes) ask(topic string) (kept bool) {
	v, _, _ := t.asking.Do(topic, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		defer cancel()
		cfg, err := t.cluster.topicConfig(ctx, topic, true)
		found := timestampType{err == nil && cfg["message.timestamp.type"] == "CreateTime", time.Now()}
		t.topics.Store(topic, found)
		return found, nil
	})
	return v.(timestampType).kept
}

// forget makes the next record ask anew.
func (t *timestampTypes) forget(topic string) { t.topics.Delete(topic) }
