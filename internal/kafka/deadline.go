package kafka

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// lateMost is what may be late of a topic before more records are refused.
var lateMost = amount{records: 1000, bytes: 16 << 20}

// latePart is which part of what librdkafka may hold may be late of all topics.
const latePart = 4

// deadlines ends the waiting for records that Kafka does not acknowledge in
// time. librdkafka would give such a record up, but then it numbers all records
// of the producer anew, also one that a broker has stored and not acknowledged:
// it is sent again, is taken for another one, and is in Kafka twice. So nothing
// is given up there. Whoever waits is told in time that the outcome is unknown,
// the record is late from then on, and may be stored at any time. Only when so
// many are late that they leave little room for others are they given up, with
// the producer that numbered them.
//
// It knows nothing of Kafka. Any number of goroutines may use it.
type deadlines struct {
	after   time.Duration
	expired func(*pending) // is told of each that is late; must not block
	crowded func()         // is told that too much is late; must not block
	gauge   prometheus.Gauge

	mu          sync.Mutex
	room        amount   // what may be late of all topics
	all         amount   // what is
	first, last *pending // those in time, the oldest first
	late        map[string]*lateness
	timer       *time.Timer
	closed      bool
}

// amount is so many records, of so many bytes together.
type amount struct{ records, bytes int }

func (a *amount) add(records, bytes int) { a.records, a.bytes = a.records+records, a.bytes+bytes }

func (a *amount) reaches(limit amount) bool {
	return a.records >= limit.records || a.bytes >= limit.bytes
}

// lateness is what is late of a topic.
type lateness struct {
	amount
	since time.Time // when there was none
}

// dueState is how a pending record stands with its deadline.
type dueState uint8

const (
	dueNever dueState = iota // it was not queued yet
	dueLater
	dueLate
	dueDone // it was reported
)

func newDeadlines(after time.Duration, gauge prometheus.Gauge, expired func(*pending), crowded func()) *deadlines {
	return &deadlines{after: after, gauge: gauge, expired: expired, crowded: crowded, late: map[string]*lateness{}}
}

// hold tells how many records, and bytes of them, the producer holds at most.
func (d *deadlines) hold(records, bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = amount{records / latePart, bytes / latePart}
}

// begin counts the time of a record that was queued now. It may have been
// reported by now.
func (d *deadlines) begin(w *pending) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.due != dueNever || d.closed {
		return
	}
	w.due, w.until, w.prev = dueLater, now.Add(d.after), d.last
	if d.last != nil {
		d.last.next = w
	} else {
		d.first = w
		d.wake(d.after)
	}
	d.last = w
}

// reported says whether somebody still waits for the report, or the outcome was
// told when its time was over.
func (d *deadlines) reported(w *pending) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := w.due
	w.due = dueDone
	switch was {
	case dueLater:
		d.unlink(w)
	case dueLate:
		d.gauge.Dec()
		d.all.add(-1, -w.size)
		l := d.late[w.topic]
		if l.add(-1, -w.size); l.records == 0 {
			delete(d.late, w.topic)
		}
		return false
	}
	return true
}

// refuse gives the error for a record to a topic that has too much that is late,
// else nil.
func (d *deadlines) refuse(topic string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.late[topic]
	if l == nil || !l.reaches(lateMost) {
		return nil
	}
	e := stream.Errorf(stream.KafkaUnavailable,
		"Kafka has not acknowledged %d records of this stream that were sent earlier, the first of them since %s: no more are taken until it has; look at the leaders of its partitions (GET /streams/{stream}/partitions)",
		l.records, l.since.UTC().Format(time.RFC3339)).WithOutcome(stream.NotStored)
	e.RetryAfter = retryUnavailable
	return e
}

// close ends all waiting without a word: what is still to be told is told by
// who closes.
func (d *deadlines) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
}

// sweep finds what is late.
func (d *deadlines) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, before := time.Now(), d.all.records
	for w := d.first; w != nil && !d.closed; w = d.first {
		if left := w.until.Sub(now); left > 0 {
			d.wake(left)
			break
		}
		d.unlink(w)
		d.count(w, now)
		d.expired(w)
	}
	if d.all.records > before && d.all.reaches(d.room) {
		d.crowded()
	}
}

func (d *deadlines) count(w *pending, now time.Time) {
	w.due = dueLate
	d.gauge.Inc()
	l := d.late[w.topic]
	if l == nil {
		l = &lateness{since: now.Add(-d.after)}
		d.late[w.topic] = l
	}
	l.add(1, w.size)
	d.all.add(1, w.size)
}

func (d *deadlines) unlink(w *pending) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		d.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		d.last = w.prev
	}
	w.prev, w.next = nil, nil
}

func (d *deadlines) wake(after time.Duration) {
	if d.timer == nil {
		d.timer = time.AfterFunc(after, d.sweep)
		return
	}
	d.timer.Reset(after)
}
