package follow

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"sluice/internal/stream"
)

// errStale says that what was found out about a stream is older than what the
// hub knows, or lacks something it needs: it is to be asked again.
var errStale = errors.New("the streams changed meanwhile")

// topic is a stream that feeds read. The tail's goroutine alone changes it,
// under the hub's mutex.
type topic struct {
	layout stream.Layout
	asked  int64 // when the question was asked that the layout answers
	gone   bool  // the last look did not find it
	goneAt time.Time
	parts  []*part // by number; nil where no feed reads it
	feeds  []*feed // each of them reads it under layout
}

// part is a partition that feeds read.
type part struct {
	stream.Partition
	topic *topic
	next  int64 // what the tail reads next
	state partState
	lost  atomic.Bool // state is partLost: for the looks
	subs  []sub
}

// run names what is kept of the partition for pages.
func (p *part) run() runKey { return runKey{p.topic.layout.TopicID, p.Number} }

type partState int

const (
	partIdle   partState = iota // the tail is to follow it from next on
	partTailed                  // the tail follows it
	partLost                    // the tail cannot go on at next: the next look says where
)

// sub is a feed's interest in a partition. What lies before next it has
// already, or does not want.
type sub struct {
	feed *feed
	next int64
}

// found is what was found out about a stream, and the feeds that are to read
// it.
type found struct {
	layout stream.Layout
	asked  int64
	bounds map[stream.Partition]stream.Bounds // of partitions that are not read yet, at least
	feeds  []*feed
	latest bool // they begin at the end, not at the beginning
}

// apply makes the hub know what was found. It changes nothing when it fails
// with errStale, but that feeds of earlier calls stay.
func (h *Hub) apply(fd found) error {
	t := h.topics[fd.layout.Stream]
	if t == nil {
		t = &topic{layout: fd.layout, asked: fd.asked}
	}
	switch {
	case t.layout.TopicID != fd.layout.TopicID:
		if fd.asked < t.asked || !fd.complete(0) {
			return errStale
		}
		h.remake(t, fd)
	case t.layout.Partitions < fd.layout.Partitions:
		if !fd.complete(t.layout.Partitions) {
			return errStale
		}
		h.widen(t, fd)
	}
	t.asked, t.gone = max(t.asked, fd.asked), false
	for _, f := range fd.feeds {
		if err := h.join(t, f, fd); err != nil {
			return err
		}
	}
	return nil
}

// complete says whether the bounds of all partitions from number n on are
// known.
func (fd found) complete(n int) bool {
	for ; n < fd.layout.Partitions; n++ {
		if _, ok := fd.bounds[stream.Partition{Stream: fd.layout.Stream, Number: int32(n)}]; !ok {
			return false
		}
	}
	return true
}

// join has a feed read a topic, unless it does so already.
func (h *Hub) join(t *topic, f *feed, fd found) error {
	if _, ok := f.layout(t.layout.Stream); ok || f.shut {
		return nil
	}
	from := make([]int64, t.layout.Partitions)
	for n := range from {
		if !f.selects(int32(n)) {
			continue
		}
		b, ok := fd.bounds[stream.Partition{Stream: t.layout.Stream, Number: int32(n)}]
		p := t.part(n)
		switch {
		case fd.latest && p != nil:
			from[n] = p.next
		case !ok:
			return errStale
		case fd.latest:
			from[n] = b.End
		default:
			from[n] = b.Begin
		}
	}
	h.topics[t.layout.Stream] = t
	h.hold(f)
	t.feeds = append(t.feeds, f)
	f.setLayout(t.layout)
	for n := range from {
		h.subscribe(t, f, int32(n), from[n])
	}
	return nil
}

// part gives the partition that is read under a number, or nil.
func (t *topic) part(n int) *part {
	if n < len(t.parts) {
		return t.parts[n]
	}
	return nil
}

