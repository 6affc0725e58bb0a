package follow

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"sluice/internal/stream"
)

// openTries is how often a feed is tried to be opened while its streams change
// under it.
const openTries = 5

// enter gives the feed for a reading, opened if need be, and counts a follower
// of it, who has to leave.
func (h *Hub) enter(ctx context.Context, r stream.Reading, frames stream.Frames) (*feed, error) {
	h.run()
	h.joinedAt.Store(time.Now().UnixNano())
	key := keyOf(r, frames)
	for {
		h.mu.Lock()
		f, ok := h.feeds[key]
		if ok && f.failed.Load() { // its streams may be fewer by now
			h.retired = append(h.retired, f)
			ok = false
		}
		if !ok {
			f = newFeed(r, frames)
			h.feeds[key] = f
		}
		f.followers++
		h.mu.Unlock()
		if !ok {
			err := h.open(ctx, f)
			if err != nil {
				h.abandon(f)
			}
			f.openErr = err
			close(f.opened)
			return f, err
		}
		select {
		case <-f.opened:
		case <-ctx.Done():
			h.leave(f)
			return nil, ctx.Err()
		}
		switch {
		case f.openErr == nil:
			if err := h.recheck(ctx, f); err != nil {
				h.leave(f)
				return nil, err
			}
			return f, nil
		case !isCanceled(f.openErr): // else who opened it went away: it is our turn
			return nil, f.openErr
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
}

func isCanceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// leave counts a follower out.
func (h *Hub) leave(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.followers--
	f.left = time.Now()
}

// abandon takes out a feed that could not be opened.
func (h *Hub) abandon(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feeds[f.key] == f {
		delete(h.feeds, f.key)
	}
	h.tasks = append(h.tasks, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.shut(f)
	})
	kick(h.kickTail)
}

// open finds out what a feed reads and has the tail follow it, from the end of
// each partition on that is not followed already.
func (h *Hub) open(ctx context.Context, f *feed) error {
	for range openTries {
		asked := h.question()
		layouts, err := h.layouts(ctx, f.pattern, f.key.partition)
		if err != nil {
			return err
		}
		bounds, err := h.bounds(ctx, h.unread(f, layouts))
		if err != nil && stream.CodeOf(err) != stream.UnknownStream {
			return err
		}
		if err == nil {
			done := h.do(ctx, func() { err = h.attach(f, layouts, asked, bounds) })
			if done != nil {
				return done
			}
			if !errors.Is(err, errStale) {
				return err
			}
		}
	}
	return stream.Errorf(stream.KafkaUnavailable, "the streams of this pattern are being changed; try again in a moment")
}

// question gives a question for layouts its number.
func (h *Hub) question() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	return h.asked
}

func (h *Hub) lastQuestion() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

// Layouts gives the streams that a pattern selects, as Kafka has them now. It is
// for those who are Following, and takes turns with their pages.
func (h *Hub) Layouts(ctx context.Context, p stream.Pattern) ([]stream.Layout, error) {
	done, err := h.ask(ctx, true)
	if err != nil {
		return nil, err
	}
	defer done()
	return h.kafka.Layouts(ctx, p)
}

// layouts gives what a pattern selects, if it can be read: all streams that it
// names must exist, with the partition that is asked for, and their positions
// must not take too much room.
func (h *Hub) layouts(ctx context.Context, p stream.Pattern, partition int32) ([]stream.Layout, error) {
	layouts, err := h.kafka.Layouts(ctx, p)
	if err != nil {
		return nil, err
	}
	ids, _ := p.IDs()
	for _, id := range ids {
		l, ok := layoutOf(layouts, id)
		switch {
		case !ok:
			return nil, stream.Errorf(stream.UnknownStream, "there is no stream %q: publish to it with a schema, or create it with PUT /streams/%s; a pattern such as %s* waits for streams to come", id, id, id)
		case partition >= 0 && int(partition) >= l.Partitions:
			return nil, stream.Errorf(stream.InvalidRequest, "the stream %q has no partition %d: it has %d, which are numbered from 0", id, partition, l.Partitions)
		}
	}
	if worstLength(layouts, partition) > stream.MaxPosition {
		return nil, errTooWide()
	}
	return layouts, nil
}

// recheck says whether a feed that exists may have one more follower: the
// streams it names may have been deleted meanwhile.
func (h *Hub) recheck(ctx context.Context, f *feed) error {
	if err := f.peek().err; err != nil {
		return err
	}
	var err error
	if slices.ContainsFunc(f.ids, h.isGone) {
		_, err = h.layouts(ctx, f.pattern, f.key.partition)
	}
	return err
}

// isGone says whether the last look at the layouts did not find a stream.
func (h *Hub) isGone(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[id]
	return t == nil || t.gone
}

// unread gives the partitions of a feed to be that no feed reads yet.
func (h *Hub) unread(f *feed, layouts []stream.Layout) []stream.Partition {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ps []stream.Partition
	for _, l := range layouts {
		t := h.topics[l.Stream]
		changed := t != nil && t.layout != l
		for n := range l.Partitions {
			if changed || f.selects(int32(n)) && (t == nil || t.part(n) == nil) {
				ps = append(ps, stream.Partition{Stream: l.Stream, Number: int32(n)})
			}
		}
	}
	return ps
}

// bounds asks for the bounds of partitions.
func (h *Hub) bounds(ctx context.Context, ps []stream.Partition) (map[stream.Partition]stream.Bounds, error) {
	if len(ps) == 0 {
		return nil, nil
	}
	bs, err := h.kafka.Bounds(ctx, ps)
	if err != nil {
		return nil, err
	}
	m := make(map[stream.Partition]stream.Bounds, len(ps))
	for i, p := range ps {
		m[p] = bs[i]
	}
	return m, nil
}

// attach has the tail follow what a new feed reads. It runs in the tail's
// goroutine.
func (h *Hub) attach(f *feed, layouts []stream.Layout, asked int64, bounds map[stream.Partition]stream.Bounds) error {
	defer h.release()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feeds[f.key] != f {
		return errStale // who wanted it went away
	}
	if h.tail == nil {
		tail, err := h.openTail()
		if err != nil {
			h.log.Error("the consumer that follows streams cannot be made", slog.Any("error", err))
			return stream.Errorf(stream.KafkaUnavailable, "streams cannot be followed now; try again later").Because(err)
		}
		h.tail = tail
	}
	for _, l := range layouts {
		if err := h.apply(found{layout: l, asked: asked, bounds: bounds, feeds: []*feed{f}, latest: true}); err != nil {
			return err
		}
	}
	f.asked = asked
	h.fresh = append(h.fresh, f)
	return nil
}

// The longest that positions are expected to become: offsets up to 2^35, which
// are five bytes each. A feed whose positions outgrow the limit all the same
// ends then.
const (
	offsetLength = 5
	markLength   = 2 + 4 + 3 // hashes of name and topic, number of partitions
)

// worstLength bounds the text form of a position in these streams, in bytes.
func worstLength(layouts []stream.Layout, partition int32) int {
	n := 2 // checksum
	for _, l := range layouts {
		switch {
		case partition == stream.AnyPartition:
			n += markLength + l.Partitions*offsetLength
		case int(partition) < l.Partitions:
			n += markLength + int(partition) + offsetLength // what is before it takes a byte each
		}
	}
	return len("p1.") + (n*4+2)/3
}

func errTooWide() error {
	return stream.Errorf(stream.PatternTooWide, "the pattern selects so many partitions that a position in them does not fit into %d bytes, the most an event's id may have: choose fewer streams, or read with group=, where Kafka keeps the position", stream.MaxPosition)
}
