package kafka_test

import (
	"fmt"
	"sync"
	"testing"

	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// Records that are gathered belong to publishers that may be gone, and have
// used their memory for something else, by the time they go.
func TestBurstsAreOfTheirOwnBytes(t *testing.T) {
	const publishers, each = 24, 20
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "bursts", 3, nil)
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				key, value, header := make([]byte, 3), make([]byte, 6), make([]byte, 6)
				for i := range each {
					copy(key, fmt.Sprintf("%03d", p))
					copy(value, fmt.Sprintf("%03d%03d", p, i))
					copy(header, value)
					m := stream.Message{
						Topic: topic, Partition: stream.AnyPartition, Key: key, Value: value, Waited: true,
						Headers: []stream.Header{{Name: "h", Value: header}, {Name: "empty", Value: []byte{}}},
					}
					sent := g.send(m)
					clear(key)
					clear(value)
					clear(header)
					if r := await(t, sent); r.err != nil {
						t.Errorf("send: %v", r.err)
					}
				}
			})
		}
		wg.Wait()
		next := map[string]int{}
		for _, r := range b.Consume(t, topic, publishers*each) {
			key := string(r.Key)
			want := fmt.Sprintf("%s%03d", key, next[key])
			if string(r.Value) != want || string(r.Headers[0].Value) != want || r.Headers[1].Value == nil {
				t.Fatalf("got key %q, value %q, headers %q, want value and header %q", key, r.Value, r.Headers, want)
			}
			next[key]++
		}
	})
}

// One publisher whose stream is gone does not hold up those it is gathered with.
func TestBurstsTellEachItsOwnFailure(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "there", 2, nil)
		g.store(t, message(topic, "", "warm"))
		var sent []<-chan reported
		for i := range 30 {
			m := message(topic, "", "v")
			switch i % 3 {
			case 1:
				m.Topic = topic + "-gone"
			case 2:
				m.Partition = 7
			}
			m.Waited = true
			sent = append(sent, g.send(m))
		}
		for i, c := range sent {
			r := await(t, c)
			switch i % 3 {
			case 0:
				if r.err != nil {
					t.Errorf("record %d: %v", i, r.err)
				}
			case 1:
				wantCode(t, r.err, stream.UnknownStream)
			case 2:
				wantCode(t, r.err, stream.InvalidRecord)
			}
		}
	})
}
