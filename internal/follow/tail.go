package follow

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"sluice/internal/stream"
)

// How long the tail waits for news, which is how long a task may wait for it:
// each wait costs a wake-up, so that it is long where nobody joined lately.
const (
	pollWait     = 10 * time.Millisecond
	pollIdle     = 250 * time.Millisecond
	pollIdleFrom = time.Second // after somebody joined
)

const (
	sweepEvery = time.Second
	goneFor    = 10 * time.Minute // how long the end of a deleted stream is remembered
	grace      = 5 * time.Second  // how long a feed outlives its last follower, who may come back
)

// runTail is the goroutine that owns the tail: it carries out tasks, hands
// what the tail reads to the feeds, and puts away what nobody reads.
func (h *Hub) runTail() {
	defer func() {
		if h.tail != nil {
			h.tail.Close()
		}
	}()
	for h.ctx.Err() == nil {
		h.runTasks()
		h.follow()
		if h.tailed > 0 {
			h.deliver(h.tail.Poll(h.patience()))
		} else {
			h.rest()
		}
		if time.Since(h.sweptAt) >= sweepEvery {
			h.sweep()
		}
	}
}

// patience is how long the tail may wait for news now.
func (h *Hub) patience() time.Duration {
	if time.Since(time.Unix(0, h.joinedAt.Load())) < pollIdleFrom {
		return pollWait
	}
	return pollIdle
}

func (h *Hub) runTasks() {
	h.mu.Lock()
	tasks := h.tasks
	h.tasks = nil
	h.mu.Unlock()
	for _, task := range tasks {
		task()
	}
}

// rest waits for a task. Now and then it polls the tail, which has work of its
// own even when it follows nothing, such as renewing its credentials.
func (h *Hub) rest() {
	pause := time.NewTimer(sweepEvery)
	defer pause.Stop()
	select {
	case <-h.kickTail:
	case <-h.ctx.Done():
	case <-pause.C:
		if h.tail != nil {
			h.tail.Poll(0)
		}
	}
}

// deliver gives the feeds what the tail read.
func (h *Hub) deliver(batch []stream.Fetched) {
	defer h.release()
	for i := range batch {
		x := &batch[i]
		p := h.part(x.Partition)
		switch {
		case p == nil || p.state != partTailed:
		case x.Lost:
			p.state = partLost
			p.lost.Store(true)
			h.distrust(p)
			h.tailed--
			kick(h.kickLook)
		default:
			h.spread(p, x)
		}
	}
}

// distrust forgets what is kept of a partition: it may be something else by now.
func (h *Hub) distrust(p *part) {
	h.recent.forget(p.run())
	h.shared.forget(p.run())
}

func (h *Hub) part(id stream.Partition) *part {
	t := h.topics[id.Stream]
	if t == nil {
		return nil
	}
	return t.part(int(id.Number))
}

// spread gives a partition's news to those feeds that have not had it yet.
func (h *Hub) spread(p *part, x *stream.Fetched) {
	paged := false
	for i := range p.subs {
		s := &p.subs[i]
		paged = paged || s.feed.frames == nil
		if x.Next <= s.next {
			continue
		}
		h.hold(s.feed)
		if x.Record != nil && x.Record.Offset >= s.next {
			h.record(s.feed, p.topic.layout, x)
		} else {
			s.feed.pass(p.topic.layout, p.Number, x.Next)
		}
		s.next = x.Next
	}
	if paged && x.Next > p.next { // before the feeds are released, and those who wait look for it
		h.recent.put(p.run(), p.next, x)
	}
	p.next = max(p.next, x.Next)
}

// follow has the tail follow what it should and does not yet. What fails is
// tried again when the hub is swept.
func (h *Hub) follow() {
	if len(h.idle) == 0 || h.tail == nil {
		return
	}
	byTopic := map[*topic][]*part{}
	var all []*part
	for _, p := range h.idle {
		if p.state == partIdle && len(p.subs) > 0 {
			p.state = partTailed
			all = append(all, p)
			byTopic[p.topic] = append(byTopic[p.topic], p)
		}
	}
	clear(h.idle)
	h.idle = h.idle[:0]
	if len(all) == 0 {
		return
	}
	err := h.add(all)
	if err == nil {
		return
	}
	// One stream that is gone must not keep the others from being followed.
	for _, ps := range byTopic {
		if len(byTopic) > 1 {
			err = h.add(ps)
		}
		if err != nil {
			h.log.Warn("a stream cannot be followed yet", slog.String("stream", ps[0].Stream), slog.Any("error", err))
			for _, p := range ps {
				p.state = partIdle
			}
		}
	}
}

// add has the tail follow partitions.
func (h *Hub) add(ps []*part) error {
	at := make([]stream.At, len(ps))
	for i, p := range ps {
		at[i] = stream.At{Partition: p.Partition, Offset: p.next}
	}
	err := h.tail.Add(at)
	if err == nil {
		h.tailed += len(ps)
	}
	return err
}

// untail has the tail drop those of the partitions that it follows.
func (h *Hub) untail(ps ...*part) {
	var drop []stream.Partition
	for _, p := range ps {
		if p != nil && p.state == partTailed {
			p.state = partIdle
			h.distrust(p)
			drop = append(drop, p.Partition)
		}
	}
	if len(drop) == 0 {
		return
	}
	h.tailed -= len(drop)
	if err := h.tail.Drop(drop); err != nil {
		h.log.Warn("the tail did not drop partitions", slog.Int("partitions", len(drop)), slog.Any("error", err))
	}
}

// sweep puts away feeds that nobody has followed for a while, tries again what
// the tail did not take, and shows how much there is.
func (h *Hub) sweep() {
	h.sweptAt = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range slices.AppendSeq(h.retired, maps.Values(h.feeds)) {
		if f.followers == 0 && time.Since(f.left) >= grace {
			h.shut(f)
		}
	}
	h.retired = slices.DeleteFunc(h.retired, func(f *feed) bool { return f.shut })
	for _, t := range h.topics {
		if t.gone && time.Since(t.goneAt) >= goneFor {
			h.bury(t)
		}
		for _, p := range t.parts {
			if p != nil && p.state == partIdle {
				h.idle = append(h.idle, p)
			}
		}
	}
	h.metrics.feeds.Set(float64(len(h.feeds)))
	h.metrics.partitions.Set(float64(h.tailed))
	h.metrics.ring.Set(float64(h.memory.used))
}

// bury takes a stream that has been gone for long out of the feeds whose
// patterns do not name it, so that the positions of who follows streams that
// come and go do not grow for ever. The hub's mutex is held.
func (h *Hub) bury(t *topic) {
	defer h.release()
	for _, f := range slices.Clone(t.feeds) {
		if !slices.Contains(f.ids, t.layout.Stream) {
			h.forget(t, f)
			h.hold(f)
			f.dropLayout(t.layout)
		}
	}
}

// shut forgets a feed. The hub's mutex is held.
func (h *Hub) shut(f *feed) {
	if h.feeds[f.key] == f {
		delete(h.feeds, f.key)
	}
	f.shut = true
	for _, l := range f.layouts {
		if t := h.topics[l.Stream]; t != nil {
			h.forget(t, f)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.ring.chunks {
		h.memory.remove(c)
	}
	f.ring.chunks = nil
}
