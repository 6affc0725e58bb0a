package follow

import (
	"context"
	"time"

	"sluice/internal/stream"
)

// near gives a page of what the tail has read, without a question to Kafka
// unless the records are not kept any more. It says no when the position does
// not lie before where the tail is, in the same streams, which only Kafka can
// explain, and when nobody waits for this reading yet.
func (h *Hub) near(ctx context.Context, r stream.PageRequest, deadline time.Time) (answer stream.PageAnswer, ok bool, err error) {
	if !r.Following || r.Start.Kind != stream.FromPosition || r.Until != nil {
		return answer, false, nil
	}
	arrived := h.question()
	fd := h.reenter(r.Reading)
	if fd == nil {
		return answer, false, nil
	}
	defer h.leave(fd)
	s, at := fd.snapshot(), r.Start.Position
	if s.err != nil || strange(at, s.layouts) || len(unknown(at, s.layouts, fd.selects)) > 0 || len(between(s.at, at, s.layouts, fd.selects)) > 0 {
		return answer, false, nil
	}
	p := &pull{hub: h, r: r, at: at, arrived: arrived}
	if err := p.advance(ctx, fd, s); err != nil {
		return answer, true, err
	}
	if p.empty() && r.Wait > 0 {
		if err := p.wait(ctx, deadline); err != nil {
			return answer, true, err
		}
	}
	answer, err = p.answer()
	return answer, true, err
}

// reenter gives the feed that tells of news for a reading, if it is open, and
// counts a follower of it, who has to leave.
func (h *Hub) reenter(r stream.Reading) *feed {
	key := keyOf(r, nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[key]
	if f == nil || f.failed.Load() || h.draining.Load() {
		return nil
	}
	select {
	case <-f.opened:
	default:
		return nil
	}
	for _, id := range f.ids {
		if t := h.topics[id]; t == nil || t.gone {
			return nil
		}
	}
	f.followers++
	return f
}
