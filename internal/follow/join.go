package follow

import (
	"context"
	"slices"
	"time"

	"sluice/internal/stream"
)

const (
	troublePause = time.Second           // before Kafka is asked again after it failed
	aheadPause   = 50 * time.Millisecond // before it is seen again whether the tail has come
	stuckPause   = 100 * time.Millisecond
)

// round is one way from where a follower is to where its feed was at one
// moment. The feed's frames after that moment follow at cursor.
type round struct {
	layouts []stream.Layout
	to      stream.Position
	cursor  int64
	left    []stream.Span // what is still to be read
}

// begin begins a round: it places the follower in the streams as they are now,
// tells what of them it has lost, and finds what it has to read.
func (f *Follower) begin(ctx context.Context) ([]byte, pause, error) {
	b, s := f.behind, f.feed.snapshot()
	if s.err != nil {
		return nil, pause{}, s.err
	}
	if strange(b.at, s.layouts) && !f.hub.lookedSince(f.feed, b.arrived) {
		kick(f.hub.kickLook)
		return nil, pause{news: s.news, most: aheadPause}, nil
	}
	begins, err := f.hub.begins(ctx, b.at, f.feed, s)
	if err != nil {
		return f.trouble(err, s)
	}
	at, gaps := rebase(b.at, s.layouts, f.feed.selects, begins)
	if len(gaps) > 0 {
		return f.tell(gaps, at)
	}
	b.at = at
	if wait := time.Until(b.until); wait > 0 {
		return nil, pause{news: s.news, most: wait}, nil
	}
	gaps, p, err := f.ahead(ctx, s)
	switch {
	case err != nil:
		return f.trouble(err, s)
	case len(gaps) > 0:
		at = b.at.Clone()
		for _, g := range gaps {
			setAt(&at, s.layouts, g.Partition, g.To)
		}
		return f.tell(gaps, at)
	case p.most > 0:
		return nil, p, nil
	}
	b.round = &round{layouts: s.layouts, to: s.at, cursor: s.cursor, left: between(b.at, s.at, s.layouts, f.feed.selects)}
	return nil, pause{none: true}, nil
}

// tell gives the frames of gaps that belong together, and puts the follower at
// the position behind them. All but the last carry the position before.
func (f *Follower) tell(gaps []stream.Gap, at stream.Position) ([]byte, pause, error) {
	b := f.behind
	before, after := b.at.AppendText(nil), at.AppendText(nil)
	if len(after) > stream.MaxPosition {
		return nil, pause{}, errTooWide()
	}
	b.buf = b.buf[:0]
	for i, g := range gaps {
		token := before
		if i == len(gaps)-1 {
			token = after
		}
		b.buf = f.feed.frames.Gap(b.buf, g, token)
	}
	b.at = at
	f.hub.metrics.gaps.Add(float64(len(gaps)))
	f.hub.metrics.frames.Add(float64(len(gaps)))
	return b.buf, pause{}, nil
}

// begins gives the first offsets of those partitions that a position does not
// know. A stream that is gone begins where the feed is in it: there is nothing
// else to read.
func (h *Hub) begins(ctx context.Context, at stream.Position, f *feed, s snapshot) (map[stream.Partition]int64, error) {
	ps := unknown(at, s.layouts, f.selects)
	bounds, gone, err := h.boundsOrGone(ctx, ps)
	begins := make(map[stream.Partition]int64, len(ps))
	for _, p := range ps {
		if gone[p.Stream] {
			begins[p] = offsetIn(s.at, s.layouts, p)
		} else {
			begins[p] = bounds[p].Begin
		}
	}
	return begins, err
}

// boundsOrGone asks for the bounds of partitions, and finds out which of their
// streams are gone: both the last look at the layouts and the broker itself
// must say so. Where they disagree the error is UnknownStream.
func (h *Hub) boundsOrGone(ctx context.Context, ps []stream.Partition) (bounds map[stream.Partition]stream.Bounds, gone map[string]bool, err error) {
	bounds, err = h.bounds(ctx, ps)
	if stream.CodeOf(err) != stream.UnknownStream {
		return bounds, nil, err
	}
	bounds, gone = map[stream.Partition]stream.Bounds{}, map[string]bool{}
	for _, p := range ps {
		if gone[p.Stream] {
			continue
		}
		one, err := h.bounds(ctx, []stream.Partition{p})
		switch {
		case err == nil:
			bounds[p] = one[p]
		case stream.CodeOf(err) == stream.UnknownStream && h.isGone(p.Stream):
			gone[p.Stream] = true
		default:
			return nil, nil, err
		}
	}
	return bounds, gone, nil
}

