package delivery

import (
	"time"

	"sluice/internal/stream"
)

// part is a partition that a subscription delivers.
type part struct {
	id         stream.Partition
	layout     stream.Layout
	generation int64
	progress   progress
	tries      map[int64]try // by offset: what is known of attempts before they were forgotten, or by another owner
	ignored    bool          // matched by the pattern, and not delivered
	redrive    bool          // of the dead-letter stream
	until      int64         // redrive: where it ends

	ready    ready   // may be sent now
	wanted   []*item // are to be loaded
	fetching bool
	units    int   // deliveries begun and not complete
	begun    int64 // the end of the last one begun
	loaded   int   // records in memory
	bytes    int
	stubs    int // open records that are not in memory

	skipped bool  // is not being read: full, or ignored
	far     int64 // where reading is told that it is meanwhile; -1: not known
	dirty   bool  // has changed since the last commit
	peeked  peek  // the last record that was looked at for its time alone
	gone    bool  // the stream is gone, or another: nothing of this counts any more
}

// item is an open record.
type item struct {
	part      *part
	offset    int64
	size      int
	record    *stream.Record // nil: to be loaded when its turn comes
	lane      *lane          // nil: nothing has to wait for it
	unit      *unit          // nil: not sent yet
	since     time.Time      // when it was read
	published time.Time      // its timestamp
	over      bool           // complete, or forgotten
	wanted    bool           // is being loaded
}

// lane is what is delivered one after the other: the records of a key, or of a
// partition.
type lane struct {
	key      laneKey
	queue    []*item // not sent yet, by offset
	busy     bool    // one is being delivered
	retrying bool    // and has failed
}

type laneKey struct {
	part *part
	key  string
}

// unit is one delivery: the records that are sent together, on every attempt.
type unit struct {
	id       string // webhook-id
	part     *part
	items    []*item
	lanes    []*lane
	attempts int
	own      int       // those that count against max_attempts
	blame    int       // how often it slowed an endpoint down that was well
	first    time.Time // the first attempt
	due      time.Time // the next one
	slow     bool      // the last attempt found the endpoint in trouble
	round    int       // of the throttle, when it was sent
	index    int       // in the heap of retries; -1: not there
}

// isReady says whether an item may be sent now, alone.
func (it *item) isReady() bool {
	return !it.over && it.unit == nil && it.record != nil && (it.lane == nil || !it.lane.busy && it.lane.queue[0] == it)
}

// fits says whether a delivery that begins at first, and ends before end, may
// be begun: when it and all others are complete, the commit's metadata has to
// hold that. The lowest open record may always go: it leaves no range behind.
func (p *part) fits(first, end int64) bool {
	lowest := p.progress.lowest()
	if first <= lowest {
		return true
	}
	width := p.progress.reach(max(end, p.begun)) - lowest
	return spansFit(p.progress.done+p.units+1, width)
}

// ready is a heap of records by offset: the lowest go first, so that batches
// have no holes and commits advance.
type ready []*item

func (h ready) Len() int           { return len(h) }
func (h ready) Less(i, j int) bool { return h[i].offset < h[j].offset }
func (h ready) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *ready) Push(x any) { *h = append(*h, x.(*item)) }

// Pop is for package heap.
func (h *ready) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}

// retries is a heap of deliveries by the time of their next attempt.
type retries []*unit

func (h retries) Len() int           { return len(h) }
func (h retries) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h retries) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for package heap.
func (h *retries) Push(x any) {
	u := x.(*unit)
	u.index = len(*h)
	*h = append(*h, u)
}

// Pop is for package heap.
func (h *retries) Pop() any {
	old := *h
	u := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	u.index = -1
	return u
}
