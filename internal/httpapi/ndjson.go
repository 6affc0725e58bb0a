package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"sluice/internal/stream"
)

// batch is one request of many records. The handler's goroutine reads them from
// the source and queues them, in order; a second one, collect, takes the results
// in the same order and gives each to the sink.
type batch struct {
	api     *api
	x       *exchange
	stream  string
	source  source
	window  *window
	sink    sink
	begin   func()        // begins the answer once a first record is on its way; nil: it is given at the end
	tally   tally         // of what the sink has got
	pending slotQueue     // slots in the order of their lines
	done    chan struct{} // closed when collect has returned
	record  stream.Record // what collect has in hand
	newest  stream.Newest // what the lines have learnt about newest versions
	faulty  bool          // a fault of the gateway is in the log already

	refused atomic.Pointer[stream.Error] // what the first record failed with, when it was of the stream's level
}

// source yields the records of a batch, in the order of the body.
type source interface {
	// next appends the text of the next record to dst, and gives its line, from
	// 1. After io.EOF there are no more; after errLineTooLong the next one can be
	// read; any other error is of the body.
	next(dst []byte) (text []byte, line int, err error)
	// decode makes a record, whose Stream is set, of the text that next gave.
	decode(text []byte, rec *stream.Outgoing) error
	// stop ends a next that waits, and all later ones. Any goroutine may call it.
	stop()
}

// sink takes the results of a batch in the order of their lines, on one
// goroutine.
type sink interface {
	stored(rec *stream.Record)
	failed(p problem)
	idle() // no result is ready for now
}

// publishLines stores the records of an NDJSON body.
func (a *api) publishLines(x *exchange, r *http.Request, id string) error {
	if err := noQuery(r); err != nil {
		return stream.Errorf(stream.InvalidRequest, "application/x-ndjson takes no query parameters: each line has its own key, partition, timestamp and schema")
	}
	if err := noRecordHeaders(r.Header, "each line has its own headers"); err != nil {
		return err
	}
	lines, err := a.openLines(x, r)
	if err != nil {
		return err
	}
	defer a.closeLines(lines)
	return a.publishMany(x, r, id, lines)
}

// publishMany stores the records of the source, and answers in the form that
// the client accepts: all results at the end, or each at once; or, without
// waiting for Kafka, those of the records that are refused.
func (a *api) publishMany(x *exchange, r *http.Request, id string, src source) error {
	if negotiate(r.Header["Accept"], "application/json", "application/x-ndjson") == "application/x-ndjson" {
		return a.streamResults(x, r, id, src)
	}
	if prefersAsync(r.Header["Prefer"]) {
		return a.publishManyAsync(x, r, id, src)
	}
	res := &results{limit: a.Limits.Results}
	b := a.newBatch(x, id, src, res)
	if err := b.run(r.Context()); err != nil {
		return err
	}
	return a.answerBatch(x, &b.tally, res)
}

func (a *api) newBatch(x *exchange, id string, src source, s sink) *batch {
	b := &batch{
		api: a, x: x, stream: id, source: src, sink: s,
		window: newWindow(a.Limits),
		done:   make(chan struct{}),
	}
	b.pending.changed.L = &b.pending.mu
	return b
}

// run reads the body to its end and waits for all results. An error is the
// answer to the whole request: nothing was stored.
func (b *batch) run(ctx context.Context) error {
	first, err := b.first(ctx)
	if err != nil {
		return err
	}
	if b.begin != nil {
		b.begin()
	}
	b.x.outcome = stream.OutcomeUnclear
	b.pending.push(first)
	go b.collect(ctx)
	defer func() { // also when decoding panics: collect writes to the client
		b.pending.close()
		<-b.done
	}()
	for b.next(ctx) {
	}
	b.window.drain()
	return b.refusal()
}

// refusal gives what the first record failed with, if that is the answer to
// all: it is of the stream's level, and nothing was stored. A sink that has
// begun to answer takes results only. Nothing may be in flight.
func (b *batch) refusal() error {
	e := b.refused.Load()
	if e == nil || b.tally.stored > 0 {
		return nil
	}
	whole := *e
	whole.Outcome = b.tally.outcome()
	return &whole
}

