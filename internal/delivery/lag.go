package delivery

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"sluice/internal/stream"
)

// How long it may take to find out how far subscriptions are behind, and how
// many records may be read for it at a time, of partitions of which none is in
// memory.
const (
	lagTimeout = 10 * time.Second
	lagReads   = 100
)

// otherSubscriptions is the label of those that have none of their own: no id
// begins so.
const otherSubscriptions = "_other"

// behind is how far a subscription is behind.
type behind struct {
	id      string
	records int64
	oldest  time.Time // of the first undelivered record of each partition the oldest; zero: there is none, or it is not known
}

// openPart is where a partition's delivery is.
type openPart struct {
	part   *part
	id     stream.Partition
	layout stream.Layout
	lowest int64
	oldest time.Time // of the record there, if that is known
}

// watchLag tells from time to time how far subscriptions are behind.
func (e *Engine) watchLag(ctx context.Context) {
	t := time.NewTicker(e.LagEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			e.measureLag(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// measureLag asks Kafka once for the ends of all partitions that are delivered.
// Where it does not answer, what was told before stands.
func (e *Engine) measureLag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	open := map[*worker][]openPart{}
	asked := map[stream.Partition]bool{}
	for _, w := range e.workers() {
		if parts, known := w.open(); known {
			open[w] = parts
			for _, p := range parts {
				asked[p.id] = true
			}
		}
	}
	bounds, err := e.boundsOf(ctx, slices.Collect(maps.Keys(asked)))
	if err != nil {
		if ctx.Err() == nil {
			e.Log.Debug("how far subscriptions are behind is not known", slog.Any("error", err))
		}
		return
	}
	reads := lagReads
	var all []behind
	for w, parts := range open {
		all = append(all, w.behind(ctx, parts, bounds, &reads))
	}
	slices.SortFunc(all, func(a, b behind) int { return cmp.Compare(a.id, b.id) })
	e.metrics.lag.show(all, e.LagLabels, time.Now())
}

// boundsOf gives the bounds of partitions. Streams that were just deleted are
// left out.
func (e *Engine) boundsOf(ctx context.Context, ps []stream.Partition) (map[stream.Partition]stream.Bounds, error) {
	found := make(map[stream.Partition]stream.Bounds, len(ps))
	ask := func(ps []stream.Partition) error {
		bounds, err := e.Bounds(ctx, ps)
		if err != nil {
			return err
		}
		for i, p := range ps {
			found[p] = bounds[i]
		}
		return nil
	}
	if len(ps) == 0 {
		return found, nil
	}
	err := ask(ps)
	if err == nil || !gone(err) {
		return found, err
	}
	streams := map[string][]stream.Partition{}
	for _, p := range ps {
		streams[p.Stream] = append(streams[p.Stream], p)
	}
	for _, some := range streams {
		if err := ask(some); err != nil && !gone(err) {
			return nil, err
		}
	}
	return found, nil
}

// gone says whether an error is about a stream or partition that does not exist,
// or may not be read.
func gone(err error) bool {
	code := stream.CodeOf(err)
	return code == stream.UnknownStream || code == stream.InvalidRequest || code == stream.Forbidden
}

// open gives where the deliveries of all partitions are, and false while that
// is not known yet.
func (w *worker) open() ([]openPart, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.main.known && len(w.main.parts) == 0 || w.stopping {
		return nil, false
	}
	var open []openPart
	for _, p := range w.main.parts {
		if p.ignored || p.gone {
			continue
		}
		o := openPart{part: p, id: p.id, layout: p.layout, lowest: p.progress.lowest()}
		if it := p.progress.first(); it != nil && it.offset == o.lowest {
			o.oldest = it.published
		} else if p.peeked.offset == o.lowest {
			o.oldest = p.peeked.published
		}
		open = append(open, o)
	}
	return open, true
}

// peek is when a record was published that is not in memory.
type peek struct {
	offset    int64
	published time.Time
}

// behind says how far the subscription is behind. Records that a filter will
// pass over count until they are read.
func (w *worker) behind(ctx context.Context, parts []openPart, bounds map[stream.Partition]stream.Bounds, reads *int) behind {
	b := behind{id: w.id()}
	for _, p := range parts {
		edges, known := bounds[p.id]
		lag := edges.End - max(p.lowest, edges.Begin)
		if !known || lag <= 0 {
			continue
		}
		b.records += lag
		if p.oldest.IsZero() && *reads > 0 {
			*reads--
			p.oldest = w.peek(ctx, p)
		}
		if !p.oldest.IsZero() && (b.oldest.IsZero() || p.oldest.Before(b.oldest)) {
			b.oldest = p.oldest
		}
	}
	return b
}

func (w *worker) id() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sub.ID
}

// peek reads the first record of a partition that was not delivered, for its
// timestamp, and remembers that. It is zero where there is none: the offsets
// hold no record, or the stream was made anew.
func (w *worker) peek(ctx context.Context, p openPart) (published time.Time) {
	pattern, err := stream.ParsePattern(p.id.Stream)
	if err != nil {
		return published
	}
	var at stream.Position
	at.Set(p.layout, p.id.Number, p.lowest)
	answer, err := w.e.Pages.Page(ctx, stream.PageRequest{
		Reading:   stream.Reading{Pattern: pattern, Partition: p.id.Number, Start: stream.Start{Kind: stream.FromPosition, Position: at}},
		PageLimit: stream.PageLimit{Records: 1, Bytes: 1},
	})
	if err != nil || len(answer.Records) == 0 {
		return published
	}
	published = answer.Records[0].Timestamp
	w.mu.Lock()
	defer w.mu.Unlock()
	p.part.peeked = peek{p.lowest, published}
	return published
}
