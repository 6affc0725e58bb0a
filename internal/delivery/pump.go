package delivery

import (
	"container/heap"
	"time"

	"sluice/internal/stream"
)

// The pauses of what cannot go on for reasons of our own.
const (
	guardPause = 100 * time.Millisecond // before it is asked again whether we may act
	loadPause  = time.Second            // before it is seen again whether a record was loaded
	unloadFrom = 5 * time.Second        // a delivery that waits longer is not kept in memory
	maxBlame   = 2                      // a delivery that slowed an endpoint down so often is tried by its own schedule alone
)

// pump starts what can be started. Whoever changed the worker's state calls
// it, with w.mu held.
func (w *worker) pump() {
	if w.stopping || !w.taken {
		return
	}
	now := time.Now()
	if w.drained == nil {
		w.begin(now)
	}
	w.commitIfDue(now)
	w.noteDrained()
}

// begin begins deliveries, as many as there may be at a time.
func (w *worker) begin(now time.Time) {
	for !w.paused && w.inFlight < w.throttle.most(w.sub.MaxInFlight) && w.uncommitted < maxUncommitted {
		if now.Before(w.throttle.until) {
			w.at(w.throttle.until)
			return
		}
		u := w.next(now)
		if u == nil {
			return
		}
		if !w.e.Allowed() {
			w.at(now.Add(guardPause))
			return
		}
		w.launch(u, now)
	}
}

// next gives the delivery whose turn it is: one that is tried again, else a
// new one, else, to find out how the endpoint is, one whose turn has not come.
func (w *worker) next(now time.Time) *unit {
	for free := w.throttle.most(w.sub.MaxInFlight) - w.inFlight; len(w.retries) > 0 && free > 0; free-- {
		u := w.retries[0]
		if u.due.After(now) {
			w.at(u.due)
			break
		}
		if w.inMemory(u) {
			return u
		}
		u.due = now.Add(loadPause)
		heap.Fix(&w.retries, 0)
	}
	if u := w.fresh(now); u != nil || !w.throttle.slowed {
		return u
	}
	var probe *unit
	for _, u := range w.retries {
		if u.slow && u.blame < maxBlame && (probe == nil || u.due.Before(probe.due)) {
			probe = u
		}
	}
	if probe != nil && w.inMemory(probe) {
		return probe
	}
	return nil
}

// inMemory says whether a delivery can be sent; what is missing is loaded.
func (w *worker) inMemory(u *unit) bool {
	all := true
	for _, it := range u.items {
		if it.record == nil {
			all = false
			if !it.wanted {
				w.want(it)
			}
		}
	}
	return all
}

// fresh gives a new delivery, of one partition after the other.
func (w *worker) fresh(now time.Time) *unit {
	ps := w.parts()
	for i := range ps {
		n := (w.turn + i) % len(ps)
		if u := w.form(ps[n], now); u != nil {
			w.turn = n + 1
			return u
		}
	}
	return nil
}

// form makes a delivery of what is ready in a partition, the lowest offset
// first; nil when nothing is, or it has to wait.
func (w *worker) form(p *part, now time.Time) *unit {
	for len(p.ready) > 0 {
		it := p.ready[0]
		if it.isReady() {
			return w.unitFrom(it, now)
		}
		heap.Pop(&p.ready)
		if it.record == nil && !it.over && it.unit == nil {
			w.want(it)
		}
	}
	return nil
}

// unitFrom makes a delivery that begins with an item: nil when it has to wait.
func (w *worker) unitFrom(it *item, now time.Time) *unit {
	p, most := it.part, max(w.sub.Batch.MaxRecords, 1)
	if p.redrive { // dead letters are of many partitions: each is sent alone
		most = 1
	}
	u := &unit{part: p, items: []*item{it}, index: -1}
	if it.lane != nil {
		u.lanes = []*lane{it.lane}
	}
	if most > 1 {
		w.extend(u, most)
	}
	if !p.fits(it.offset, u.items[len(u.items)-1].offset+1) {
		return nil
	}
	if wait := it.since.Add(w.sub.Batch.MaxWait); len(u.items) < most && now.Before(wait) && !p.redrive && w.hasRoom(p) {
		w.at(wait)
		return nil
	}
	return u
}

// extend adds the records that follow, up to the first open one that may not be
// sent now. Nothing open is left out between two records of a batch: the
// webhook-id names its first and last alone, and a receiver that has seen the
// same ends must have seen everything between them.
func (w *worker) extend(u *unit, most int) {
	p := u.part
	taken := map[*lane]bool{}
	if l := u.items[0].lane; l != nil {
		taken[l] = true
	}
	for i := p.progress.index(u.items[0].offset) + 1; i < len(p.progress.entries) && len(u.items) < most; i++ {
		e := p.progress.entries[i]
		if e.from >= p.progress.next {
			return
		}
		it := e.item
		if it == nil {
			continue
		}
		if it.record == nil || it.unit != nil || !taken[it.lane] && !it.isReady() {
			return
		}
		if it.lane != nil && !taken[it.lane] {
			taken[it.lane] = true
			u.lanes = append(u.lanes, it.lane)
		}
		u.items = append(u.items, it)
	}
}

// launch makes an attempt.
func (w *worker) launch(u *unit, now time.Time) {
	p := u.part
	if u.first.IsZero() {
		w.enroll(u, now)
	}
	w.unqueue(u)
	u.attempts++
	u.round = w.throttle.round
	w.inFlight++
	w.e.metrics.inFlight.Inc()
	d := &stream.Delivery{
		Subscription: w.sub, TopicID: p.layout.TopicID, Attempt: u.attempts, First: u.first,
		Records: make([]stream.Record, len(u.items)),
	}
	for i, it := range u.items {
		d.Records[i] = *it.record
	}
	if p.redrive {
		restore(d)
	}
	if u.id == "" {
		u.id = w.e.ID(d)
	}
	d.ID = u.id
	w.work.Go(func() { w.attempt(u, d) })
}

// enroll takes the records of a new delivery out of what waits.
func (w *worker) enroll(u *unit, now time.Time) {
	p := u.part
	p.units++
	p.begun = max(p.begun, u.items[len(u.items)-1].offset+1)
	for _, it := range u.items {
		it.unit = u
		if it.lane != nil {
			it.lane.queue = it.lane.queue[1:]
		}
	}
	for _, l := range u.lanes {
		l.busy = true
	}
	u.first = now
	if t, ok := p.tries[u.items[0].offset]; ok { // tried before, perhaps by another owner
		u.first, u.attempts, u.own = t.first, t.attempts, t.attempts
	}
}

// unqueue takes a delivery out of those that wait for another attempt.
func (w *worker) unqueue(u *unit) {
	if u.index >= 0 {
		heap.Remove(&w.retries, u.index)
	}
}

// hasten makes a delivery that waits the next one: it was loaded, and no other
// is to be while it waits.
func (w *worker) hasten(u *unit) {
	if u.index >= 0 {
		u.due = time.Time{}
		heap.Fix(&w.retries, u.index)
	}
}
