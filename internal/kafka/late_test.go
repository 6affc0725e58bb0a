package kafka_test

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// epochs notes the producer epoch of each request, by partition.
type epochs struct {
	mu   sync.Mutex
	last map[int32]int16
}

func (e *epochs) note(r kmsg.Request) bool {
	const at = 51 // where it lies in a batch of records
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range r.(*kmsg.ProduceRequest).Topics {
		for _, p := range t.Partitions {
			e.last[p.Partition] = int16(binary.BigEndian.Uint16(p.Records[at:]))
		}
	}
	return true
}

func (e *epochs) of(partition int32) int16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last[partition]
}

// TestLateRecordIsNotGivenUp: whoever waits for a record that Kafka does not
// take is told in time that it is unknown. Were it given up, librdkafka would
// number all that it holds anew, and a record that a broker has stored without
// an answer would be there twice.
func TestLateRecordIsNotGivenUp(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b, func(o *kafka.ProducerOptions) { o.PublishTimeout = 2 * time.Second })
	topic := b.Topic(t, "late", 2, nil)
	seen := &epochs{last: map[int32]int16{}}
	b.Cluster(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Observe: true, TopLevel: true, Count: -1, When: seen.note})
	stuck := b.Cluster(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{0}, Err: kerr.NotEnoughReplicas, Count: -1})
	on := func(partition int32, value string) stream.Message {
		m := message(topic, "", value)
		m.Key, m.Partition = nil, partition
		return m
	}
	g.store(t, on(1, "before"))
	epoch := seen.of(1)
	for range 2 { // when the time of the second one is over, nobody has given up the first one either
		e := wantCode(t, await(t, g.send(on(0, "late"))).err, stream.OutcomeUnknown)
		if e.Outcome != stream.OutcomeUnclear {
			t.Errorf("its outcome is %q", e.Outcome)
		}
	}
	g.store(t, on(1, "after"))
	if now := seen.of(1); now != epoch {
		t.Errorf("the records are numbered anew: epoch %d became %d", epoch, now)
	}
	stuck.Remove()
	if records := b.Consume(t, topic, 4); len(records) != 4 {
		t.Errorf("there are %d records, want 4", len(records))
	}
}