// ahead finds the partitions in which a follower is further than its feed:
// another gateway's tail was. Then it has to wait, unless it is beyond what
// the broker has, which is a gap back to the end.
func (f *Follower) ahead(ctx context.Context, s snapshot) ([]stream.Gap, pause, error) {
	b := f.behind
	var ps []stream.Partition
	for _, sp := range between(s.at, b.at, s.layouts, f.feed.selects) {
		ps = append(ps, sp.Partition)
	}
	if len(ps) == 0 {
		return nil, pause{}, nil
	}
	p := pause{news: s.news, most: aheadPause}
	if time.Since(b.asked) < troublePause {
		return nil, p, nil
	}
	b.asked = time.Now()
	bounds, gone, err := f.hub.boundsOrGone(ctx, ps)
	var gaps []stream.Gap
	for _, id := range ps {
		at := offsetIn(b.at, s.layouts, id)
		if gone[id.Stream] { // nothing will come: the feed is there
			setAt(&b.at, s.layouts, id, offsetIn(s.at, s.layouts, id))
		} else if end, ok := bounds[id]; ok && end.End < at {
			gaps = append(gaps, stream.Gap{Partition: id, From: at, To: end.End})
		}
	}
	return gaps, p, err
}

// strange says whether a position knows streams or partitions that the layouts
// do not: some streams were deleted or made anew, or the layouts are older than
// the position.
func strange(at stream.Position, layouts []stream.Layout) bool {
	rest := at.Clone()
	for _, l := range layouts {
		if offsets, known := at.Find(l); known == stream.KnownWell && len(offsets) > l.Partitions {
			return true
		}
		rest.Forget(l)
	}
	return rest.String() != stream.Position{}.String()
}

// lookedSince says whether a feed knows all streams that there were when the
// question with the given number was asked.
func (h *Hub) lookedSince(f *feed, asked int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(f.asked, h.looked) > asked
}

// knows says what a position knows of a stream, as its Find does. A position
// has only a short hash of the name: an earlier stream that is in truth
// another one of the layouts is not taken for this one.
func knows(at stream.Position, l stream.Layout, layouts []stream.Layout) ([]int64, stream.Known) {
	offsets, known := at.Find(l)
	if known != stream.KnownEarlier || len(offsets) == 0 {
		return offsets, known
	}
	for _, other := range layouts {
		theirs, how := at.Find(other)
		if how == stream.KnownWell && len(theirs) > 0 && &theirs[0] == &offsets[0] {
			return nil, stream.KnownNot
		}
	}
	return offsets, known
}

// knownAt gives the offset for a partition among those of its stream, and
// whether there is one.
func knownAt(offsets []int64, n int32) (int64, bool) {
	if int(n) < len(offsets) && offsets[n] >= 0 {
		return offsets[n], true
	}
	return 0, false
}

// unknown lists the selected partitions whose beginning rebase must know.
func unknown(at stream.Position, layouts []stream.Layout, selects func(int32) bool) []stream.Partition {
	var ps []stream.Partition
	for _, l := range layouts {
		offsets, known := knows(at, l, layouts)
		for n := range int32(l.Partitions) {
			if _, ok := knownAt(offsets, n); selects(n) && (!ok || known != stream.KnownWell) {
				ps = append(ps, stream.Partition{Stream: l.Stream, Number: n})
			}
		}
	}
	return ps
}

// rebase carries a position over to streams as they are now. What it does not
// know begins at its beginning; of a stream that was made anew each partition
// that it knew is a gap.
func rebase(at stream.Position, layouts []stream.Layout, selects func(int32) bool, begins map[stream.Partition]int64) (stream.Position, []stream.Gap) {
	var now stream.Position
	var gaps []stream.Gap
	for _, l := range layouts {
		offsets, known := knows(at, l, layouts)
		for n := range int32(max(l.Partitions, len(offsets))) {
			if !selects(n) {
				continue
			}
			p := stream.Partition{Stream: l.Stream, Number: n}
			old, ok := knownAt(offsets, n)
			if ok && known == stream.KnownEarlier {
				gaps = append(gaps, stream.Gap{Partition: p, From: old, To: begins[p]})
			}
			switch {
			case int(n) >= l.Partitions:
			case ok && known == stream.KnownWell:
				now.Set(l, n, old)
			default:
				now.Set(l, n, begins[p])
			}
		}
	}
	return now, gaps
}

// between lists what lies between two positions in the partitions where the
// first is behind the second.
func between(from, to stream.Position, layouts []stream.Layout, selects func(int32) bool) []stream.Span {
	var spans []stream.Span
	for _, l := range layouts {
		a, _ := from.Find(l)
		b, _ := to.Find(l)
		for n := range int32(l.Partitions) {
			low, ok := knownAt(a, n)
			high, ok2 := knownAt(b, n)
			if ok && ok2 && selects(n) && low < high {
				spans = append(spans, stream.Span{Partition: stream.Partition{Stream: l.Stream, Number: n}, From: low, To: high})
			}
		}
	}
	return spans
}

// offsetIn gives the offset that a position has for a partition, 0 for none.
func offsetIn(at stream.Position, layouts []stream.Layout, p stream.Partition) int64 {
	l, _ := layoutOf(layouts, p.Stream)
	offsets, known := at.Find(l)
	if known != stream.KnownWell {
		return 0
	}
	o, _ := knownAt(offsets, p.Number)
	return o
}

func setAt(at *stream.Position, layouts []stream.Layout, p stream.Partition, offset int64) {
	if l, ok := layoutOf(layouts, p.Stream); ok {
		at.Set(l, p.Number, offset)
	}
}

// sameLayouts says whether a feed still reads what a round was begun for. It
// replaces its layouts when they change, so that looking at the first is
// enough.
func sameLayouts(a, b []stream.Layout) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}
