package follow

import (
	"context"
	"time"

	"sluice/internal/stream"
)

// behind is a follower that reads pages until it meets its feed. A follower
// that reads more slowly than its streams grow never does.
type behind struct {
	at    stream.Position // after everything that was given
	round *round          // nil: to be begun
	page  *pageLeft       // nil: to be read
	buf   []byte          // frames that were given
	size  int             // of the next page, in bytes
	held  int             // of the budget
	gave  time.Time       // when frames were given
	asked time.Time       // when the broker was asked how far it is
	until time.Time       // no round is begun before

	arrived int64 // the last question that was asked before the position came
}

// pageLeft is a page that is being written.
type pageLeft struct {
	stream.Page
	next int // of its records
}

func (b *behind) giveBack(pages *budget) {
	pages.give(b.held)
	b.held = 0
}

// catchUp gives frames of what lies between the follower and its feed, or puts
// it at the tail when there is nothing.
func (f *Follower) catchUp(ctx context.Context) ([]byte, pause, error) {
	b := f.behind
	if b.page != nil {
		return f.write()
	}
	b.giveBack(f.hub.pages)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.hub.drain, cancel)()
	if b.round == nil {
		return f.begin(ctx)
	}
	if len(b.round.left) == 0 {
		f.goLive(b.round.cursor)
		return nil, pause{none: true}, nil
	}
	return f.read(ctx)
}

// read reads a page of the round.
func (f *Follower) read(ctx context.Context) ([]byte, pause, error) {
	b := f.behind
	s := f.feed.peek()
	if !sameLayouts(s.layouts, b.round.layouts) {
		b.round = nil
		return nil, pause{none: true}, s.err
	}
	b.resize()
	got, room := f.hub.pages.take(2 * b.size) // the records and their frames
	if got == 0 {
		b.buf = nil
		return nil, pause{news: s.news, room: room, most: troublePause}, nil
	}
	b.held = got
	page, err := f.page(ctx, stream.PageLimit{Records: max(1, got/256), Bytes: max(1, got/2)})
	if err != nil {
		b.giveBack(f.hub.pages)
		if stream.CodeOf(err) == stream.UnknownStream {
			return f.bury(ctx, s)
		}
		return f.trouble(err, s)
	}
	if !sameLayouts(f.feed.peek().layouts, b.round.layouts) {
		b.round = nil // some of it may be of a stream that was made anew
		return nil, pause{none: true}, nil
	}
	if len(page.Records) == 0 && len(page.Gaps) == 0 && sameSpans(page.Left, b.round.left) {
		return nil, pause{news: s.news, most: stuckPause}, nil
	}
	b.round.cut(&page)
	b.page = &pageLeft{Page: page}
	return f.write()
}

// cut ends gaps where the round does: the records behind it are in the ring,
// even when the broker has removed them meanwhile.
func (r *round) cut(page *stream.Page) {
	for i := range page.Gaps {
		g := &page.Gaps[i]
		if g.To > g.From {
			g.To = min(g.To, offsetIn(r.to, r.layouts, g.Partition))
		}
	}
	for i := range page.Left {
		sp := &page.Left[i]
		if end := offsetIn(r.to, r.layouts, sp.Partition); sp.From > end {
			sp.From, sp.To = end, end
		}
	}
}

// resize makes pages larger for who takes them quickly, and smaller for who
// does not, so that slow readers do not hold much.
func (b *behind) resize() {
	switch {
	case b.gave.IsZero():
	case time.Since(b.gave) > time.Second:
		b.size = max(b.size/2, leastPage)
	default:
		b.size = min(b.size*2, mostPage)
	}
	b.gave = time.Time{}
}

