package groups

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice/internal/stream"
)

// Bounds of a member's queue and of what one Next gives, in bytes of records or
// of frames; and for how many rounds of pollInterval the queue may be full
// before its consumer is put on hold.
const (
	queueBytes = 512 << 10
	batchBytes = 128 << 10
	holdRounds = 5
)

// Member is one reader that is a member of a group. Next, Position and Close
// are for one goroutine. Its consumer has one of its own, so that a reader who
// is slow holds up no rebalance.
type Member struct {
	groups     *Groups
	membership stream.Membership
	frames     stream.Frames
	consumer   Consumer // run's alone
	log        *slog.Logger

	mu       sync.Mutex
	queue    []item
	queued   int // bytes
	given    map[stream.Partition]mark
	handed   map[stream.Partition]mark // of what the last Next gave: written when the next one is called
	written  map[stream.Partition]mark // to be stored
	position stream.Position
	layouts  []stream.Layout // as they were found last
	fresh    bool            // the consumer does not know them yet
	closing  bool
	err      error // what ended the membership

	arrived chan struct{} // something is queued, or err is set
	taken   chan struct{} // the queue was taken from, and what was handed out is written
	out     []byte
	token   []byte
	stop    chan struct{}
	done    chan struct{}
}

// item is a record or a gap on its way to the reader.
type item struct {
	layout stream.Layout
	record *stream.Record
	gap    stream.Gap // where record is nil
	size   int
}

func (i *item) at() (stream.Partition, mark) {
	if i.record == nil {
		return i.gap.Partition, mark{i.layout, i.gap.To}
	}
	return stream.Partition{Stream: i.record.Stream, Number: i.record.Partition}, mark{i.layout, i.record.Offset + 1}
}

// mark is the next offset of a partition, in a stream as it was then.
type mark struct {
	layout stream.Layout
	next   int64
}

func newMember(g *Groups, o stream.Membership, f stream.Frames) *Member {
	return &Member{
		groups: g, membership: o, frames: f, log: g.log.With(slog.String("group", o.Group)),
		given: map[stream.Partition]mark{}, handed: map[stream.Partition]mark{}, written: map[stream.Partition]mark{},
		arrived: make(chan struct{}, 1), taken: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// Next gives frames, valid until the next call, and nil after idle without any.
// To call it says that what the last call gave was written, and may be
// committed. Errors: io.EOF when the gateway is stopping; PatternTooWide where a
// position that is to be committed by hand cannot be written any more; what
// ended the membership; ctx's.
func (m *Member) Next(ctx context.Context, idle time.Duration) ([]byte, error) {
	m.acknowledge()
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select { // a stop goes before what is queued
		case <-m.groups.drain:
			return nil, io.EOF
		default:
		}
		if frames, err := m.format(); frames != nil || err != nil {
			return frames, err
		}
		select {
		case <-m.arrived:
		case <-timer.C:
			return nil, nil
		case <-m.groups.drain:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// acknowledge notes that what was handed out is written.
func (m *Member) acknowledge() {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.Copy(m.written, m.handed)
	clear(m.handed)
	signal(m.taken)
}

// format writes the frames of what is queued, in order, up to batchBytes.
func (m *Member) format() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out = m.out[:0]
	n := 0
	for ; n < len(m.queue) && len(m.out) < batchBytes; n++ {
		if err := m.write(&m.queue[n]); err != nil {
			return nil, err
		}
		m.queued -= m.queue[n].size
	}
	m.queue = slices.Delete(m.queue, 0, n)
	if n > 0 {
		signal(m.taken)
	}
	if len(m.out) == 0 {
		maps.Copy(m.written, m.handed) // all of it was left out: there is nothing to write
		clear(m.handed)
		return nil, m.err
	}
	return m.out, nil
}

// write appends one item's frame, with the position after it.
func (m *Member) write(i *item) error {
	p, at := i.at()
	if before, known := m.given[p]; known && before.layout.TopicID != at.layout.TopicID {
		m.position.Forget(before.layout)
	}
	m.given[p], m.handed[p] = at, at
	m.position.Set(at.layout, p.Number, at.next)
	if i.record != nil && m.membership.Filter != nil && !m.membership.Filter.Match(i.record) {
		return nil
	}
	token, err := m.tokenNow()
	if err != nil {
		return err
	}
	if i.record == nil {
		m.out = m.frames.Gap(m.out, i.gap, token)
		m.groups.metrics.gaps.Inc()
		return nil
	}
	m.out = m.frames.Record(m.out, i.record, token)
	return nil
}

// tokenNow writes the position. One that is too long is left empty where the
// gateway commits by itself, for then nobody needs it.
func (m *Member) tokenNow() ([]byte, error) {
	m.token = m.position.AppendText(m.token[:0])
	if len(m.token) <= stream.MaxPosition {
		return m.token, nil
	}
	if m.membership.AutoCommit {
		return nil, nil
	}
	return nil, stream.Errorf(stream.PatternTooWide, "the position of so many partitions does not fit into %d bytes, and cannot be committed by hand: narrow the pattern, let more members share it, or set auto_commit=true", stream.MaxPosition)
}

// Position gives the position after what Next gave: the offsets of the
// partitions that this member has been given records of, and still has. It is
// valid until the next call, and empty where it is too long to be written.
func (m *Member) Position() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	token, err := m.tokenNow()
	if err != nil {
		return nil
	}
	return slices.Clone(token)
}

// Close leaves the group, after committing what was written, if the gateway
// commits. It waits for Kafka, though not for long. A second call does nothing.
func (m *Member) Close() {
	m.mu.Lock()
	if !m.closing {
		m.closing = true
		close(m.stop)
	}
	m.mu.Unlock()
	select {
	case <-m.done:
	case <-time.After(closeTimeout):
		m.log.Warn("a member takes long to leave its group")
	}
}

// signal leaves a token in a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
