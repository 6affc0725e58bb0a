// Package publish takes records to Kafka: it finds the stream and the schema,
// checks the data, puts it into its envelope and hands it to the producer. No
// record of the gateway's reaches a topic of a stream on another way.
//
// It knows neither HTTP nor librdkafka, and it decides nothing about streams.
package publish

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// Catalog finds a record's stream and schema.
type Catalog interface {
	Resolve(ctx context.Context, rec *stream.Outgoing) (stream.Target, error)
	// Revive is asked when the stream turned out to have no topic; it may make
	// the stream anew.
	Revive(ctx context.Context, rec *stream.Outgoing) (stream.Target, error)
}

// Schemas checks data.
type Schemas interface {
	Validate(ctx context.Context, ref stream.SchemaRef, data []byte) error
}

// Producer queues a record's stored bytes, which it copies. Unless it returns
// an error it calls delivered once, which must not block.
type Producer interface {
	Send(m *stream.Message, delivered func(stream.Report, error)) error
}

// Options is what a Publisher needs.
type Options struct {
	Catalog    Catalog
	Schemas    Schemas
	Producer   Producer
	Timeout    time.Duration // how long Enqueue waits while the producer's queue is full
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Publisher publishes records. It may be used by any number of goroutines.
type Publisher struct {
	opts    Options
	log     *slog.Logger
	metrics *metrics
	again   again
	waiters sync.Pool // of chan result
	buffers sync.Pool // of *[]byte
}

type result struct {
	report stream.Report
	err    error
}

// New makes a publisher.
func New(o Options) *Publisher {
	return &Publisher{
		opts:    o,
		log:     o.Log.With(slog.String("component", "publish")),
		metrics: newMetrics(o.Registerer),
		again:   again{waiting: map[string][]attempt{}},
		waiters: sync.Pool{New: func() any { return make(chan result, 1) }},
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
}

// Publish stores one record and waits for Kafka's report. Every error says by
// its Outcome whether the record may be stored all the same; when ctx ends
// first it may.
func (p *Publisher) Publish(ctx context.Context, rec *stream.Outgoing) (stream.Report, error) {
	target, err := p.prepare(ctx, rec)
	if err != nil {
		return stream.Report{}, p.refused(err)
	}
	report, err := p.sendAndWait(ctx, rec, target)
	if stream.CodeOf(err) == stream.UnknownStream {
		report, err = p.reviveAndSend(ctx, rec)
	}
	if err != nil {
		return stream.Report{}, p.refused(err)
	}
	return report, nil
}

// Enqueue checks a record and queues it; done is told once what became of it,
// on another goroutine, and must not block. While the producer's queue is full
// Enqueue waits, at most the options' Timeout. When it returns an error the
// record is not stored, and done is not called. The record must stay as it is
// until done was called.
func (p *Publisher) Enqueue(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
	target, err := p.prepare(ctx, rec)
	if err != nil {
		return p.refused(err)
	}
	a := attempt{context.WithoutCancel(ctx), rec, done}
	if joined, err := p.again.join(a); joined || err != nil {
		return p.refusedIf(err)
	}
	err = p.queue(ctx, rec, target, p.reporter(a))
	if stream.CodeOf(err) == stream.UnknownStream {
		if target, err = p.opts.Catalog.Revive(ctx, rec); err == nil {
			err = p.queue(ctx, rec, target, p.reporter(a))
		}
		err = notSent(err)
	}
	return p.refusedIf(err)
}

// reporter takes a queued record's report. One whose stream turned out to have
// no topic is sent again.
func (p *Publisher) reporter(a attempt) func(stream.Report, error) {
	return func(r stream.Report, err error) {
		if stream.CodeOf(err) == stream.UnknownStream {
			p.again.add(a, p.sendAgain)
			return
		}
		a.done(r, p.refusedIf(err))
	}
}

// prepare finds out where the record goes, and checks its data; a tombstone has
// none.
func (p *Publisher) prepare(ctx context.Context, rec *stream.Outgoing) (stream.Target, error) {
	t, err := p.opts.Catalog.Resolve(ctx, rec)
	if err == nil && !rec.Tombstone {
		err = p.opts.Schemas.Validate(ctx, t.Schema, rec.Data)
	}
	return t, notSent(err)
}

// reviveAndSend is for a record whose stream turned out to have no topic.
func (p *Publisher) reviveAndSend(ctx context.Context, rec *stream.Outgoing) (stream.Report, error) {
	target, err := p.opts.Catalog.Revive(ctx, rec)
	if err != nil {
		return stream.Report{}, notSent(err)
	}
	return p.sendAndWait(ctx, rec, target)
}

// queue sends, and tries again for a while when the queue is full: who streams
// many records should be slowed down rather than refused.
func (p *Publisher) queue(ctx context.Context, rec *stream.Outgoing, t stream.Target, delivered func(stream.Report, error)) error {
	m := message(rec, t)
	err := p.send(ctx, &m, rec, t, delivered)
	if stream.CodeOf(err) != stream.Overloaded {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
		if err = p.send(ctx, &m, rec, t, delivered); stream.CodeOf(err) != stream.Overloaded {
			return err
		}
	}
}

// sendAndWait sends a record and waits for its report, or until ctx ends.
func (p *Publisher) sendAndWait(ctx context.Context, rec *stream.Outgoing, t stream.Target) (stream.Report, error) {
	reported := p.waiters.Get().(chan result)
	m := message(rec, t)
	m.Waited = true
	err := p.send(ctx, &m, rec, t, func(r stream.Report, err error) { reported <- result{r, err} })
	if err != nil {
		p.waiters.Put(reported)
		return stream.Report{}, err
	}
	select {
	case r := <-reported:
		p.waiters.Put(reported)
		return r.report, r.err
	case <-ctx.Done():
		return stream.Report{}, stream.Errorf(stream.OutcomeUnknown, "the request ended before Kafka acknowledged the record: it may be stored or not").
			WithOutcome(stream.OutcomeUnclear).Because(context.Cause(ctx))
	}
}

// senderOf gives what publishes for the caller: a producer that is logged in to
// Kafka as them, where they have one.
func (p *Publisher) senderOf(ctx context.Context) stream.Sender {
	if c := stream.CallerOf(ctx); c != nil && c.Sender != nil {
		return c.Sender
	}
	return p.opts.Producer
}

// message begins the record's message: all but what depends on its stored form.
func message(rec *stream.Outgoing, t stream.Target) stream.Message {
	return stream.Message{Topic: t.Topic, Partition: rec.Partition, Key: rec.Key, Headers: rec.Headers, Timestamp: rec.Timestamp}
}

// send puts the record into its stored form and queues it.
func (p *Publisher) send(ctx context.Context, m *stream.Message, rec *stream.Outgoing, t stream.Target, delivered func(stream.Report, error)) error {
	buffer := p.buffers.Get().(*[]byte)
	defer p.buffers.Put(buffer)
	schema := t.Schema.String()
	switch {
	case rec.Tombstone:
	case t.Envelope:
		*buffer = stream.AppendEnvelope((*buffer)[:0], t.Schema, rec.Data)
		m.Value = *buffer
	default:
		m.Value = rec.Data
		m.Headers = append(slices.Clip(rec.Headers), stream.Header{Name: stream.SchemaHeader, Value: []byte(schema)})
	}
	size := len(m.Value)
	return p.senderOf(ctx).Send(m, func(r stream.Report, err error) {
		if err == nil {
			r.Schema = schema
			p.metrics.stored(size)
		}
		delivered(r, err)
	})
}

// refused counts a failure, and makes sure that it names an outcome: errors of
// the producer without one are about records it did not take.
func (p *Publisher) refused(err error) error {
	var e *stream.Error
	if !errors.As(err, &e) {
		e = internal(err).WithOutcome(stream.OutcomeUnclear)
	}
	if e.Outcome == "" {
		told := *e
		e = told.WithOutcome(stream.NotStored)
	}
	p.metrics.failed(e.Code)
	return e
}

// refusedIf is refused, and nil for nil.
func (p *Publisher) refusedIf(err error) error {
	if err == nil {
		return nil
	}
	return p.refused(err)
}

// notSent tells of a failure before the producer had the record: whatever is
// unclear about a stream that was to be made, the record is not stored.
func notSent(err error) error {
	if err == nil {
		return nil
	}
	var e *stream.Error
	if !errors.As(err, &e) {
		return internal(err).WithOutcome(stream.NotStored)
	}
	told := *e
	if told.Code == stream.OutcomeUnknown {
		told.Code = stream.KafkaUnavailable
		told.Message = "the stream could not be made ready in time, and the record was not sent; send it again"
		told.Err = err
	}
	return told.WithOutcome(stream.NotStored)
}

func internal(err error) *stream.Error {
	return stream.Errorf(stream.Internal, "the gateway could not publish the record; its log says why").Because(err)
}
