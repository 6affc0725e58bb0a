package groups

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"sluice/internal/stream"
)

// run serves a member's consumer until the member is closed, or fails.
func (m *Member) run(ctx context.Context) {
	defer close(m.done)
	defer m.groups.release(m)
	err := m.serve(ctx)
	m.mu.Lock()
	m.closing = true // from now on nobody waits for what is being written
	m.mu.Unlock()
	if err == nil {
		m.store()
	}
	if e := m.consumer.Close(); e != nil {
		m.log.Warn("a member did not leave its group well", slog.Any("error", e))
	}
	if err != nil {
		m.log.Warn("a member of a group ended", slog.Any("error", err))
	}
	m.mu.Lock()
	m.err = err
	m.mu.Unlock()
	signal(m.arrived)
}

func (m *Member) serve(ctx context.Context) error {
	full := 0 // for how many rounds
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.stop:
			return nil
		default:
		}
		if err := m.apply(); err != nil {
			return err
		}
		m.store()
		if m.full() && full < holdRounds {
			full++
			m.wait()
			continue
		}
		if err := m.hold(&full); err != nil {
			return err
		}
		if err := m.consumer.Poll(pollInterval); err != nil {
			return err
		}
	}
}

// hold puts the consumer on hold when the queue has been full for a while, for
// it must be polled, and lets it go on when there is room. full is the number
// of rounds, and more by one while it is on hold.
func (m *Member) hold(full *int) error {
	switch {
	case *full == holdRounds && m.full():
		*full++
		return m.consumer.Hold(true)
	case *full > holdRounds && m.drained():
		*full = 0
		return m.consumer.Hold(false)
	case *full <= holdRounds:
		*full = 0
	}
	return nil
}

// full says whether the queue has room for nothing more, drained whether half
// of it is free: what comes after a hold is fetched again, so holds are few.
func (m *Member) full() bool    { return m.bytes() >= queueBytes }
func (m *Member) drained() bool { return m.bytes() <= queueBytes/2 }

func (m *Member) bytes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queued
}

// wait waits for room in the queue, for one round.
func (m *Member) wait() {
	t := time.NewTimer(pollInterval)
	defer t.Stop()
	select {
	case <-m.taken:
	case <-m.stop:
	case <-t.C:
	}
}

// offer tells a member what its streams are now. The consumer is told also
// where nothing changed: it may have to try again what it could not do.
func (m *Member) offer(layouts []stream.Layout) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.layouts, m.fresh = layouts, true
}

// apply tells the consumer what was offered.
func (m *Member) apply() error {
	m.mu.Lock()
	layouts, fresh := m.layouts, m.fresh
	m.fresh = false
	m.mu.Unlock()
	if !fresh {
		return nil
	}
	return m.consumer.SetStreams(layouts)
}

// store notes what was written, to be committed.
func (m *Member) store() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.storeWritten()
}

// storeWritten is store with the lock held.
func (m *Member) storeWritten() {
	for p, at := range m.written {
		if m.membership.AutoCommit {
			m.consumer.Store(p, at.layout.TopicID, at.next)
		}
	}
	clear(m.written)
}

// receiver is the member as its consumer sees it. Its calls come from run.
type receiver Member

// Record queues a record.
func (r *receiver) Record(l stream.Layout, rec *stream.Record) {
	size := len(rec.Key) + len(rec.Value)
	for _, h := range rec.Headers {
		size += len(h.Name) + len(h.Value)
	}
	const overhead = 200 // of a record that is small
	(*Member)(r).push(item{layout: l, record: rec, size: size + overhead})
	r.groups.metrics.records.Inc()
}

// Gap queues a gap.
func (r *receiver) Gap(l stream.Layout, g stream.Gap) {
	(*Member)(r).push(item{layout: l, gap: g})
}

func (m *Member) push(i item) {
	m.mu.Lock()
	m.queue = append(m.queue, i)
	m.queued += i.size
	m.mu.Unlock()
	signal(m.arrived)
}

// Revoked stores what was written of the partitions, and forgets the rest of
// them: it goes to another member. If something of them is being written right
// now, that is waited for, a little.
func (r *receiver) Revoked(ps []stream.Partition) {
	m := (*Member)(r)
	m.groups.metrics.revoked.Add(float64(len(ps)))
	m.awaitWritten(ps)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.storeWritten()
	gone := func(p stream.Partition) bool { return slices.Contains(ps, p) }
	m.queue = slices.DeleteFunc(m.queue, func(i item) bool {
		p, _ := i.at()
		if gone(p) {
			m.queued -= i.size
		}
		return gone(p)
	})
	for _, p := range ps {
		delete(m.handed, p)
		if at, given := m.given[p]; given {
			m.position.Set(at.layout, p.Number, -1) // a later commit must not take the next member back
			delete(m.given, p)
		}
	}
}

// awaitWritten waits until nothing of the partitions is being written, at most
// revokeGrace, and not while the member closes: then the reader is gone.
func (m *Member) awaitWritten(ps []stream.Partition) {
	if !m.membership.AutoCommit {
		return
	}
	deadline := time.NewTimer(revokeGrace)
	defer deadline.Stop()
	for m.writing(ps) {
		select {
		case <-m.taken:
		case <-m.stop:
			return
		case <-deadline.C:
			return
		}
	}
}

func (m *Member) writing(ps []stream.Partition) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.closing && slices.ContainsFunc(ps, func(p stream.Partition) bool {
		_, handed := m.handed[p]
		return handed
	})
}
