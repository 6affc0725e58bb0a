package follow

import (
	"context"
	"time"

	"sluice/internal/stream"
)

// scanPages is how many pages are read for one that a filter leaves empty.
const scanPages = 16

// Page reads one page. Any gateway goes on where another one stopped. The
// errors are those of Follow.
func (h *Hub) Page(ctx context.Context, r stream.PageRequest) (stream.PageAnswer, error) {
	if err := checkStart(r.Reading); err != nil {
		return stream.PageAnswer{}, err
	}
	h.metrics.pulled.Inc()
	deadline := time.Now().Add(r.Wait)
	if answer, ok, err := h.near(ctx, r, deadline); ok {
		return answer, err
	}
	p, err := h.pull(ctx, r)
	if err != nil {
		return stream.PageAnswer{}, err
	}
	if p.empty() && r.Wait > 0 && r.Until == nil {
		if err := p.wait(ctx, deadline); err != nil {
			return stream.PageAnswer{}, err
		}
	}
	return p.answer()
}

// pull reads a page up to the ends as they are now.
func (h *Hub) pull(ctx context.Context, r stream.PageRequest) (*pull, error) {
	done, err := h.ask(ctx, r.Following)
	if err != nil {
		return nil, err
	}
	defer done()
	for try := 1; ; try++ {
		arrived := h.question()
		layouts, err := h.layouts(ctx, r.Pattern, r.Partition)
		if err != nil {
			return nil, err
		}
		p := &pull{hub: h, r: r, layouts: layouts, arrived: arrived}
		if err = p.run(ctx); err == nil {
			return p, nil
		}
		// A stream that was deleted between the questions is no error of a
		// pattern, and one of an id is found by the next one.
		if try == openTries || stream.CodeOf(err) != stream.UnknownStream {
			return nil, err
		}
	}
}

// End gives the position behind all records that there are now.
func (h *Hub) End(ctx context.Context, p stream.Pattern, partition int32) (stream.Position, error) {
	for try := 1; ; try++ {
		layouts, err := h.layouts(ctx, p, partition)
		if err != nil {
			return stream.Position{}, err
		}
		bounds, err := h.bounds(ctx, partitions(layouts, selector(partition)))
		if err == nil {
			return ends(layouts, bounds), nil
		}
		if try == openTries || stream.CodeOf(err) != stream.UnknownStream {
			return stream.Position{}, err
		}
	}
}

func selector(partition int32) func(int32) bool {
	return func(n int32) bool { return partition == stream.AnyPartition || partition == n }
}

// ends gives the position at the ends of all partitions.
func ends(layouts []stream.Layout, bounds map[stream.Partition]stream.Bounds) stream.Position {
	var at stream.Position
	for p, b := range bounds {
		setAt(&at, layouts, p, b.End)
	}
	return at
}

// pull is the reading of one page.
type pull struct {
	hub     *Hub
	r       stream.PageRequest
	layouts []stream.Layout
	arrived int64           // the question that layouts answers
	at      stream.Position // after what was read
	left    []stream.Span
	records []stream.Record
	gaps    []stream.Gap
}

func (p *pull) empty() bool { return len(p.records) == 0 && len(p.gaps) == 0 && len(p.left) == 0 }

func (p *pull) answer() (stream.PageAnswer, error) {
	if len(p.at.AppendText(nil)) > stream.MaxPosition {
		return stream.PageAnswer{}, errTooWide()
	}
	return stream.PageAnswer{Records: p.records, Gaps: p.gaps, Next: p.at, More: len(p.left) > 0}, nil
}

// run reads what there is, from the request's start up to the ends as they are
// now.
func (p *pull) run(ctx context.Context) error {
	selects := selector(p.r.Partition)
	bounds, err := p.hub.bounds(ctx, partitions(p.layouts, selects))
	if err != nil {
		return err
	}
	to := ends(p.layouts, bounds)
	start, err := p.start(ctx, to)
	if err != nil {
		return err
	}
	begins := make(map[stream.Partition]int64, len(bounds))
	for id, b := range bounds {
		begins[id] = b.Begin
	}
	p.at, p.gaps = rebase(start, p.layouts, selects, begins)
	for _, sp := range between(to, p.at, p.layouts, selects) { // beyond what the broker has
		p.gaps = append(p.gaps, stream.Gap{Partition: sp.Partition, From: sp.To, To: sp.From})
		setAt(&p.at, p.layouts, sp.Partition, sp.From)
	}
	p.left = p.until(between(p.at, to, p.layouts, selects))
	return p.read(ctx)
}

