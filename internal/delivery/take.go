package delivery

import (
	"container/heap"
	"log/slog"
	"slices"
	"time"

	"sluice/internal/stream"
)

// How much of a lane is kept in memory: of more only the offsets, and nothing
// of what waits behind a failure. It is loaded when its turn comes.
const (
	laneLoaded = 32
	maxStubs   = 10_000 // of a partition
	itemBytes  = 512    // what an open record takes beside its bytes, about
)

// take takes a page. w.mu is held.
func (s *source) take(a asking, answer stream.PageAnswer) {
	w := s.w
	if w.stopping || w.paused {
		return
	}
	if !s.redrive && answer.Next.Streams() != s.streams {
		s.known = false // streams came or went
	}
	for p := range a.from {
		if _, ok := nextIn(answer.Next, p); !ok && !p.gone {
			s.known = false
			return // of other topics than we know: it is asked for again
		}
	}
	s.takeGaps(a, answer.Gaps, true)
	now := time.Now()
	for i := range answer.Records {
		r := &answer.Records[i]
		p := s.index[stream.Partition{Stream: r.Stream, Number: r.Partition}]
		if p == nil {
			s.known = false
		} else if s.takes(a, p) && (!s.redrive || r.Offset < p.until) {
			w.add(p, r, now)
		}
	}
	s.takeGaps(a, answer.Gaps, false) // now: records of the page may lie before one
	progressed := false
	for _, p := range s.parts {
		next, ok := nextIn(answer.Next, p)
		if !ok {
			continue
		}
		if s.takes(a, p) {
			progressed = progressed || next > a.from[p]
			before := p.progress.lowest()
			p.progress.advance(next)
			p.dirty = p.dirty || p.progress.lowest() != before
		} else if p.skipped && p.far >= 0 {
			p.far = next
		}
	}
	if s.redrive && !answer.More && !progressed {
		s.endRedrive(a)
	}
	s.more = answer.More || len(answer.Gaps) > 0
	w.pump()
}

// takes says whether what was asked of a partition still is the next of it.
// Records may have been forgotten meanwhile.
func (s *source) takes(a asking, p *part) bool {
	from, asked := a.from[p]
	return asked && !p.gone && p.progress.next >= from
}

// takeGaps takes the gaps that go back, or those that go on.
func (s *source) takeGaps(a asking, gaps []stream.Gap, back bool) {
	for _, g := range gaps {
		p := s.index[g.Partition]
		if p == nil || !s.takes(a, p) || g.To == g.From || g.To < g.From != back {
			continue
		}
		s.w.e.metrics.gaps.Inc()
		s.w.log.Warn("records are gone before they were delivered", slog.String("stream", g.Stream),
			slog.Int("partition", int(g.Number)), slog.Int64("from_offset", g.From), slog.Int64("to_offset", g.To))
		if g.To < g.From {
			s.goBack(a, p, g.To)
		} else {
			p.progress.advance(g.To)
		}
		p.dirty = true
	}
}

// goBack goes on at an offset below what was read: the newest records are gone,
// and their offsets will be those of others. Records below it that are open are
// still there, and are read again.
func (s *source) goBack(a asking, p *part, to int64) {
	var done []span
	lowest := min(p.progress.lowest(), to)
	for _, d := range p.progress.complete() {
		if d.to = min(d.to, to); d.from < d.to {
			done = append(done, d)
		}
	}
	s.w.clear(p)
	p.progress = newProgress(lowest, done)
	if lowest == to {
		a.from[p] = to // the page goes on from there; else it is asked for again
	}
}

// endRedrive ends the reading of partitions that hold less than was said.
func (s *source) endRedrive(a asking) {
	for p := range a.from {
		p.progress.advance(p.until)
		p.dirty = true
	}
}

// add takes a record that was read.
func (w *worker) add(p *part, r *stream.Record, now time.Time) {
	it := &item{part: p, offset: r.Offset, since: now, published: r.Timestamp}
	if !p.progress.add(it) {
		return
	}
	it.lane = w.laneOf(p, r)
	if l := it.lane; l != nil {
		l.queue = append(l.queue, it)
		if l.retrying || len(l.queue) > laneLoaded {
			p.stubs++
			return
		}
		if l.busy || l.queue[0] != it {
			w.load(it, r)
			return
		}
	}
	w.load(it, r)
	heap.Push(&p.ready, it)
}

// laneOf gives the lane in which a record waits, nil for none.
func (w *worker) laneOf(p *part, r *stream.Record) *lane {
	key := laneKey{part: p}
	switch w.sub.Ordering {
	case stream.OrderingNone:
		return nil
	case stream.OrderingPartition:
	default:
		if r.Key == nil {
			return nil
		}
		key.key = string(r.Key)
	}
	l := w.lanes[key]
	if l == nil {
		l = &lane{key: key}
		w.lanes[key] = l
	}
	return l
}

