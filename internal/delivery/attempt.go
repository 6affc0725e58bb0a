package delivery

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"sluice/internal/stream"
)

// attempt sends a delivery once, and does what follows from the outcome.
func (w *worker) attempt(u *unit, d *stream.Delivery) {
	a := w.e.Sender.Send(w.ctx, d)
	if a.Outcome == stream.DeliveryDone && len(a.Published) > 0 {
		a = w.publish(d, a)
	}
	a.Published = nil
	w.e.metrics.attempted(a)
	if w.settle(u, a) {
		w.bury(u, d, a)
	}
}

// publish publishes what a good answer asks for, before the delivery counts as
// made. When that fails the delivery has failed: it is sent again, with the
// same webhook-id.
func (w *worker) publish(d *stream.Delivery, a stream.Attempt) stream.Attempt {
	err := w.e.Publisher.Publish(w.ctx, d, a.Published)
	if err == nil {
		return a
	}
	a.Outcome, a.Detail = stream.DeliveryFailed, "what the answer publishes could not be stored"
	if e, ok := errors.AsType[*stream.Error](err); ok {
		a.Detail += ": " + e.Message
	}
	if w.ctx.Err() != nil {
		a.Outcome = stream.DeliveryCancelled
	}
	return a
}

// settle notes how an attempt ended. It gives true when the delivery is to be
// stored as dead letters; until that is done it is under way.
func (w *worker) settle(u *unit, a stream.Attempt) (dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.Outcome != stream.DeliveryCancelled {
		w.health.attempted(a)
	}
	if w.sealed {
		w.e.metrics.inFlight.Dec()
		return false
	}
	if u.part != nil {
		dead = w.judge(u, a, time.Now())
	}
	if !dead {
		w.landed()
	}
	return dead
}

// landed counts an attempt out.
func (w *worker) landed() {
	w.inFlight--
	w.e.metrics.inFlight.Dec()
	w.pump()
}

// judge decides what becomes of a delivery after an attempt.
func (w *worker) judge(u *unit, a stream.Attempt, now time.Time) (dead bool) {
	slow := a.Outcome == stream.DeliverySlow || a.Outcome == stream.DeliveryFailed && a.Status == 0
	switch {
	case a.Outcome == stream.DeliveryDone:
		if w.throttle.success(u.round, w.sub.MaxInFlight) {
			w.recover(now)
		}
		w.complete(u, "delivered")
		return false
	case a.Outcome == stream.DeliveryCancelled:
		u.attempts--
		w.postpone(u, now)
		return false
	case a.Outcome == stream.DeliveryGone:
		w.postpone(u, now)
		w.pause(stream.ReasonGone)
		return false
	case slow:
		w.slowDown(u, a, now)
	default:
		if w.throttle.success(u.round, w.sub.MaxInFlight) { // it answers
			w.recover(now)
		}
		u.own++
	}
	u.slow = slow
	u.part.dirty = true // the next owner goes on counting
	if a.Outcome != stream.DeliveryRefused && !exhausted(w.sub.Retry, u, now) {
		w.postpone(u, now.Add(max(w.e.Pause(w.sub.Retry, u.attempts), a.RetryAfter)))
		return false
	}
	switch w.sub.OnExhausted {
	case stream.OnExhaustedPause:
		u.own, u.attempts = 0, 0
		w.postpone(u, now)
		w.pause(stream.ReasonExhausted)
	case stream.OnExhaustedDrop:
		w.complete(u, "dropped")
	default:
		return true
	}
	return false
}

// slowDown notes that the endpoint is in trouble.
func (w *worker) slowDown(u *unit, a stream.Attempt, now time.Time) {
	before := w.throttle.slowed
	if w.throttle.slow(u.round, now, a.RetryAfter) {
		u.blame++
	}
	if u.blame >= maxBlame { // it is the record that the endpoint cannot bear: all its attempts count
		u.own = u.attempts
	}
	if before {
		return
	}
	w.log.Warn("the endpoint is in trouble; it is tried with one request at a time",
		slog.Int("status", a.Status), slog.String("detail", a.Detail))
	w.e.metrics.slowed.Inc()
	if 2*w.e.memory.Load() > w.e.MemoryBytes {
		w.shed()
	}
}

// recover makes due what failed because the endpoint was in trouble.
func (w *worker) recover(now time.Time) {
	w.log.Info("the endpoint answers again")
	for _, u := range w.retries {
		if u.slow && u.blame < maxBlame {
			u.due = now
		}
	}
	heap.Init(&w.retries)
}

