package kafka

import (
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// heldBytes is the largest record that is copied so that it can wait for
// others; larger ones make a request worth its while by themselves.
const heldBytes = 16 << 10

// held is a message that waits for its burst, with bytes of its own: its
// publisher may be gone by then.
type held struct {
	message ckafka.Message
	topic   string
	waiter  *pending
	bytes   []byte
}

// helds keeps what was used. Its bytes are never nil: an empty value of a nil
// array would be a tombstone.
var helds = sync.Pool{New: func() any { return &held{bytes: make([]byte, 0, 512)} }}

// mayWait says whether the message is one to be gathered.
func mayWait(m *stream.Message) bool {
	size := len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		size += len(h.Value)
	}
	return m.Waited && size <= heldBytes
}

// hold copies a message.
func hold(m *stream.Message, w *pending) *held {
	h := helds.Get().(*held)
	h.topic, h.waiter, h.bytes = m.Topic, w, h.bytes[:0]
	h.message = ckafka.Message{
		TopicPartition: ckafka.TopicPartition{Topic: &h.topic, Partition: w.partition},
		Key:            h.own(m.Key),
		Value:          h.own(m.Value),
		Timestamp:      w.timestamp,
		Headers:        headers(m.Headers),
		Opaque:         w,
	}
	for i := range h.message.Headers {
		h.message.Headers[i].Value = h.own(h.message.Headers[i].Value)
	}
	return h
}

// own gives a copy of b that lives as long as the held message. What it gave
// before stays where it is when the array grows.
func (h *held) own(b []byte) []byte {
	if b == nil {
		return nil
	}
	start := len(h.bytes)
	h.bytes = append(h.bytes, b...)
	return h.bytes[start:len(h.bytes):len(h.bytes)]
}

// sendBurst hands over records that were gathered. Those of a topic that have
// no key go to the same partition of its pair, and those of the next burst to
// the other one.
func (p *Producer) sendBurst(records []*held, b *burst) {
	now, turns := time.Now(), turns{}
	for _, h := range records {
		h.waiter.burst = b
		if h.waiter.pair != nil {
			h.waiter.chosen = h.waiter.pair.choose(now, turns.of(h.waiter.pair))
			h.message.TopicPartition.Partition = h.waiter.chosen
		}
		if err := p.produce(&h.message); err != nil {
			p.running.Go(func() { p.placeHeld(h) }) // Kafka may have to be asked, and others wait for nobody
			continue
		}
		h.free()
	}
}

// turns gives the records of a burst that share a pair the same turn of it.
type turns struct {
	pair   *pair
	turn   uint32
	before map[*pair]uint32 // of a burst of several topics
}

func (t *turns) of(p *pair) uint32 {
	if p == t.pair {
		return t.turn
	}
	if t.pair != nil && t.before == nil {
		t.before = map[*pair]uint32{t.pair: t.turn}
	}
	turn, known := t.before[p]
	if !known {
		turn = p.turns.Add(1)
		if t.before != nil {
			t.before[p] = turn
		}
	}
	t.pair, t.turn = p, turn
	return turn
}

// placeHeld hands over one of a burst that librdkafka did not take at once.
func (p *Producer) placeHeld(h *held) {
	if err := p.place(&h.message, h.waiter); err != nil {
		p.gather.back(h.waiter.burst)
		h.waiter.delivered(stream.Report{}, p.notPlaced(h.topic, err))
	}
	h.free()
}

func (h *held) free() {
	h.message, h.waiter = ckafka.Message{}, nil
	helds.Put(h)
}

func headers(hs []stream.Header) []ckafka.Header {
	if len(hs) == 0 {
		return nil
	}
	out := make([]ckafka.Header, len(hs))
	for i, h := range hs {
		out[i] = ckafka.Header{Key: h.Name, Value: h.Value}
	}
	return out
}
