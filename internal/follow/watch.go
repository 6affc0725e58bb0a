package follow

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice/internal/stream"
)

const (
	lookEvery   = time.Second
	lookTimeout = 10 * time.Second
)

// looks is what the goroutine that watches the layouts remembers.
type looks struct {
	seen    map[string]stream.Layout // what the last look found, as far as the feeds know of it
	failing bool                     // the last look failed, which was logged
}

// look is one look at the layouts.
type look struct {
	asked   int64
	pattern stream.Pattern
	feeds   []*feed
	fresh   map[*feed]bool // feeds that no look has seen: the known streams are news to them too
	now     map[string]stream.Layout
	bounds  map[stream.Partition]stream.Bounds
	founds  []found
	lost    []*part
}

// runLooks is the goroutine that looks for new streams and partitions, and for
// streams that were deleted or made anew, each second while there are feeds.
// The tail does not wait for it: what it finds it hands over.
func (h *Hub) runLooks() {
	l := looks{seen: map[string]stream.Layout{}}
	for {
		pause := time.NewTimer(lookEvery)
		select {
		case <-h.ctx.Done():
			pause.Stop()
			return
		case <-h.kickLook:
			pause.Stop()
		case <-pause.C:
		}
		ctx, cancel := context.WithTimeout(h.ctx, lookTimeout)
		err := h.look(ctx, &l)
		cancel()
		h.report(&l, err)
	}
}

// report logs when looks begin to fail, and when they succeed again.
func (h *Hub) report(l *looks, err error) {
	switch {
	case h.ctx.Err() != nil:
	case err != nil && !l.failing:
		h.log.Warn("the streams cannot be looked up; followers wait", slog.Any("error", err))
	case err == nil && l.failing:
		h.log.Info("the streams can be looked up again")
	}
	l.failing = err != nil
}

// look compares the layouts with what is known, and hands the differences to
// the tail's goroutine.
func (h *Hub) look(ctx context.Context, l *looks) error {
	k, ok := h.begin()
	if !ok {
		return nil
	}
	layouts, err := h.kafka.Layouts(ctx, k.pattern)
	if err != nil {
		h.again(k)
		return err
	}
	k.now = make(map[string]stream.Layout, len(layouts))
	for _, layout := range layouts {
		k.now[layout.Stream] = layout
	}
	h.compare(k, l.seen)
	err = h.measure(ctx, k)
	l.seen = k.now
	if handed := h.do(h.ctx, func() { h.adopt(k, l) }); handed != nil {
		return handed
	}
	return err
}

// begin prepares a look. It says no when there is nothing to look for.
func (h *Hub) begin() (*look, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.feeds) == 0 {
		return nil, false
	}
	h.asked++
	k := &look{asked: h.asked, feeds: slices.Collect(maps.Values(h.feeds)), fresh: map[*feed]bool{}}
	for _, f := range h.fresh {
		k.fresh[f] = true
	}
	h.fresh = nil
	k.pattern = union(k.feeds)
	return k, true
}

// again has the next look treat the feeds as fresh that this one did.
func (h *Hub) again(k *look) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fresh = slices.AppendSeq(h.fresh, maps.Keys(k.fresh))
}

// union gives a pattern that selects at least what the feeds do: their streams
// by name when that is possible, else all there are.
func union(feeds []*feed) stream.Pattern {
	ids := map[string]bool{}
	for _, f := range feeds {
		for _, id := range f.ids {
			ids[id] = true
		}
		if !f.plain || len(ids) > stream.MaxPatternParts {
			return everything()
		}
	}
	p, err := stream.ParsePattern(strings.Join(slices.Sorted(maps.Keys(ids)), ","))
	if err != nil { // too long
		return everything()
	}
	return p
}

func everything() stream.Pattern {
	p, err := stream.ParsePattern("*")
	if err != nil {
		panic(err) // cannot be: it is a pattern
	}
	return p
}

// compare finds the streams that are news to some feed, and the partitions
// that the tail has lost.
func (h *Hub) compare(k *look, seen map[string]stream.Layout) {
	byID, globs := index(k.feeds)
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, layout := range k.now {
		var news []*feed
		changed := seen[id] != layout
		if changed || len(k.fresh) > 0 {
			for _, f := range slices.Concat(byID[id], globs) {
				if (changed || k.fresh[f]) && h.isNews(f, layout) && f.pattern.Match(id) {
					news = append(news, f)
				}
			}
		}
		t := h.topics[id]
		if t != nil && t.layout != layout || len(news) > 0 {
			k.founds = append(k.founds, found{layout: layout, asked: k.asked, feeds: slices.Compact(news)})
		}
		if t != nil && t.layout.TopicID == layout.TopicID {
			for _, p := range t.parts {
				if p != nil && p.lost.Load() {
					k.lost = append(k.lost, p)
				}
			}
		}
	}
}

// isNews says whether a feed does not know a stream under its layout. The
// hub's mutex is held: under it alone the feeds' layouts change.
func (h *Hub) isNews(f *feed, layout stream.Layout) bool {
	known, ok := f.layout(layout.Stream)
	return !ok || known != layout
}

// index sorts feeds by the streams they name, and those apart that do not name
// all of theirs.
func index(feeds []*feed) (byID map[string][]*feed, globs []*feed) {
	byID = map[string][]*feed{}
	for _, f := range feeds {
		if !f.plain {
			globs = append(globs, f)
			continue
		}
		for _, id := range f.ids {
			byID[id] = append(byID[id], f)
		}
	}
	return byID, globs
}

// measure asks for the bounds of what was found and of what is lost. Streams
// that are gone again are left to the next look.
func (h *Hub) measure(ctx context.Context, k *look) error {
	byStream := map[string][]stream.Partition{}
	for _, fd := range k.founds {
		for n := range fd.layout.Partitions {
			byStream[fd.layout.Stream] = append(byStream[fd.layout.Stream], stream.Partition{Stream: fd.layout.Stream, Number: int32(n)})
		}
	}
	for _, p := range k.lost {
		if !slices.Contains(byStream[p.Stream], p.Partition) {
			byStream[p.Stream] = append(byStream[p.Stream], p.Partition)
		}
	}
	bounds, err := h.bounds(ctx, slices.Concat(slices.Collect(maps.Values(byStream))...))
	if err == nil {
		k.bounds = bounds
		return nil
	}
	if stream.CodeOf(err) != stream.UnknownStream || len(byStream) == 1 {
		return err
	}
	k.bounds = map[stream.Partition]stream.Bounds{}
	for _, ps := range byStream {
		if bounds, e := h.bounds(ctx, ps); e == nil {
			maps.Copy(k.bounds, bounds)
		}
	}
	return err
}

// adopt has the feeds read what a look found. It runs in the tail's goroutine.
func (h *Hub) adopt(k *look, l *looks) {
	defer h.release()
	h.mu.Lock()
	defer h.mu.Unlock()
	known := true
	for _, fd := range k.founds {
		fd.bounds = k.bounds
		if err := h.apply(fd); err != nil {
			delete(l.seen, fd.layout.Stream) // it stays news
			known = false
		}
	}
	if known {
		h.looked = k.asked
	}
	for _, p := range k.lost {
		b, ok := k.bounds[p.Partition]
		if now := h.part(p.Partition); ok && now == p && p.state == partLost {
			h.resume(p, b)
		}
	}
	for id, t := range h.topics {
		_, there := k.now[id]
		if !there && t.asked < k.asked && !t.gone {
			t.gone, t.goneAt = true, time.Now()
		} else if there {
			t.gone = false
		}
	}
}