// exhausted says whether a delivery was tried often enough. Attempts that an
// endpoint in trouble could not take do not count as such: then it is when the
// schedule, followed to its end, would have used them up.
func exhausted(r stream.Retry, u *unit, now time.Time) bool {
	age := now.Sub(u.first)
	switch {
	case r.MaxAge > 0 && age >= r.MaxAge:
		return true
	case r.MaxAttempts <= 0:
		return false
	}
	return u.own >= r.MaxAttempts || u.attempts >= r.MaxAttempts && age >= schedule(r)
}

// schedule gives the time that all attempts take, without jitter.
func schedule(r stream.Retry) time.Duration {
	sum, pause := 0.0, float64(r.Initial)
	for range min(r.MaxAttempts-1, 10_000) {
		sum += min(pause, float64(r.Max))
		pause *= max(r.Multiplier, 1)
	}
	return time.Duration(min(sum, math.MaxInt64/2))
}

// postpone puts a delivery off. What waits behind it, and for long it itself,
// is not kept in memory.
func (w *worker) postpone(u *unit, due time.Time) {
	u.due = due
	heap.Push(&w.retries, u)
	for _, l := range u.lanes {
		l.retrying = true
		for _, it := range l.queue {
			w.unloadToStub(it)
		}
	}
	if time.Until(due) >= unloadFrom {
		for _, it := range u.items {
			w.unloadToStub(it)
		}
	}
	w.roomFor(u.part)
}

func (w *worker) unloadToStub(it *item) {
	if it.record != nil {
		w.unload(it)
		it.part.stubs++
	}
}

// complete ends a delivery: its records are done with.
func (w *worker) complete(u *unit, result string) {
	p := u.part
	for _, it := range u.items {
		w.drop(it)
		it.over = true
		p.progress.finish(it.offset)
		delete(p.tries, it.offset)
	}
	p.dirty = true
	w.uncommitted += len(u.items)
	w.e.metrics.records.WithLabelValues(result).Add(float64(len(u.items)))
	w.releaseUnit(u)
}

// releaseUnit lets go on what waited for a delivery.
func (w *worker) releaseUnit(u *unit) {
	u.part.units--
	for _, l := range u.lanes {
		l.busy, l.retrying = false, false
		w.free(l, u.part)
	}
	w.roomFor(u.part)
}

// free lets the next of a lane go.
func (w *worker) free(l *lane, p *part) {
	if len(l.queue) == 0 {
		delete(w.lanes, l.key)
		return
	}
	heap.Push(&p.ready, l.queue[0])
}

// pause pauses the subscription here at once, and in the store as soon as that
// takes it.
func (w *worker) pause(reason string) {
	if w.paused {
		return
	}
	w.log.Warn("the subscription is paused", slog.String("reason", reason))
	w.setPaused(true)
	id, revision := w.sub.ID, w.sub.Revision
	w.work.Go(func() {
		pause := firstTrouble
		for {
			err := w.e.Pauser.Pause(w.ctx, id, revision, reason)
			code := stream.CodeOf(err)
			if err == nil || code == stream.EtagMismatch || code == stream.UnknownSubscription || w.ctx.Err() != nil {
				return // a newer revision will be told to us
			}
			w.trouble("the pause cannot be stored", err)
			if !w.sleep(jitter(pause)) {
				return
			}
			pause = min(2*pause, maxTrouble)
		}
	})
}

// bury stores what could not be delivered as dead letters, which is tried until
// it succeeds or the subscription is given up.
func (w *worker) bury(u *unit, d *stream.Delivery, a stream.Attempt) {
	for i := range d.Records {
		if !w.buryOne(d, &d.Records[i], a) {
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.sealed:
		w.e.metrics.inFlight.Dec()
		return
	case u.part == nil:
	case w.ctx.Err() != nil:
		w.postpone(u, time.Now())
	default:
		w.complete(u, "dead_letter")
	}
	w.landed()
}

func (w *worker) buryOne(d *stream.Delivery, r *stream.Record, a stream.Attempt) bool {
	pause := firstTrouble
	for {
		if w.e.Allowed() {
			ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
			err := w.e.DeadLetters.Write(ctx, d.Subscription.DeadLetter, deadLetter(d, r, a))
			cancel()
			if err == nil {
				return true
			}
			w.trouble("a dead letter cannot be stored", err)
		}
		if !w.sleep(jitter(pause)) {
			return false
		}
		pause = min(2*pause, maxTrouble)
	}
}
