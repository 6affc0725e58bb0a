package logstream

import (
	"context"
	"log/slog"
	"time"

	"sluice/internal/stream"
)

// batchSize is how many records are on their way at a time. prepareTime is how
// long looking for schema and stream may take. After a failure the worker waits
// from minPause to maxPause.
const (
	batchSize   = 500
	prepareTime = 30 * time.Second
	minPause    = 100 * time.Millisecond
	maxPause    = 5 * time.Second
)

// worker is the one goroutine that publishes.
type worker struct {
	*Shipper

	publisher Publisher
	prepare   Prepare
	schema    stream.SchemaRef // zero: to be prepared
	trouble   stream.Code      // that was logged last; "": none
	refusal   time.Time        // when it was last logged that content was refused
	givenUp   int
}

// run publishes until the shipper is closed and the queue is empty, or nothing
// more can be done.
func (w *worker) run(ctx context.Context) {
	for batch := w.next(); len(batch) > 0; batch = w.next() {
		if !w.store(ctx, batch) {
			return
		}
		w.tell()
	}
}

// next waits for records, and gives those that are there; none at the end.
func (w *worker) next() []entry {
	var batch []entry
	select {
	case e := <-w.queue:
		batch = append(batch, w.took(e))
	case <-w.stop:
	}
	for len(batch) < batchSize {
		select {
		case e := <-w.queue:
			batch = append(batch, w.took(e))
		default:
			return batch
		}
	}
	return batch
}

// store publishes a batch, and tries again what can be tried again until it is
// stored, or the gateway stops. Then what Kafka did not take at once is given up,
// and false returned.
func (w *worker) store(ctx context.Context, batch []entry) bool {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		left, err := w.try(ctx, batch)
		if len(left) == 0 {
			w.mended()
			return true
		}
		if ctx.Err() == nil {
			w.complain(err)
		}
		if len(left) < len(batch) {
			pause = minPause
		}
		batch = left
		if !w.wait(pause) {
			w.givenUp = len(batch)
			return false
		}
	}
}

// wait waits, and says whether to go on. Once the gateway stops it does not.
func (w *worker) wait(pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-w.stop:
		return false
	case <-t.C:
		return true
	}
}

// outcome is what became of one record of a batch.
type outcome struct {
	i   int
	err error
}

// try publishes a batch once, and gives what is not stored and may be tried
// again, with why.
func (w *worker) try(ctx context.Context, batch []entry) (left []entry, why error) {
	if err := w.ready(ctx); err != nil {
		return batch, err
	}
	reported, sent := make(chan outcome, len(batch)), 0
	for i, e := range batch {
		err := w.publisher.Enqueue(ctx, w.outgoing(e), func(_ stream.Report, err error) { reported <- outcome{i, err} })
		sent++
		if err == nil {
			continue
		}
		reported <- outcome{i, err}
		if !permanent(err) { // so would the next ones fail
			break
		}
	}
	left = append(left, batch[sent:]...)
	missing := make(map[int]bool, sent)
	for i := range sent {
		missing[i] = true
	}
	for range sent {
		select {
		case o := <-reported:
			if w.settled(o.err) {
				delete(missing, o.i)
			} else {
				why = o.err
			}
		case <-ctx.Done():
			why = context.Cause(ctx)
		}
	}
	return append(inOrder(batch[:sent], missing), left...), why
}

func inOrder(batch []entry, which map[int]bool) []entry {
	var chosen []entry
	for i, e := range batch {
		if which[i] {
			chosen = append(chosen, e)
		}
	}
	return chosen
}

// outgoing makes a record of an entry. All of this gateway have one key, so that
// they stay in order.
func (w *worker) outgoing(e entry) *stream.Outgoing {
	return &stream.Outgoing{
		Stream: w.opts.Stream, Partition: stream.AnyPartition, Key: []byte(w.opts.Source.Hostname),
		Timestamp: e.at.Truncate(time.Millisecond), Schema: w.schema, Data: e.data,
	}
}

// ready sees to schema and stream, unless that was done.
func (w *worker) ready(ctx context.Context) (err error) {
	if !w.schema.IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	w.schema, err = w.prepare(ctx)
	return err
}

// settled counts a record that is stored, or never will be, and says whether it
// is one of these.
func (w *worker) settled(err error) bool {
	switch code := stream.CodeOf(err); {
	case err == nil:
		w.metrics.stored.Inc()
		return true
	case permanent(err):
		w.metrics.dropped.WithLabelValues(refused).Inc()
		if now := time.Now(); now.Sub(w.refusal) > time.Minute {
			w.refusal = now
			w.local.Error("a log record was refused; see sluice_log_dropped_total for how many are", slog.Any("error", err))
		}
		return true
	case code == stream.UnknownStream || code == stream.UnknownSchema:
		w.schema = stream.SchemaRef{}
	}
	return false
}

// permanent says whether a failure is the record's own.
func permanent(err error) bool {
	switch stream.CodeOf(err) {
	case stream.SchemaViolation, stream.MalformedJSON, stream.InvalidRecord, stream.TooLarge, stream.Internal:
		return true
	}
	return false
}

// complain logs why records wait, once for each reason. That Kafka is away others
// have said.
func (w *worker) complain(err error) {
	code := stream.CodeOf(err)
	if code == w.trouble || code == stream.KafkaUnavailable {
		return
	}
	w.trouble = code
	w.local.Warn("log records cannot be stored in their stream, and wait", slog.String("stream", w.opts.Stream), slog.Any("error", err))
}

func (w *worker) mended() {
	if w.trouble != "" {
		w.trouble = ""
		w.local.Info("log records are stored in their stream again", slog.String("stream", w.opts.Stream))
	}
}
