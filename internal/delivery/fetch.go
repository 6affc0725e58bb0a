package delivery

import (
	"container/heap"
	"log/slog"
	"slices"

	"sluice/internal/stream"
)

// want has a record loaded that is not in memory.
func (w *worker) want(it *item) {
	p := it.part
	it.wanted = true
	p.wanted = append(p.wanted, it)
	if !p.fetching {
		p.fetching = true
		w.work.Go(func() { w.fetch(p) })
	}
}

// fetch loads what is wanted of a partition, page by page.
func (w *worker) fetch(p *part) {
	pause := firstTrouble
	for {
		request, lowest, ok := w.askWanted(p)
		if !ok {
			return
		}
		answer, err := w.e.Pages.Page(w.ctx, request)
		if err != nil {
			w.trouble("records that wait cannot be read again", err)
			if !w.sleep(jitter(pause)) {
				return
			}
			pause = min(2*pause, maxTrouble)
			continue
		}
		w.mu.Lock()
		next, ok := nextIn(answer.Next, p)
		if ok && !p.gone {
			w.takeWanted(p, answer, lowest, next)
		} else { // of another topic: the reader has to look, though it may have no room
			s := w.sourceOf(p)
			s.known = false
			s.wake()
		}
		w.pump()
		w.mu.Unlock()
		pause = firstTrouble
		if (!ok || next <= lowest) && !w.sleep(firstTrouble) {
			return
		}
	}
}

// askWanted asks for the wanted record with the lowest offset, and those after
// it: others of its lane will be next.
func (w *worker) askWanted(p *part) (r stream.PageRequest, lowest int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lowest = -1
	for _, it := range p.wanted {
		if lowest < 0 || it.offset < lowest {
			lowest = it.offset
		}
	}
	pattern, err := stream.ParsePattern(p.id.Stream)
	if lowest < 0 || w.stopping || p.gone || err != nil {
		p.fetching = false
		return r, lowest, false
	}
	var from, until stream.Position
	from.Set(p.layout, p.id.Number, lowest)
	until.Set(p.layout, p.id.Number, max(p.progress.next, lowest+1))
	return stream.PageRequest{
		Reading:   stream.Reading{Pattern: pattern, Partition: p.id.Number, Start: stream.Start{Kind: stream.FromPosition, Position: from}},
		PageLimit: stream.PageLimit{Records: pageRecords, Bytes: pageBytes},
		Until:     &until,
	}, lowest, true
}

// takeWanted takes a page of what was asked for: the offsets from on, up to next.
func (w *worker) takeWanted(p *part, answer stream.PageAnswer, from, next int64) {
	wanted := map[*item]bool{}
	room := map[*lane]int{}
	for _, it := range p.wanted {
		wanted[it] = true
		if it.lane != nil {
			room[it.lane] = laneLoaded
		}
	}
	for i := range answer.Records {
		r := &answer.Records[i]
		j := p.progress.index(r.Offset)
		if j == len(p.progress.entries) {
			break
		}
		it := p.progress.entries[j].item
		if it == nil || it.offset != r.Offset || it.record != nil {
			continue
		}
		if !wanted[it] && (room[it.lane] == 0 || it.unit != nil || it.lane.retrying) {
			continue
		}
		room[it.lane]--
		p.stubs--
		w.load(it, r)
	}
	w.loaded(p, from, next)
}

// loaded goes on with the records that were wanted and are there, or will
// never be: those that a page of the offsets from on, up to next, left out.
// Others, also lower ones, may have come to be wanted since it was asked for.
func (w *worker) loaded(p *part, from, next int64) {
	var left []*item
	for _, it := range p.wanted {
		asked := it.offset >= from && it.offset < next
		it.wanted = it.record == nil && !it.over && !asked
		switch {
		case it.over:
		case it.record != nil && it.unit != nil:
			w.hasten(it.unit)
		case it.record != nil:
			heap.Push(&p.ready, it)
		case asked:
			w.vanish(it)
		default:
			left = append(left, it)
		}
	}
	p.wanted = left
}

// unwant forgets what is to be loaded.
func (w *worker) unwant(p *part) {
	for _, it := range p.wanted {
		it.wanted = false
	}
	p.wanted = nil
}

// vanish completes a record that is not there any more.
func (w *worker) vanish(it *item) {
	p := it.part
	w.e.metrics.gaps.Inc()
	w.log.Warn("a record is gone before it was delivered", slog.String("stream", p.id.Stream),
		slog.Int("partition", int(p.id.Number)), slog.Int64("offset", it.offset))
	w.drop(it)
	it.over = true
	p.progress.finish(it.offset)
	p.dirty = true
	if u := it.unit; u != nil {
		u.items = slices.DeleteFunc(u.items, func(other *item) bool { return other == it })
		u.id = "" // its first or last record may be another now
		if len(u.items) > 0 {
			w.hasten(u)
			return
		}
		w.unqueue(u)
		w.releaseUnit(u)
		return
	}
	if l := it.lane; l != nil && len(l.queue) > 0 && l.queue[0] == it {
		l.queue = l.queue[1:]
		w.free(l, p)
	}
}
