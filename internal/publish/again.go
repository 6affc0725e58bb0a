package publish

import (
	"context"
	"sync"
	"time"

	"sluice/internal/stream"
)

// maxWaiting bounds how many records may wait, for each stream, behind others
// that are sent again.
const maxWaiting = 10_000

// attempt is a record that was enqueued.
type attempt struct {
	ctx  context.Context // of the request, without its end
	rec  *stream.Outgoing
	done func(stream.Report, error)
}

// again holds records whose stream turned out to have no topic after they were
// queued. Those of one stream are sent again one after the other, and later
// ones line up behind them, so that their order is kept.
type again struct {
	mu      sync.Mutex
	waiting map[string][]attempt // by stream; there is an entry while a goroutine works on it
}

// add lines a record up, and starts work for its stream if there is none.
func (g *again) add(a attempt, work func(stream string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	line, working := g.waiting[a.rec.Stream]
	g.waiting[a.rec.Stream] = append(line, a)
	if !working {
		go work(a.rec.Stream) // ends when nothing waits any more
	}
}

// join lines a record up if others of its stream wait. The error is Overloaded
// when too many do.
func (g *again) join(a attempt) (joined bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	line, working := g.waiting[a.rec.Stream]
	switch {
	case !working:
		return false, nil
	case len(line) >= maxWaiting:
		e := stream.Errorf(stream.Overloaded, "the stream is being made anew, and too many records wait for it; try again a little later")
		e.RetryAfter = time.Second
		return false, e.WithOutcome(stream.NotStored)
	}
	g.waiting[a.rec.Stream] = append(line, a)
	return true, nil
}

// take gives what waits for a stream; after nothing its work has ended.
func (g *again) take(id string) []attempt {
	g.mu.Lock()
	defer g.mu.Unlock()
	line := g.waiting[id]
	if len(line) == 0 {
		delete(g.waiting, id)
		return nil
	}
	g.waiting[id] = nil
	return line
}

// sendAgain works on a stream's records until none waits. Once it is known that
// the stream is gone the question, which takes a while, is not asked again for
// those that cannot make it anew.
func (p *Publisher) sendAgain(id string) {
	for line := p.again.take(id); line != nil; line = p.again.take(id) {
		var gone error
		for _, a := range line {
			if gone != nil && a.rec.Schema.IsZero() {
				a.done(stream.Report{}, p.refused(gone))
				continue
			}
			report, err := p.reviveAndSend(a.ctx, a.rec)
			gone = nil
			if stream.CodeOf(err) == stream.UnknownStream {
				gone = err
			}
			a.done(report, p.refusedIf(err))
		}
	}
}
