package delivery

import (
	"context"
	"slices"
	"strings"
	"time"

	"sluice/internal/stream"
)

// health is what is told of a subscription's deliveries.
type health struct {
	attempts    []stream.Attempt // the newest first
	lastSuccess time.Time
	lastError   stream.Attempt
	news        bool
	reported    time.Time
	slowed      bool // as it was reported
}

// attempted notes an attempt.
func (h *health) attempted(a stream.Attempt) {
	if len(h.attempts) < stream.MaxHealthAttempts {
		h.attempts = append(h.attempts, stream.Attempt{})
	}
	copy(h.attempts[1:], h.attempts)
	h.attempts[0] = a
	h.news = true
	if a.Outcome == stream.DeliveryDone {
		h.lastSuccess = a.At
		return
	}
	h.lastError = a
}

// failed notes an error that is no attempt's.
func (h *health) failed(a stream.Attempt) {
	h.lastError, h.news = a, true
}

// report gives the health, if it is time to tell it.
func (w *worker) report(now time.Time) (stream.Health, bool) {
	h := &w.health
	if !h.news && h.slowed == w.throttle.slowed || now.Sub(h.reported) < w.e.ReportEvery {
		return stream.Health{}, false
	}
	h.news, h.slowed, h.reported = false, w.throttle.slowed, now
	return w.healthNow(now), true
}

func (w *worker) healthNow(now time.Time) stream.Health {
	h := &w.health
	return stream.Health{
		At: now, InFlight: w.inFlight, Waiting: len(w.retries), Slowed: w.throttle.slowed,
		LastSuccess: h.lastSuccess, LastError: h.lastError, Attempts: slices.Clone(h.attempts),
	}
}

// Health says how a subscription does that the engine owns, and false for
// another one.
func (e *Engine) Health(id string) (stream.Health, bool) {
	w := e.worker(id)
	if w == nil {
		return stream.Health{}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.healthNow(time.Now()), true
}

// Status says how far a subscription has come that the engine owns. The error's
// code is UnknownSubscription for another one; else it is why the ends of the
// streams are not known.
func (e *Engine) Status(ctx context.Context, id string) (stream.SubscriptionStatus, error) {
	w := e.worker(id)
	if w == nil {
		return stream.SubscriptionStatus{}, stream.Errorf(stream.UnknownSubscription, "this gateway does not deliver the subscription %q; ask for its status through the API", id)
	}
	w.mu.Lock()
	reading, exists := w.main.reading, w.main.known && w.main.exists
	w.mu.Unlock()
	var ends stream.Position
	if exists {
		answer, err := e.Pages.Page(ctx, stream.PageRequest{
			Reading:   stream.Reading{Pattern: reading, Partition: stream.AnyPartition, Start: stream.Start{Kind: stream.FromLatest}},
			PageLimit: stream.PageLimit{Records: 1, Bytes: 1},
		})
		if err != nil {
			return stream.SubscriptionStatus{}, err
		}
		ends = answer.Next
	}
	return w.status(ends), nil
}

func (w *worker) status(ends stream.Position) stream.SubscriptionStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := stream.SubscriptionStatus{ID: w.sub.ID, State: w.sub.State, Reason: w.sub.Reason, Health: w.healthNow(time.Now())}
	for _, p := range w.main.parts {
		if p.ignored {
			continue
		}
		next := p.progress.lowest()
		end, ok := nextIn(ends, p)
		if !ok {
			end = next
		}
		lag := max(end-next, 0)
		s.Partitions = append(s.Partitions, stream.PartitionStatus{Partition: p.id, Next: next, End: end, Lag: lag})
		s.Lag += lag
	}
	slices.SortFunc(s.Partitions, func(a, b stream.PartitionStatus) int {
		if c := strings.Compare(a.Stream, b.Stream); c != 0 {
			return c
		}
		return int(a.Number - b.Number)
	})
	return s
}
