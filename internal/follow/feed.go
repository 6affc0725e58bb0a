package follow

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/stream"
)

// feedKey tells feeds apart. Who asks for the same shares a feed.
type feedKey struct {
	pattern   string
	partition int32
	filter    string
	frames    string // "" for a feed that only tells that there is news
}

// feed is what the tail writes for all who follow the same in the same form.
// The tail's goroutine alone writes it; its mutex is for those who read.
type feed struct {
	key     feedKey
	pattern stream.Pattern
	ids     []string // the plain ids of the pattern
	plain   bool     // there is nothing else in it
	filter  stream.Filter
	frames  stream.Frames // nil: only news

	opened  chan struct{} // closed when the feed is ready, or failed
	openErr error         // set before
	failed  atomic.Bool   // err is set

	// Guarded by the hub's mutex.
	followers int
	left      time.Time // when the last follower left
	asked     int64     // the question whose answer it was opened with

	mu      sync.Mutex
	layouts []stream.Layout // what is read of, sorted by name; replaced, never changed
	at      stream.Position // what is read next of each partition
	ring    ring
	token   []byte        // a position that has all frames behind it; replaced, never changed
	exact   bool          // token is the text of at
	wake    chan struct{} // closed when there is news; nil when nobody waits
	err     error         // why this feed cannot go on

	// For the tail's goroutine alone.
	held  bool   // it holds mu
	shut  bool   // the feed is forgotten
	added bool   // there is news for followers
	last  []byte // the position that the last frame carries
}

func newFeed(r stream.Reading, frames stream.Frames) *feed {
	f := &feed{key: keyOf(r, frames), pattern: r.Pattern, filter: r.Filter, frames: frames, opened: make(chan struct{})}
	f.ids, f.plain = r.Pattern.IDs()
	return f
}

func keyOf(r stream.Reading, frames stream.Frames) feedKey {
	k := feedKey{pattern: r.Pattern.Key(), partition: r.Partition}
	if r.Filter != nil {
		k.filter = r.Filter.String()
	}
	if frames != nil {
		k.frames = frames.Name()
	}
	return k
}

// selects says whether the feed reads partition n of its streams.
func (f *feed) selects(n int32) bool {
	return f.key.partition == stream.AnyPartition || f.key.partition == n
}

// layout gives the layout under which the feed reads a stream.
func (f *feed) layout(id string) (stream.Layout, bool) { return layoutOf(f.layouts, id) }

func layoutOf(layouts []stream.Layout, id string) (stream.Layout, bool) {
	i, ok := slices.BinarySearchFunc(layouts, id, compareLayout)
	if !ok {
		return stream.Layout{}, false
	}
	return layouts[i], true
}

func compareLayout(l stream.Layout, id string) int { return strings.Compare(l.Stream, id) }

// setLayout notes a stream's layout. The lock is held.
func (f *feed) setLayout(l stream.Layout) {
	i, ok := slices.BinarySearchFunc(f.layouts, l.Stream, compareLayout)
	layouts := slices.Clone(f.layouts)
	if ok {
		layouts[i] = l
	} else {
		layouts = slices.Insert(layouts, i, l)
	}
	f.layouts = layouts
}

// dropLayout forgets a stream. The lock is held.
func (f *feed) dropLayout(l stream.Layout) {
	f.layouts = slices.DeleteFunc(slices.Clone(f.layouts), func(o stream.Layout) bool { return o.Stream == l.Stream })
	f.at.Forget(l)
	f.exact = false
}

// snapshot is a feed at one moment: all frames before cursor are of records
// before at, all after it of records from there on.
type snapshot struct {
	layouts []stream.Layout
	at      stream.Position
	cursor  int64
	news    <-chan struct{} // closed when there is more
	err     error
}

func (f *feed) snapshot() snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.peekLocked()
	s.at = f.at.Clone()
	return s
}

// peek is a snapshot without the position.
func (f *feed) peek() snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.peekLocked()
}

func (f *feed) peekLocked() snapshot {
	return snapshot{layouts: f.layouts, cursor: f.ring.head, news: f.newsLocked(), err: f.err}
}

// newsLocked gives a channel that is closed when there is news.
func (f *feed) newsLocked() <-chan struct{} {
	if f.wake == nil {
		f.wake = make(chan struct{})
	}
	return f.wake
}

