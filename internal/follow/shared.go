package follow

import (
	"context"

	"sluice/internal/stream"
)

// sharedPart is which part of the memory for those who are behind is for what
// they share.
const sharedPart = 8

// page reads the next page of the round. Readers who return all at once, when
// a gateway was restarted for example, are behind by the same records: the
// first ones ask Kafka, few at a time, and the others are served from what
// those got. With a question to Kafka for each of thousands their stream would
// grow faster than they read it, for ever.
func (f *Follower) page(ctx context.Context, limit stream.PageLimit) (stream.Page, error) {
	h, r := f.hub, f.behind.round
	if page, ok := h.shared.read(r.left, r.layouts, limit); ok {
		return page, nil
	}
	select {
	case h.fetching <- struct{}{}:
		defer func() { <-h.fetching }()
	case <-ctx.Done():
		return stream.Page{}, ctx.Err()
	}
	if page, ok := h.shared.read(r.left, r.layouts, limit); ok { // somebody has asked meanwhile
		return page, nil
	}
	page, err := h.kafka.Read(ctx, r.left, limit)
	if err != nil {
		return page, err
	}
	h.metrics.followed.Inc()
	// One alone goes through the whole stream and needs nothing twice. What may
	// be of a stream that was made anew is for nobody.
	if h.behind.Load() > 1 && len(page.Gaps) == 0 && sameLayouts(f.feed.peek().layouts, r.layouts) {
		h.shared.join(page.Records, r.left, page.Left, r.layouts)
	}
	return page, nil
}

// join keeps a page that Kafka was asked for. Where it touches what is kept of
// a partition it makes that longer; elsewhere it takes its place.
func (c *recent) join(records []stream.Record, asked, left []stream.Span, layouts []stream.Layout) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, sp := range asked {
		l, _ := layoutOf(layouts, sp.Stream)
		key, to := runKey{l.TopicID, sp.Number}, left[i].From
		if left[i].Partition != sp.Partition || sp.From >= to {
			continue
		}
		r := c.runs[key]
		if r == nil || to < r.from || sp.From > r.next {
			c.drop(key)
			r = &run{key: key, from: sp.From, next: sp.From}
			c.runs[key] = r
		}
		if sp.From < r.from {
			r.records = append(c.keep(r, records, stream.Span{Partition: sp.Partition, From: sp.From, To: r.from}), r.records...)
			r.from = sp.From
		}
		if r.next < to {
			r.records = append(r.records, c.keep(r, records, stream.Span{Partition: sp.Partition, From: r.next, To: to})...)
			r.next = to
		}
	}
	c.tidy()
}

// keep counts the records of a span as ones of a run, and gives them. The lock
// is held.
func (c *recent) keep(r *run, records []stream.Record, sp stream.Span) []*stream.Record {
	var kept []*stream.Record
	for i := range records {
		if rec := records[i]; rec.Stream == sp.Stream && rec.Partition == sp.Number && rec.Offset >= sp.From && rec.Offset < sp.To {
			kept = append(kept, &rec) // not the page it stands in
			c.order = append(c.order, r)
			c.bytes += sizeOf(&rec)
		}
	}
	return kept
}