// subscribe has a feed, which is held, read a partition from an offset on, if
// it reads that partition at all. Where the tail is further already it goes
// back: the others pass over what they had.
func (h *Hub) subscribe(t *topic, f *feed, n int32, from int64) {
	if !f.selects(n) {
		return
	}
	for len(t.parts) <= int(n) {
		t.parts = append(t.parts, nil)
	}
	p := t.parts[n]
	if p == nil {
		p = &part{Partition: stream.Partition{Stream: t.layout.Stream, Number: n}, topic: t, next: from}
		t.parts[n] = p
		h.idle = append(h.idle, p)
	}
	if from < p.next {
		h.untail(p)
		p.next = from
		if p.state != partLost {
			h.await(p)
		}
	}
	p.subs = append(p.subs, sub{feed: f, next: from})
	f.pass(t.layout, n, from)
}

// await has the tail follow a partition when it is next asked to.
func (h *Hub) await(p *part) {
	p.state = partIdle
	p.lost.Store(false)
	h.idle = append(h.idle, p)
}

// widen has the feeds of a topic read the partitions that were added to it.
func (h *Hub) widen(t *topic, fd found) {
	first := t.layout.Partitions
	t.layout = fd.layout
	for _, f := range t.feeds {
		h.hold(f)
		f.setLayout(t.layout)
		for n := first; n < t.layout.Partitions; n++ {
			h.subscribe(t, f, int32(n), fd.begin(n))
		}
	}
}

// begin gives a partition's first offset, 0 where it does not exist.
func (fd found) begin(n int) int64 {
	if n >= fd.layout.Partitions {
		return 0
	}
	return fd.bounds[stream.Partition{Stream: fd.layout.Stream, Number: int32(n)}].Begin
}

// remake has the feeds of a topic, which was deleted and made again, tell the
// gap and read the new one from its beginning.
func (h *Hub) remake(t *topic, fd found) {
	gaps := map[*feed][]stream.Gap{}
	for n, p := range t.parts {
		if p == nil {
			continue
		}
		for _, s := range p.subs {
			gaps[s.feed] = append(gaps[s.feed], stream.Gap{Partition: p.Partition, From: s.next, To: fd.begin(n)})
		}
		p.subs = nil
	}
	h.untail(t.parts...)
	old := t.layout
	t.layout, t.parts = fd.layout, nil
	for _, f := range t.feeds {
		h.hold(f)
		before := f.at.AppendText(nil)
		f.at.Forget(old)
		f.exact = false
		f.setLayout(t.layout)
		for n := range t.layout.Partitions {
			h.subscribe(t, f, int32(n), fd.begin(n))
		}
		h.gaps(f, before, gaps[f])
	}
}

// resume has the tail go on with a partition that it lost. What the broker
// does not have any more is a gap.
func (h *Hub) resume(p *part, b stream.Bounds) {
	for i := range p.subs {
		s := &p.subs[i]
		to := min(max(s.next, b.Begin), b.End)
		if to == s.next {
			continue
		}
		g := stream.Gap{Partition: p.Partition, From: s.next, To: to}
		h.hold(s.feed)
		before := s.feed.at.AppendText(nil)
		s.next = to
		s.feed.pass(p.topic.layout, p.Number, to)
		h.gaps(s.feed, before, []stream.Gap{g})
	}
	p.next = b.End
	for _, s := range p.subs {
		p.next = min(p.next, s.next)
	}
	h.await(p)
}

// forget takes a feed out of a topic, and the topic out of the hub when it was
// the last.
func (h *Hub) forget(t *topic, f *feed) {
	t.feeds = slices.DeleteFunc(t.feeds, func(g *feed) bool { return g == f })
	var unread []*part
	for n, p := range t.parts {
		if p == nil {
			continue
		}
		p.subs = slices.DeleteFunc(p.subs, func(s sub) bool { return s.feed == f })
		if len(p.subs) == 0 {
			unread = append(unread, p)
			t.parts[n] = nil
		}
	}
	h.untail(unread...)
	if len(t.feeds) == 0 {
		delete(h.topics, t.layout.Stream)
	}
}