// first queues the first record. What it fails with at once, when that holds
// for the whole stream, is the answer to the whole request.
func (b *batch) first(ctx context.Context) (*slot, error) {
	s, err := b.read()
	switch {
	case errors.Is(err, io.EOF):
		err = stream.Errorf(stream.InvalidRequest, "the body has no records; send one record object a line, or in a CloudEvents batch at least one event")
	case err != nil && !errors.Is(err, errLineTooLong):
		err = bodyError(err)
	default:
		if err = b.queue(ctx, s, err); !streamLevel(err) {
			return s, nil
		}
		<-s.ready
	}
	b.give(s)
	return nil, err
}

// next handles one more line, and says whether to go on.
func (b *batch) next(ctx context.Context) bool {
	if b.refused.Load() != nil {
		// The first record failed with what will probably fail all of them. What
		// is under way decides: if none of it is stored, the rest is not tried.
		b.window.drain()
		if b.refusal() != nil {
			return false
		}
		b.refused.Store(nil)
	}
	s, err := b.read()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errStopped): // stopped: the client does not take the answer
		b.give(s)
		return false
	case err != nil && !errors.Is(err, errLineTooLong):
		e := bodyError(err)
		e.Message += "; this line and all later ones were not read"
		s.finish(stream.Report{}, e)
		b.pending.push(s)
		return false
	}
	_ = b.queue(ctx, s, err) // reported with the line
	b.pending.push(s)
	return true
}

// read reads the next line into a slot, which has taken its room of the window.
func (b *batch) read() (*slot, error) {
	s := b.api.slots.Get().(*slot)
	var err error
	s.buf, s.line, err = b.source.next(s.buf[:0])
	s.size = cap(s.buf) // the memory it holds, not what is in it
	b.window.take(s.size)
	return s, err
}

// queue decodes the line and hands the record on. It gives the error that the
// slot was finished with, if it was.
func (b *batch) queue(ctx context.Context, s *slot, readErr error) error {
	err := readErr
	if err == nil {
		s.rec.Stream = b.stream
		err = b.source.decode(s.buf, &s.rec)
	}
	if err = b.api.fits(s, err); err == nil {
		s.queued, s.rec.Newest = true, &b.newest
		if err = b.api.Publisher.Enqueue(ctx, &s.rec, s.done); err == nil {
			return nil
		}
		s.queued = false
	}
	s.finish(stream.Report{}, err)
	return err
}

// collect gives the results to the sink, in order.
func (b *batch) collect(ctx context.Context) {
	defer close(b.done)
	for isFirst := true; ; isFirst = false {
		s, more := b.pending.pop(b.sink.idle)
		if !more {
			return
		}
		s.await(b.sink.idle)
		if s.err == nil {
			b.tally.stored++
			b.api.metrics.recordsStored.Inc()
			b.record = storedRecord(&s.rec, s.report)
			b.sink.stored(&b.record)
		} else {
			b.fail(ctx, s, isFirst)
		}
		b.give(s)
	}
}

func (b *batch) fail(ctx context.Context, s *slot, isFirst bool) {
	e := b.explain(ctx, s.err)
	b.api.metrics.failed(e.Code)
	otherwise := stream.NotStored
	if s.queued {
		otherwise = stream.OutcomeUnclear
	}
	p := newProblem(e, outcomeOf(e, otherwise))
	p.Line = s.line
	b.tally.fail(e, p.Outcome)
	b.sink.failed(p)
	if isFirst && b.begin == nil && streamLevel(e) {
		b.refused.Store(e)
	}
}

// explain logs a fault of the gateway once: it may well befall every record.
func (b *batch) explain(ctx context.Context, err error) *stream.Error {
	if b.faulty && stream.CodeOf(err) == stream.Internal && ctx.Err() == nil {
		return internalError(b.x)
	}
	e := b.api.explain(b.x, ctx, err)
	b.faulty = b.faulty || e.Code == stream.Internal
	return e
}

// give returns the slot and its room.
func (b *batch) give(s *slot) {
	size := s.size
	s.reset()
	b.api.slots.Put(s)
	b.window.give(size)
}

// streamLevel says whether err is about the stream or the broker as a whole:
// what the next record would fail with, too.
func streamLevel(err error) bool {
	switch stream.CodeOf(err) {
	case stream.UnknownStream, stream.UnboundStream, stream.NameCollision, stream.Forbidden,
		stream.KafkaUnavailable, stream.Overloaded:
		return true
	}
	return false
}