// load keeps a record in memory.
func (w *worker) load(it *item, r *stream.Record) {
	kept := *r // not the page it stands in
	it.record = &kept
	it.size = itemBytes + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		it.size += len(h.Name) + len(h.Value)
	}
	it.part.loaded++
	it.part.bytes += it.size
	w.e.memory.Add(int64(it.size))
}

// unload forgets a record's content, but not the record.
func (w *worker) unload(it *item) {
	if it.record == nil {
		return
	}
	it.record = nil
	it.part.loaded--
	it.part.bytes -= it.size
	w.e.memory.Add(-int64(it.size))
}

// hasRoom says whether a partition may be read. One that was full is read again
// when half of its share is free.
func (w *worker) hasRoom(p *part) bool {
	n := len(w.parts())
	records, bytes, stubs := max(w.e.WindowRecords/n, 4), max(w.e.WindowBytes/n, 4096), maxStubs
	if p.skipped {
		records, bytes, stubs = records/2, bytes/2, stubs/2
	}
	return p.loaded < records && p.bytes < bytes && p.stubs < stubs
}

// crowdedOut says whether nothing may be read now: memory is short, or the
// endpoint is in trouble, and there is something to send already.
func (w *worker) crowdedOut() bool {
	if !w.e.crowded() && !w.throttle.slowed {
		return false
	}
	for _, p := range w.parts() {
		if p.loaded > 0 || p.stubs > 0 {
			return true
		}
	}
	return false
}

// shed forgets what waits, to be read again. Attempts under way go on.
func (w *worker) shed() {
	for _, u := range slices.Backward(w.retries) {
		w.dissolve(u)
	}
	w.retries = nil
	for _, p := range w.parts() {
		p.progress.forget(func(it *item) bool {
			if it.unit != nil {
				return false
			}
			w.drop(it)
			it.over = true
			return true
		})
		w.unwant(p)
		p.ready = nil
	}
	for key, l := range w.lanes {
		l.queue = nil
		if !l.busy {
			delete(w.lanes, key)
		}
	}
}

// dissolve makes single records of a delivery that waits for another attempt.
func (w *worker) dissolve(u *unit) {
	p := u.part
	p.units--
	p.tries[u.items[0].offset] = try{offset: u.items[0].offset, attempts: u.own, first: u.first}
	for _, it := range u.items {
		it.unit = nil
	}
	for _, l := range u.lanes {
		l.busy, l.retrying = false, false
	}
}

// drop takes a record out of the counts.
func (w *worker) drop(it *item) {
	if it.record == nil {
		it.part.stubs--
		return
	}
	w.unload(it)
}

// clear forgets all that is open in a partition. Attempts under way end without
// effect on it.
func (w *worker) clear(p *part) {
	for _, e := range p.progress.entries {
		if e.item == nil {
			continue
		}
		w.drop(e.item)
		e.item.over = true
		if u := e.item.unit; u != nil {
			u.part = nil
			w.unqueue(u)
		}
		if e.item.lane != nil {
			delete(w.lanes, e.item.lane.key)
		}
	}
	p.progress = newProgress(p.progress.next, nil)
	p.ready, p.wanted, p.units, p.begun = nil, nil, 0, 0
	clear(p.tries)
}

// lose ends the delivery of a partition that is gone.
func (w *worker) lose(p *part) {
	p.gone = true
	w.clear(p)
}

// release takes what a partition holds out of the counts, at the end.
func (w *worker) release(p *part) {
	w.e.memory.Add(-int64(p.bytes))
	p.bytes, p.loaded = 0, 0
}

// sourceOf gives the source that reads a partition.
func (w *worker) sourceOf(p *part) *source {
	if p.redrive {
		return w.again
	}
	return w.main
}

// roomFor has a partition read again that was not for want of room.
func (w *worker) roomFor(p *part) {
	s := w.sourceOf(p)
	if p.skipped && !p.ignored && s.cancel != nil && w.hasRoom(p) {
		s.cancel()
	}
	if s.waiting {
		s.waiting = false
		s.wake()
	}
}

// stopReading ends the pages that are being waited for.
func (w *worker) stopReading() {
	for _, s := range []*source{w.main, w.again} {
		if s != nil && s.cancel != nil {
			s.cancel()
		}
	}
}

// wakeReaders has the readers look again whether they may read.
func (w *worker) wakeReaders() {
	for _, s := range []*source{w.main, w.again} {
		if s != nil {
			s.wake()
		}
	}
}

// wake has the source's goroutine look again whether it may read.
func (s *source) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
