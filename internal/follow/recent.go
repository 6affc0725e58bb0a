package follow

import (
	"math/rand/v2"
	"sync"

	"sluice/internal/stream"
)

// How much of what the tail read last is kept for pages, and what a record
// takes of that beside its bytes, about.
const (
	recentBytes = 16 << 20
	recordBytes = 256
)

// recent keeps records that several need, so that Kafka does not send them to
// each: the newest of partitions in which somebody waits for pages, which the
// tail's goroutine puts there, or those that many who are behind go through.
type recent struct {
	most   int  // bytes
	tailed bool // the tail writes it
	mu     sync.RWMutex
	runs   map[runKey]*run
	order  []*run // one entry for each record, the oldest first
	bytes  int
}

// runKey names a partition of one topic: of one that is made anew there is
// another.
type runKey struct {
	topicID string
	number  int32
}

// run has all records of a partition from an offset on, up to and not including
// another.
type run struct {
	key     runKey
	from    int64
	next    int64
	records []*stream.Record
}

// put notes that the tail came from an offset to x.Next. What lies before a
// place that it was moved to is forgotten.
func (c *recent) put(key runKey, from int64, x *stream.Fetched) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.runs[key]
	if r == nil || r.next != from {
		c.drop(key)
		r = &run{key: key, from: from}
		c.runs[key] = r
	}
	r.next = x.Next
	if x.Record != nil {
		r.records = append(r.records, x.Record)
		c.order = append(c.order, r)
		c.bytes += sizeOf(x.Record)
	}
	c.tidy()
}

// merge keeps a page that Kafka was asked for all the same: the others who wait
// or are behind, after a restart for example, need just that. Where it touches
// what is kept of a partition it makes that longer; elsewhere it takes its place.
// What the tail reads it only makes longer at its beginning: the end is the
// tail's, and what is newer counts more.
func (c *recent) merge(records []stream.Record, asked, left []stream.Span, layouts []stream.Layout) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, sp := range asked {
		l, _ := layoutOf(layouts, sp.Stream)
		key, to := runKey{l.TopicID, sp.Number}, left[i].From
		if left[i].Partition != sp.Partition || sp.From >= to {
			continue
		}
		r := c.runs[key]
		switch apart := r != nil && (to < r.from || sp.From > r.next); {
		case apart && c.tailed:
			continue
		case apart, r == nil:
			c.drop(key)
			r = &run{key: key, from: to, next: to}
			c.runs[key] = r
		}
		if sp.From < r.from {
			r.records = append(c.keep(r, records, stream.Span{Partition: sp.Partition, From: sp.From, To: r.from}), r.records...)
			r.from = sp.From
		}
		if r.next < to && !c.tailed {
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

// tidy forgets the oldest records while there is too much, and the entries of
// runs that were dropped.
func (c *recent) tidy() {
	for c.bytes > c.most || len(c.order) > c.most/recordBytes {
		c.evict()
	}
}

// evict forgets the oldest record.
func (c *recent) evict() {
	r := c.order[0]
	c.order[0] = nil
	c.order = c.order[1:]
	if len(r.records) == 0 { // of a run that was dropped
		return
	}
	c.bytes -= sizeOf(r.records[0])
	r.from = r.records[0].Offset + 1
	r.records[0] = nil
	r.records = r.records[1:]
}

// drop forgets a partition. The lock is held.
func (c *recent) drop(key runKey) {
	if r := c.runs[key]; r != nil {
		for _, rec := range r.records {
			c.bytes -= sizeOf(rec)
		}
		r.records = nil
		delete(c.runs, key)
	}
}

// forget forgets a partition: what it holds may be something else by now.
func (c *recent) forget(key runKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
}

// read gives a page as Kafka would, when the beginnings of all spans are kept:
// a page of some of them would put the others off for ever.
func (c *recent) read(spans []stream.Span, layouts []stream.Layout, limit stream.PageLimit) (stream.Page, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	runs := make([]*run, len(spans))
	for i, sp := range spans {
		l, _ := layoutOf(layouts, sp.Stream)
		r := c.runs[runKey{l.TopicID, sp.Number}]
		if r == nil || sp.From < r.from || sp.From >= r.next {
			return stream.Page{}, false
		}
		runs[i] = r
	}
	p := recentPage{left: limit}
	p.Left = append(p.Left, spans...)
	first := rand.IntN(max(len(spans), 1)) //nolint:gosec // no partition should always be the last
	for i := range spans {
		n := (first + i) % len(spans)
		p.take(&p.Left[n], runs[n])
	}
	return p.Page, true
}

// recentPage is a page that is being filled.
type recentPage struct {
	stream.Page
	left stream.PageLimit
}

// take moves a span on through a run, as far as there is room.
func (p *recentPage) take(sp *stream.Span, r *run) {
	for _, rec := range r.after(sp.From) {
		if rec.Offset >= sp.To {
			break
		}
		size := messageSize(rec)
		if len(p.Records) > 0 && (p.left.Records <= 0 || p.left.Bytes < size) {
			sp.From = rec.Offset
			return
		}
		p.left.Records--
		p.left.Bytes -= size
		p.Records = append(p.Records, *rec)
	}
	sp.From = min(sp.To, r.next)
}

// after gives the records of a run from an offset on.
func (r *run) after(offset int64) []*stream.Record {
	low, high := 0, len(r.records)
	for low < high {
		if mid := (low + high) / 2; r.records[mid].Offset < offset {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return r.records[low:]
}

func sizeOf(r *stream.Record) int { return recordBytes + messageSize(r) }

// messageSize counts the bytes of a record's key, value and headers, as pages
// are measured.
func messageSize(r *stream.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}
