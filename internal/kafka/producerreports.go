package kafka

import (
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// serve is the events loop of one generation: it routes reports to their
// waiters until the handle is closed.
func (p *Producer) serve(g *generation) {
	for ev := range g.handle.Events() {
		switch ev := ev.(type) {
		case *ckafka.Message:
			g.took(ev)
			p.report(ev)
		case ckafka.Error:
			p.event(g, ev)
			p.denied.take(ev)
			if ev.IsFatal() {
				p.running.Go(func() { p.replace(g) })
			}
		default:
			p.event(g, ev)
		}
	}
}

// took remembers that a topic may have a record. One that librdkafka could not
// even assign to a partition was not counted.
func (g *generation) took(m *ckafka.Message) {
	if err := m.TopicPartition.Error; err != nil && is(err, ckafka.ErrUnknownTopic, ckafka.ErrUnknownPartition, ckafka.ErrPurgeQueue) {
		return
	}
	if _, known := g.topics.Load(*m.TopicPartition.Topic); !known {
		g.topics.Store(*m.TopicPartition.Topic, struct{}{})
	}
}

func (p *Producer) report(m *ckafka.Message) {
	w, now := m.Opaque.(*pending), time.Now()
	if w.burst != nil {
		p.gather.back(w.burst)
	}
	p.cluster.metrics.delivery.Observe(now.Sub(w.queued).Seconds())
	err := m.TopicPartition.Error
	w.teach(m.TopicPartition.Partition, err, now)
	if err != nil {
		p.cluster.metrics.failed(err)
	}
	if !p.deadlines.reported(w) {
		return // whoever waited was told that it is unknown
	}
	switch {
	case err == nil && m.TopicPartition.Offset < 0:
		// The broker took the record for one that it has already, and has
		// forgotten where. That can be wrong: see producerDefaults.
		w.delivered(stream.Report{}, toError(ckafka.NewError(ckafka.ErrDuplicateSequenceNumber, "reported as stored, without an offset", false)))
	case err == nil:
		p.reportStored(w, stream.Report{Partition: m.TopicPartition.Partition, Offset: int64(m.TopicPartition.Offset)})
	case is(err, ckafka.ErrUnknownPartition, ckafka.ErrDestroy, ckafka.ErrDestroyBroker):
		// Why takes a question to the cluster, and the reports of others wait for nobody.
		p.running.Go(func() { w.delivered(stream.Report{}, p.explain(w, err)) })
	default:
		w.delivered(stream.Report{}, p.denied.explain(w.topic, err))
	}
}

// teach tells the record's pair how it went.
func (w *pending) teach(partition int32, err error, now time.Time) {
	switch {
	case w.pair == nil:
	case err == nil:
		w.pair.learn(w.chosen, partition, now)
	case w.chosen != w.partition:
		w.pair.forget()
	}
}

// reportStored adds the record's time, where the topic keeps it.
func (p *Producer) reportStored(w *pending, r stream.Report) {
	kept, known := p.timestamps.kept(w.topic)
	if !known {
		p.running.Go(func() {
			if p.timestamps.ask(w.topic) {
				r.Timestamp = w.timestamp
			}
			w.delivered(r, nil)
		})
		return
	}
	if kept {
		r.Timestamp = w.timestamp
	}
	w.delivered(r, nil)
}

// expired tells whoever waits for a record that nothing is known of it: it may
// lack replicas, about which Kafka is asked.
func (p *Producer) expired(w *pending) {
	timedOut := ckafka.NewError(ckafka.ErrMsgTimedOut, "not acknowledged within publish_timeout", false)
	p.cluster.metrics.failed(timedOut)
	p.running.Go(func() { w.delivered(stream.Report{}, p.replicas.explain(w.topic, toError(timedOut))) })
}

// crowded gives up what is late, with the producer that holds it.
func (p *Producer) crowded() {
	p.running.Go(func() {
		p.renewNow(true, "late records leave little room for others, and are given up with their producer")
	})
}

// explain finds the reason of a failure that librdkafka does not tell: a record
// that had a partition may have lost its topic.
func (p *Producer) explain(w *pending, err error) error {
	if w.partition == stream.AnyPartition && is(err, ckafka.ErrUnknownPartition) {
		return toError(ckafka.NewError(ckafka.ErrUnknownTopic, err.Error(), false))
	}
	if gone := p.look(w.topic); stream.CodeOf(gone) == stream.UnknownStream {
		return gone
	}
	if is(err, ckafka.ErrDestroy, ckafka.ErrDestroyBroker) {
		// It waited to be sent again when its partition left the broker.
		return toError(ckafka.NewError(ckafka.ErrPurgeInflight, err.Error(), false))
	}
	return toError(err)
}
