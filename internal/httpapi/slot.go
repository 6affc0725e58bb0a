package httpapi

import (
	"sync"

	"sluice/internal/stream"
)

// keepLine is the largest line buffer that is kept for later lines: a pool of
// large ones would fill the windows of requests with small lines.
const keepLine = 4 << 10

// slot is one line on its way: read, decoded, queued, reported, answered.
type slot struct {
	next   *slot // in its queue
	line   int
	size   int    // what it takes of the window, in bytes
	buf    []byte // the line, in which rec's slices lie
	rec    stream.Outgoing
	queued bool // the record was handed on
	report stream.Report
	err    error
	ready  chan struct{}              // receives once when report and err are set
	done   func(stream.Report, error) // finish, made into a value once
}

func newSlot() *slot {
	s := &slot{ready: make(chan struct{}, 1)}
	s.done = s.finish
	return s
}

// finish sets the result. It never blocks: the channel has room for it.
func (s *slot) finish(report stream.Report, err error) {
	s.report, s.err = report, err
	s.ready <- struct{}{}
}

// await waits for the result; before it has to wait, it calls idle.
func (s *slot) await(idle func()) {
	select {
	case <-s.ready:
	default:
		idle()
		<-s.ready
	}
}

// reset makes the slot fit for another line, with the memory it has.
func (s *slot) reset() {
	buf, headers := s.buf, s.rec.Headers
	if cap(buf) > keepLine {
		buf = nil
	}
	clear(headers)
	*s = slot{buf: buf, ready: s.ready, done: s.done, rec: stream.Outgoing{Headers: headers[:0]}}
}

// slotQueue holds slots in order. It has no bound of its own: what is in it
// has taken room of the request's window. A channel of that many slots would
// cost each request the memory of a full one.
type slotQueue struct {
	mu         sync.Mutex
	changed    sync.Cond
	head, tail *slot
	closed     bool
}

func (q *slotQueue) push(s *slot) {
	q.mu.Lock()
	if q.tail == nil {
		q.head = s
	} else {
		q.tail.next = s
	}
	q.tail = s
	q.mu.Unlock()
	q.changed.Signal()
}

// close says that nothing more is pushed.
func (q *slotQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.changed.Signal()
}

// pop takes the first slot; before it has to wait for one, it calls idle. It
// gives false when the queue is closed and empty.
func (q *slotQueue) pop(idle func()) (*slot, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == nil && !q.closed {
		q.mu.Unlock()
		idle()
		q.mu.Lock()
	}
	for q.head == nil {
		if q.closed {
			return nil, false
		}
		q.changed.Wait()
	}
	s := q.head
	if q.head = s.next; q.head == nil {
		q.tail = nil
	}
	s.next = nil
	return s, true
}
