package kafka

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// Bounds of one reading: how long it goes on without progress, after how much
// of that it asks whether Kafka can be reached at all, and how long it waits
// for an event before it looks whether the caller has gone.
const (
	stalledAfter = 10 * time.Second
	doubtAfter   = time.Second
	pagePoll     = 20 * time.Millisecond
)

// Read reads spans, each of another partition, until the limit or all their
// ends are reached: a span's end counts as reached also when nothing that a
// reader may see lies before it. Left says of each span where to go on: nothing
// is skipped, nothing is repeated. Spans take turns, but not within each page.
//
// What is gone becomes a Gap: to the partition's beginning, or back to its end
// where a span begins beyond that. A gap that leaves nothing of its span, and an
// end that is below To by now, end the span; of it Left has that offset as
// From and To.
//
// Errors: UnknownStream when a stream is gone, Forbidden, Overloaded when ctx
// ends before a consumer is free, KafkaUnavailable, also after 10 s without
// progress or when ctx ends.
func (r *Readers) Read(ctx context.Context, spans []stream.Span, limit stream.PageLimit) (stream.Page, error) {
	if err := r.cluster.Reachable(); err != nil {
		return stream.Page{}, err
	}
	p := &page{readers: r, limit: limit, spans: make([]*span, len(spans)), open: map[place]*span{}}
	for i, s := range spans {
		p.spans[i] = &span{Span: s, place: r.place(s.Partition)}
		if s.From < s.To {
			p.open[p.spans[i].place] = p.spans[i]
		}
	}
	if len(p.open) == 0 {
		return p.result(), nil
	}
	return r.read(ctx, p)
}

// read fills a page. librdkafka's calls cannot be cancelled, so they are made by
// a goroutine of their own, which also gives the consumer back.
func (r *Readers) read(ctx context.Context, p *page) (stream.Page, error) {
	c, err := r.take(ctx, p.spans)
	if err != nil {
		return stream.Page{}, err
	}
	done := make(chan error, 1)
	r.running.Go(func() {
		err := c.fill(ctx, p)
		r.give(c) // first, so that the next page finds it
		done <- err
	})
	select {
	case err := <-done:
		if err != nil {
			return stream.Page{}, err
		}
		return p.result(), nil
	case <-ctx.Done():
		return stream.Page{}, ended(ctx)
	}
}

// unreadable names in an error what may not be read. librdkafka does not say
// which of the topics it was.
func (p *page) unreadable(err error) error {
	var names []string
	for at := range p.open {
		names = append(names, at.topic)
	}
	slices.Sort(names)
	return onTopic("READ", enumerate(slices.Compact(names), "or")).of(err)
}

// span is a span that is being read. Its From moves on with what was read.
type span struct {
	stream.Span

	place place
}

// page is a page that is being filled.
type page struct {
	readers *Readers
	limit   stream.PageLimit
	spans   []*span
	open    map[place]*span // those whose end is not reached
	records []stream.Record
	gaps    []stream.Gap
	bytes   int
	full    bool
}

func (p *page) result() stream.Page {
	left := make([]stream.Span, len(p.spans))
	for i, s := range p.spans {
		left[i] = s.Span
	}
	return stream.Page{Records: slices.Clip(p.records), Gaps: p.gaps, Left: left}
}

// done says whether there is nothing more to be read for this page.
func (p *page) done() bool { return p.full || len(p.open) == 0 }

// add takes a message of an open span unless it lies behind it or exceeds the
// limit. taken is false when the message is to be read again.
func (p *page) add(s *span, m *ckafka.Message) (taken bool) {
	offset := int64(m.TopicPartition.Offset)
	if offset >= s.To {
		p.advance(s, s.To)
		return false
	}
	size := messageSize(m)
	if len(p.records) > 0 && p.bytes+size > p.limit.Bytes {
		p.full = true
		return false
	}
	p.records = append(p.records, record(s.Stream, m))
	p.bytes += size
	p.full = len(p.records) >= p.limit.Records
	p.advance(s, offset+1)
	return true
}

// advance notes that a span was read up to an offset, from which it goes on.
func (p *page) advance(s *span, offset int64) {
	s.From = max(s.From, min(offset, s.To))
	if s.From == s.To {
		delete(p.open, s.place)
	}
}

// gap notes that a span goes on elsewhere, or ends there.
func (p *page) gap(s *span, to int64) {
	p.gaps = append(p.gaps, stream.Gap{Partition: s.Partition, From: s.From, To: to})
	if to < s.From || to >= s.To {
		p.end(s, to)
	}
	s.From = to
}

// end ends a span at an offset.
func (p *page) end(s *span, at int64) {
	s.From, s.To = at, at
	delete(p.open, s.place)
}

// settle compares the open spans with what their partitions hold. Those with
// gaps are moved, those beyond the end are ended; whether there were any is
// returned. The error names a stream that is gone.
func (p *page) settle(ctx context.Context) (moved bool, err error) {
	places := make([]place, 0, len(p.open))
	for at := range p.open {
		places = append(places, at)
	}
	// A reader of committed records may go on where no committed ones are yet.
	found, err := p.readers.cluster.bounds(ctx, places, readUncommitted)
	if err != nil {
		return false, err
	}
	for _, s := range p.spans {
		if p.open[s.place] != s {
			continue
		}
		switch b := found[s.place]; {
		case b.err != nil:
			return false, p.readers.partitionError(s.place, b.err)
		case s.From < b.Begin:
			p.gap(s, b.Begin)
		case s.From > b.End:
			p.gap(s, b.End)
		case s.From == b.End: // and To is beyond it
			p.end(s, b.End)
		default:
			continue
		}
		moved = true
	}
	return moved, nil
}

// openSpans gives the open spans in a random order: Kafka serves first what is
// asked for first, and no partition should always be the last.
func (p *page) openSpans() []*span {
	spans := slices.Collect(maps.Values(p.open))
	//nolint:gosec // nothing secret hangs on the order
	rand.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
	return spans
}

// messageSize counts the bytes of a record's key, value and headers.
func messageSize(m *ckafka.Message) int {
	n := len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}
