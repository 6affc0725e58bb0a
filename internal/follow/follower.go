package follow

import (
	"context"
	"io"
	"time"

	"sluice/internal/stream"
)

// Follower is given the frames of one reading, from its start on without end.
// One goroutine uses it.
type Follower struct {
	hub    *Hub
	feed   *feed
	cursor int64   // in the feed's ring, when it is at the tail
	token  []byte  // the position after what it was given, when it is at the tail
	behind *behind // nil: it is at the tail
	timer  *time.Timer
	closed bool
}

// Follow begins to follow what r reads, written by frames. The errors are
// UnknownStream for a stream id that does not exist, while a pattern waits for
// streams to come, InvalidRequest for a partition or an offset that cannot be
// read, PatternTooWide for more partitions than a position can name,
// Overloaded and KafkaUnavailable. The follower must be closed.
func (h *Hub) Follow(ctx context.Context, r stream.Reading, frames stream.Frames) (*Follower, error) {
	if err := checkStart(r); err != nil {
		return nil, err
	}
	if err := h.admit(); err != nil {
		return nil, err
	}
	arrived := h.lastQuestion()
	fd, err := h.enter(ctx, r, frames)
	if err != nil {
		h.dismiss()
		return nil, err
	}
	f := &Follower{hub: h, feed: fd}
	if err := f.start(ctx, r.Start); err != nil {
		h.leave(fd)
		h.dismiss()
		return nil, err
	}
	if f.behind != nil {
		f.behind.arrived = arrived
	}
	f.count(1)
	return f, nil
}

// start places a new follower.
func (f *Follower) start(ctx context.Context, start stream.Start) error {
	f.feed.mu.Lock()
	f.cursor, f.token = f.feed.ring.head, f.feed.runningLocked()
	err := f.feed.err
	f.feed.mu.Unlock()
	if err == nil && len(f.token) > stream.MaxPosition {
		err = errTooWide()
	}
	if err != nil || start.Kind == stream.FromLatest {
		return err
	}
	if start.Kind == stream.FromPosition {
		token := start.Position.AppendText(nil)
		if cursor, ok := f.feed.seek(token, f.hub.seed); ok {
			f.cursor, f.token = cursor, token
			return nil
		}
	}
	at, err := f.hub.resolve(ctx, start, f.feed)
	f.token, f.behind = nil, &behind{at: at, size: firstPage}
	return err
}

// Next gives the next frames, whole and in order, at once when there are any.
// It gives nil when there were none for as long as idle, io.EOF when the hub
// is draining, and else an *stream.Error after which nothing follows, or the
// context's error. The bytes are valid until the next call, which also tells
// that they were written.
func (f *Follower) Next(ctx context.Context, idle time.Duration) ([]byte, error) {
	deadline := time.Now().Add(idle)
	for {
		if f.hub.draining.Load() {
			return nil, io.EOF
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		frames, p, err := f.step(ctx)
		if err != nil || len(frames) > 0 {
			return frames, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, nil
		}
		f.rest(ctx, p, left)
	}
}

// pause says what a follower waits for.
type pause struct {
	news <-chan struct{} // of its feed
	room <-chan struct{} // in the budget for pages
	most time.Duration   // 0: as long as it takes
	none bool            // it need not wait
}

// rest waits.
func (f *Follower) rest(ctx context.Context, p pause, most time.Duration) {
	if p.none || f.hub.draining.Load() { // which is set before the news of it comes
		return
	}
	if p.most > 0 {
		most = min(most, p.most)
	}
	if f.timer == nil {
		f.timer = time.NewTimer(most)
	} else {
		f.timer.Reset(most)
	}
	defer f.timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.news:
	case <-p.room:
	case <-f.timer.C:
	}
}

// step gives frames, or what is to be waited for.
func (f *Follower) step(ctx context.Context) ([]byte, pause, error) {
	if f.behind != nil {
		return f.catchUp(ctx)
	}
	frames, p, kept, err := f.live()
	if kept || err != nil {
		return frames, p, err
	}
	return nil, pause{none: true}, f.fallBack()
}

// live takes what the ring has for a follower at the tail. Not kept says that
// it has it no more.
func (f *Follower) live() (frames []byte, p pause, kept bool, err error) {
	fd := f.feed
	fd.mu.Lock()
	defer fd.mu.Unlock()
	switch {
	case fd.err != nil:
		return nil, p, true, fd.err
	case f.cursor == fd.ring.head:
		return nil, pause{news: fd.newsLocked()}, true, nil
	case !fd.ring.has(f.cursor):
		return nil, p, false, nil
	}
	t := fd.ring.take(f.cursor)
	f.cursor, f.token = t.next, t.last.token
	if t.next == fd.ring.head {
		f.token = fd.token
	}
	f.hub.metrics.frames.Add(float64(t.count))
	return t.frames, p, true, nil
}

// fallBack makes a follower whose place in the ring is gone read pages, from
// the position after what it was given.
func (f *Follower) fallBack() error {
	at, err := stream.ParsePosition(string(f.token))
	if err != nil {
		return stream.Errorf(stream.Internal, "the position was lost").Because(err)
	}
	f.count(-1)
	f.behind, f.token = &behind{at: at, size: firstPage}, nil
	f.count(1)
	f.hub.metrics.fallbacks.Inc()
	return nil
}

// goLive puts a follower that has read everything before cursor at the tail.
// When the ring does not reach back to it any more, it falls back at once.
func (f *Follower) goLive(cursor int64) {
	f.count(-1)
	f.cursor, f.token = cursor, f.behind.at.AppendText(nil)
	f.behind.giveBack(f.hub.pages)
	f.behind = nil
	f.count(1)
}

// Position gives the text of the position after everything that Next gave,
// and after what the filter passed over since: who comes back with it goes on
// there. It is not to be changed.
func (f *Follower) Position() []byte {
	if f.behind != nil {
		return f.behind.at.AppendText(nil)
	}
	f.feed.mu.Lock()
	defer f.feed.mu.Unlock()
	if f.cursor == f.feed.ring.head {
		f.token = f.feed.runningLocked()
	}
	return f.token
}

// Close ends the follower. More calls do nothing.
func (f *Follower) Close() {
	if f.closed {
		return
	}
	f.closed = true
	f.count(-1)
	if f.behind != nil {
		f.behind.giveBack(f.hub.pages)
	}
	f.hub.leave(f.feed)
	f.hub.dismiss()
}

func (f *Follower) count(n float64) {
	if f.behind == nil {
		f.hub.metrics.live.Add(n)
	} else {
		f.hub.metrics.catchingUp.Add(n)
		f.hub.behind.Add(int64(n))
	}
}
