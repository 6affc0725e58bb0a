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
		h.shared.merge(page.Records, r.left, page.Left, r.layouts)
	}
	return page, nil
}