func (f *feed) wakeLocked() {
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

// runningLocked gives the text of the position that the feed has reached.
func (f *feed) runningLocked() []byte {
	if !f.exact {
		f.token, f.exact = f.at.AppendText(nil), true
	}
	return f.token
}

// seek looks for the place behind which a feed writes what follows a position
// that some frame of it carried, or that it has reached.
func (f *feed) seek(token []byte, seed maphash.Seed) (cursor int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if bytes.Equal(token, f.runningLocked()) {
		return f.ring.head, true
	}
	return f.ring.find(maphash.Bytes(seed, token))
}

// hold locks a feed for the tail's goroutine, until release.
func (h *Hub) hold(f *feed) {
	if f.held {
		return
	}
	f.mu.Lock()
	f.held = true
	h.held = append(h.held, f)
}

// release unlocks all feeds that are held, and wakes their followers where
// there is news.
func (h *Hub) release() {
	for _, f := range h.held {
		if f.added {
			if f.frames != nil {
				f.token = bytes.Clone(f.last)
			}
			f.wakeLocked()
		}
		f.held, f.added = false, false
		f.mu.Unlock()
	}
	clear(h.held)
	h.held = h.held[:0]
}

// record gives a feed, which is held, a record.
func (h *Hub) record(f *feed, l stream.Layout, x *stream.Fetched) {
	r := x.Record
	f.pass(l, x.Number, x.Next)
	if f.err != nil || f.filter != nil && !f.filter.Match(r) {
		return
	}
	h.metrics.records.Inc()
	if f.frames == nil {
		f.added = true
		return
	}
	if token, ok := h.encode(f); ok {
		h.frame = f.frames.Record(h.frame[:0], r, token)
		h.write(f, h.frame, maphash.Bytes(h.seed, token))
		f.last = append(f.last[:0], token...)
	}
}

// pass tells a feed, which is held, that there is nothing before next.
func (f *feed) pass(l stream.Layout, n int32, next int64) {
	f.at.Set(l, n, next)
	f.exact = false
}

// gaps gives a feed, which is held, gaps that belong together: its position
// was before and is now behind all of them. All but the last frame carry the
// position before, so that who is cut off between them is told again.
func (h *Hub) gaps(f *feed, before []byte, gaps []stream.Gap) {
	h.metrics.gaps.Add(float64(len(gaps)))
	f.added = f.added || len(gaps) > 0
	if f.frames == nil || f.err != nil {
		return
	}
	for i, g := range gaps {
		token, hash := before, uint64(0) // nobody resumes in the middle
		if i == len(gaps)-1 {
			var ok bool
			if token, ok = h.encode(f); !ok {
				return
			}
			hash = maphash.Bytes(h.seed, token)
		}
		h.frame = f.frames.Gap(h.frame[:0], g, token)
		h.write(f, h.frame, hash)
		f.last = append(f.last[:0], token...)
	}
}

// encode gives the text of a feed's position, for a frame that is to be
// written, or ends the feed when it has become too long. It is valid until the
// next call.
func (h *Hub) encode(f *feed) (token []byte, ok bool) {
	h.token = f.at.AppendText(h.token[:0])
	f.added = true
	if len(h.token) > stream.MaxPosition {
		f.err = errTooWide()
		f.failed.Store(true)
		return nil, false
	}
	f.exact = true // from the release on
	return h.token, true
}

// write puts a frame into a feed's ring.
func (h *Hub) write(f *feed, frame []byte, token uint64) {
	if !f.ring.fits(len(frame)) {
		if c := f.ring.last(); c != nil {
			c.token = bytes.Clone(f.last)
		}
		c := f.ring.grow(len(frame))
		c.feed = f
		h.memory.push(c)
		h.evict()
	}
	h.memory.charge(f.ring.append(frame, token), markBytes)
}

// evict drops the oldest chunks while there is too much.
func (h *Hub) evict() {
	for c := h.memory.excess(); c != nil; c = h.memory.excess() {
		h.hold(c.feed)
		c.feed.ring.drop()
		h.memory.remove(c)
	}
	h.metrics.ring.Set(float64(h.memory.used))
}
