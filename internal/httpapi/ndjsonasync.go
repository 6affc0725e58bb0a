package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// queueing is one request of many records whose client does not wait for Kafka:
// it is answered when each record is queued or refused. What is on its way is
// bounded by the window all the same, which goes on when the request is over.
type queueing struct {
	api     *api
	stream  string
	source  source
	window  *window
	newest  stream.Newest
	tally   tally // stored counts those that are queued
	results results

	open  atomic.Int64 // records on their way, and 1 for the request
	lost  atomic.Int64
	cause atomic.Pointer[error] // of the first that was lost
	told  func(lost int64, cause error)
}

// publishManyAsync queues the records of the source and answers. What becomes of
// them shows in the metrics, and in one line of the log for all that are lost.
func (a *api) publishManyAsync(x *exchange, r *http.Request, id string, src source) error {
	ctx, requestID := context.WithoutCancel(r.Context()), x.id
	q := &queueing{api: a, stream: id, source: src, window: newWindow(a.Limits), results: results{limit: a.Limits.Results}}
	q.told = func(lost int64, cause error) {
		a.Log.LogAttrs(ctx, slog.LevelWarn, "accepted records were not acknowledged", slog.Int64("records", lost), slog.String("stream", id),
			slog.String("request_id", requestID), slog.String("code", string(stream.CodeOf(cause))), slog.Any("error", cause))
	}
	q.open.Store(1)
	defer q.settle()
	if err := q.run(r.Context(), x); err != nil {
		return err
	}
	if q.tally.stored == 0 {
		return a.answerBatch(x, &q.tally, &q.results)
	}
	x.Header()["Preference-Applied"] = []string{"respond-async"}
	return a.sendJSON(x, http.StatusAccepted, acceptedBatch{accepted{Stream: id, Accepted: true}, q.tally.stored, q.tally.failed, q.results.list()})
}

// acceptedBatch is the answer to records of which some are queued; results are
// about the others.
type acceptedBatch struct {
	accepted

	Queued  int              `json:"queued"`
	Failed  int              `json:"failed"`
	Results []jsontext.Value `json:"results"`
}

// run reads the body to its end. An error is the answer to all: nothing is
// queued.
func (q *queueing) run(ctx context.Context, x *exchange) error {
	for first := true; ; first = false {
		s := q.api.slots.Get().(*slot)
		var err error
		s.buf, s.line, err = q.source.next(s.buf[:0])
		s.size = cap(s.buf)
		q.window.take(s.size)
		switch {
		case errors.Is(err, io.EOF) && first:
			err = stream.Errorf(stream.InvalidRequest, "the body has no records; send one record object a line, or in a CloudEvents batch at least one event")
			q.give(s)
			return err
		case errors.Is(err, io.EOF), errors.Is(err, errStopped):
			q.give(s)
			return nil
		case err != nil && !errors.Is(err, errLineTooLong):
			e := bodyError(err)
			if !first {
				e.Message += "; this line and all later ones were not read"
				q.fail(ctx, x, s, e)
			}
			q.give(s)
			if first {
				return e
			}
			return nil
		}
		if err = q.queue(ctx, x, s, err); err == nil {
			continue
		}
		if first && streamLevel(err) {
			q.give(s)
			return err
		}
		q.fail(ctx, x, s, err)
		q.give(s)
	}
}

// queue decodes a line and hands the record on. After an error the slot is the
// caller's.
func (q *queueing) queue(ctx context.Context, x *exchange, s *slot, err error) error {
	s.rec.Stream = q.stream
	if err == nil {
		err = q.source.decode(s.buf, &s.rec)
	}
	if err = q.api.fits(s, err); err != nil {
		return err
	}
	s.rec.Newest, s.rec.NoWait = &q.newest, true
	q.open.Add(1)
	if err := q.api.Publisher.Enqueue(ctx, &s.rec, func(_ stream.Report, err error) { q.reported(s, err) }); err != nil {
		q.open.Add(-1)
		return err
	}
	x.outcome = stream.OutcomeUnclear
	q.tally.stored++
	return nil
}

// fits gives the error for a line that is too long; err is what was wrong with
// it before.
func (a *api) fits(s *slot, err error) error {
	switch {
	case errors.Is(err, errLineTooLong):
		return stream.Errorf(stream.TooLarge, "the line is longer than %s: the limit of one record and some room for key and headers", sizeInWords(a.Limits.Record+lineRoom))
	case err == nil && len(s.rec.Data) > a.Limits.Record:
		return stream.Errorf(stream.TooLarge, "the data is larger than %s, the limit of one record", sizeInWords(a.Limits.Record))
	}
	return err
}

// fail adds a line that is not queued to the answer.
func (q *queueing) fail(ctx context.Context, x *exchange, s *slot, err error) {
	e := q.api.explain(x, ctx, err)
	q.api.metrics.failed(e.Code)
	p := newProblem(e, outcomeOf(e, stream.NotStored))
	p.Line = s.line
	q.tally.fail(e, p.Outcome)
	q.results.failed(p)
}

// reported takes the report of a record. It must not block.
func (q *queueing) reported(s *slot, err error) {
	q.give(s)
	if err == nil {
		q.api.metrics.recordsStored.Inc()
	} else {
		q.api.metrics.acceptedLost.Inc()
		q.api.metrics.failed(stream.CodeOf(err))
		q.cause.CompareAndSwap(nil, &err)
		q.lost.Add(1)
	}
	q.settle()
}

// settle is called once for each record on its way, and for the request. The
// last one tells what was lost.
func (q *queueing) settle() {
	if q.open.Add(-1) > 0 {
		return
	}
	if lost := q.lost.Load(); lost > 0 {
		q.told(lost, *q.cause.Load())
	}
}

// give returns the slot and its room.
func (q *queueing) give(s *slot) {
	size := s.size
	s.reset()
	q.api.slots.Put(s)
	q.window.give(size)
}