// write gives the frames of the page that was read, or of a part of it when
// they are large.
func (f *Follower) write() ([]byte, pause, error) {
	b, p := f.behind, f.behind.page
	b.buf = b.buf[:0]
	var token [256]byte
	frames := 0
	for ; p.next < len(p.Records) && len(b.buf) < max(b.size, leastPage); p.next++ {
		r := &p.Records[p.next]
		if len(p.Gaps) > 0 {
			f.writeGaps(r)
		}
		setAt(&b.at, b.round.layouts, stream.Partition{Stream: r.Stream, Number: r.Partition}, r.Offset+1)
		if f.feed.filter != nil && !f.feed.filter.Match(r) {
			continue
		}
		text := b.at.AppendText(token[:0])
		if len(text) > stream.MaxPosition {
			return nil, pause{}, errTooWide()
		}
		b.buf = f.feed.frames.Record(b.buf, r, text)
		frames++
	}
	f.hub.metrics.frames.Add(float64(frames))
	if p.next == len(p.Records) {
		f.finishPage()
	}
	b.gave = time.Now()
	return b.buf, pause{none: true}, nil
}

// writeGaps gives the gaps before record r, or all there are when r is nil.
func (f *Follower) writeGaps(r *stream.Record) {
	b := f.behind
	kept := b.page.Gaps[:0]
	for _, g := range b.page.Gaps {
		if r != nil && (g.Stream != r.Stream || g.Number != r.Partition || g.To > r.Offset || g.To < g.From) {
			kept = append(kept, g)
			continue
		}
		setAt(&b.at, b.round.layouts, g.Partition, g.To)
		b.buf = f.feed.frames.Gap(b.buf, g, b.at.AppendText(nil))
		f.hub.metrics.gaps.Inc()
		f.hub.metrics.frames.Inc()
	}
	b.page.Gaps = kept
}

// finishPage passes over what the page had no records for. Where the stream
// lost its newest records the round's end is not there any more: another round
// is needed.
func (f *Follower) finishPage() {
	b, p := f.behind, f.behind.page
	back := map[stream.Partition]int64{}
	for _, g := range p.Gaps {
		if g.To < g.From {
			back[g.Partition] = g.To
		}
	}
	f.writeGaps(nil)
	left := p.Left[:0]
	for _, sp := range p.Left {
		if _, ok := back[sp.Partition]; ok {
			continue
		}
		setAt(&b.at, b.round.layouts, sp.Partition, sp.From)
		if sp.From < sp.To {
			left = append(left, sp)
		}
	}
	b.round.left, b.page = left, nil
	if len(back) > 0 {
		b.round, b.until = nil, time.Now().Add(troublePause)
	}
}

// bury tells as a gap what a follower had still to read of streams that were
// deleted.
func (f *Follower) bury(ctx context.Context, s snapshot) ([]byte, pause, error) {
	b := f.behind
	var ps []stream.Partition
	for _, sp := range b.round.left {
		ps = append(ps, sp.Partition)
	}
	_, gone, err := f.hub.boundsOrGone(ctx, ps)
	if err != nil { // the next look will tell
		return f.trouble(err, s)
	}
	var gaps []stream.Gap
	at := b.at.Clone()
	for _, sp := range b.round.left {
		if gone[sp.Stream] {
			gaps = append(gaps, stream.Gap(sp))
			setAt(&at, b.round.layouts, sp.Partition, sp.To)
		}
	}
	b.round = nil
	if len(gaps) == 0 { // it is there again
		return nil, pause{news: s.news, most: stuckPause}, nil
	}
	return f.tell(gaps, at)
}

// trouble decides what an error of Kafka's means: most are waited out.
func (f *Follower) trouble(err error, s snapshot) ([]byte, pause, error) {
	f.behind.round = nil
	switch stream.CodeOf(err) {
	case stream.KafkaUnavailable, stream.UnknownStream, stream.Overloaded:
		return nil, pause{news: s.news, most: troublePause}, nil
	}
	if isCanceled(err) {
		return nil, pause{news: s.news, most: stuckPause}, nil // Next sees whose end it is
	}
	return nil, pause{}, err
}

func sameSpans(a, b []stream.Span) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