// start gives the position where the page begins.
func (p *pull) start(ctx context.Context, end stream.Position) (stream.Position, error) {
	var at stream.Position
	switch s := p.r.Start; s.Kind {
	case stream.FromLatest:
		return end.Clone(), nil
	case stream.FromPosition:
		return s.Position, nil
	case stream.FromOffset:
		for _, l := range p.layouts {
			at.Set(l, p.r.Partition, s.Offset)
		}
	case stream.FromTime:
		ps := partitions(p.layouts, selector(p.r.Partition))
		if len(ps) == 0 {
			return at, nil
		}
		offsets, err := p.hub.kafka.OffsetsAt(ctx, ps, s.Time)
		if err != nil {
			return at, err
		}
		for i, id := range ps {
			setAt(&at, p.layouts, id, offsets[i])
		}
	}
	return at, nil
}

// until cuts spans at the request's end. What that does not know is not read.
func (p *pull) until(spans []stream.Span) []stream.Span {
	if p.r.Until == nil {
		return spans
	}
	cut := spans[:0]
	for _, sp := range spans {
		sp.To = min(sp.To, offsetIn(*p.r.Until, p.layouts, sp.Partition))
		if sp.From < sp.To {
			cut = append(cut, sp)
		}
	}
	return cut
}

// read reads what is left, until there is something to answer.
func (p *pull) read(ctx context.Context) error {
	for range scanPages {
		if len(p.left) == 0 || len(p.records) > 0 {
			return nil
		}
		if err := p.readOnce(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *pull) readOnce(ctx context.Context) error {
	page, kept := p.hub.recent.read(p.left, p.layouts, p.r.PageLimit)
	if !kept {
		var err error
		if page, err = p.hub.kafka.Read(ctx, p.left, p.r.PageLimit); err != nil {
			return err
		}
	}
	if f := p.r.Filter; f == nil {
		p.records = page.Records
	} else {
		for i := range page.Records {
			if f.Match(&page.Records[i]) {
				p.records = append(p.records, page.Records[i])
			}
		}
	}
	if p.r.Following && !kept && len(page.Gaps) == 0 {
		p.hub.recent.merge(page.Records, p.left, page.Left, p.layouts)
	}
	p.gaps = append(p.gaps, page.Gaps...)
	back := map[stream.Partition]int64{}
	for _, g := range page.Gaps {
		if g.To < g.From {
			back[g.Partition] = g.To
		}
	}
	p.left = p.left[:0]
	for _, sp := range page.Left {
		if to, ok := back[sp.Partition]; ok {
			sp = stream.Span{Partition: sp.Partition, From: to, To: to}
		}
		setAt(&p.at, p.layouts, sp.Partition, sp.From)
		if sp.From < sp.To {
			p.left = append(p.left, sp)
		}
	}
	return nil
}

// wait waits until there is something to answer: a feed that writes nothing
// tells when a record comes that the filter selects.
func (p *pull) wait(ctx context.Context, deadline time.Time) error {
	h := p.hub
	if err := h.admit(); err != nil {
		return err
	}
	defer h.dismiss()
	fd, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer h.leave(fd)
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		s := fd.snapshot()
		var soon <-chan time.Time
		if strange(p.at, s.layouts) && !h.lookedSince(fd, p.arrived) {
			kick(h.kickLook)
			soon = time.After(aheadPause)
		} else if err := p.advance(ctx, fd, s); err != nil || !p.empty() {
			return err
		}
		select {
		case <-soon:
		case <-s.news:
		case <-timer.C:
			return nil
		case <-h.drain.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enter gives the feed that tells of news.
func (p *pull) enter(ctx context.Context) (*feed, error) {
	if fd := p.hub.reenter(p.r.Reading); fd != nil {
		return fd, nil
	}
	done, err := p.hub.ask(ctx, p.r.Following)
	if err != nil {
		return nil, err
	}
	defer done()
	return p.hub.enter(ctx, p.r.Reading, nil)
}

// advance reads up to where a feed is. Streams that are gone meanwhile end it
// without an error: the next request is told about them.
func (p *pull) advance(ctx context.Context, fd *feed, s snapshot) error {
	begins, err := p.hub.begins(ctx, p.at, fd, s)
	if err == nil {
		p.layouts = s.layouts
		p.at, p.gaps = rebase(p.at, s.layouts, fd.selects, begins)
		p.left = between(p.at, s.at, s.layouts, fd.selects)
		err = p.read(ctx)
	}
	if stream.CodeOf(err) == stream.UnknownStream {
		p.left = nil
		return nil
	}
	return err
}
