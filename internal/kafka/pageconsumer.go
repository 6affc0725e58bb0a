package kafka

import (
	"context"
	"log/slog"
	"slices"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// pageConsumer is one of the consumers that pages are read with. Between pages
// it stays where the last one ended, so that the next, which as a rule goes on
// there, finds its records fetched already.
type pageConsumer struct {
	readers  *Readers
	consumer *ckafka.Consumer
	number   int64           // of the credentials that it has
	next     map[place]int64 // what is assigned, and between pages where it goes on
	kept     []ckafka.Event  // messages and ends that were polled and belong to the next page
	since    time.Time       // when the last page ended
	progress time.Time       // when something of the page was last seen
	room     int             // how many records the last page had
}

// overlap says of how many spans the consumer stands at the beginning.
func (c *pageConsumer) overlap(spans []*span) int {
	n := 0
	for _, s := range spans {
		if next, ok := c.next[s.place]; ok && next == s.From && s.From < s.To {
			n++
		}
	}
	return n
}

// fill reads a page, and stays where it ends.
func (c *pageConsumer) fill(ctx context.Context, p *page) error {
	p.records = make([]stream.Record, 0, min(p.limit.Records, c.room+c.room/8+1))
	err := c.read(ctx, p)
	if err == nil {
		err = c.park(p)
	}
	c.room = len(p.records)
	if err != nil {
		c.reset()
	}
	c.since = time.Now()
	return err
}

func (c *pageConsumer) read(ctx context.Context, p *page) error {
	c.progress = time.Now()
	if err := c.adopt(ctx, p); err != nil {
		return err
	}
	seen := false
	for !p.done() {
		ev := c.pop()
		switch {
		case ctx.Err() != nil:
			return ended(ctx)
		case c.readers.ctx.Err() != nil:
			return toError(errClosed)
		case ev != nil:
			saw, err := c.event(ctx, p, ev)
			if err != nil {
				return err
			}
			seen = seen || saw
		case seen:
			seen, c.progress = false, time.Now()
		default:
			if err := c.stalled(); err != nil {
				return err
			}
		}
	}
	return nil
}

// pop gives what was kept, then what librdkafka has.
func (c *pageConsumer) pop() ckafka.Event {
	if len(c.kept) > 0 {
		ev := c.kept[0]
		c.kept = c.kept[1:]
		return ev
	}
	return c.consumer.Poll(int(pagePoll.Milliseconds()))
}

// event takes an event, and says whether it was about the page.
func (c *pageConsumer) event(ctx context.Context, p *page, ev ckafka.Event) (progress bool, err error) {
	switch ev := ev.(type) {
	case *ckafka.Message:
		return true, c.message(p, ev)
	case ckafka.PartitionEOF:
		s := p.open[placeOf(ckafka.TopicPartition(ev))]
		if s == nil {
			return false, nil
		}
		if p.advance(s, int64(ev.Offset)); s.From < s.To {
			return true, c.settle(ctx, p, false) // the end is not where it was
		}
		return true, nil
	case ckafka.Error:
		return false, c.failure(ctx, p, ev)
	case ckafka.OAuthBearerTokenRefresh, *ckafka.Stats:
		c.readers.cluster.event("pages", c.consumer, ev)
	}
	return false, nil
}

func (c *pageConsumer) message(p *page, m *ckafka.Message) error {
	at := placeOf(m.TopicPartition)
	s := p.open[at]
	switch {
	case s == nil: // of a span that has ended; no more of these
		return c.drop([]place{at})
	case int64(m.TopicPartition.Offset) < s.From:
	case !p.add(s, m) && p.full:
		c.kept = slices.Insert(c.kept, 0, ckafka.Event(m))
	}
	return nil
}

// The errors of a partition. librdkafka does not say of which: those that leave
// it standing still, and those that tell that it may be gone.
var (
	standsStill = []ckafka.ErrorCode{ckafka.ErrAutoOffsetReset, ckafka.ErrOffsetOutOfRange, ckafka.ErrLogTruncation}
	mayBeGone   = []ckafka.ErrorCode{
		ckafka.ErrUnknownTopicOrPart, ckafka.ErrUnknownTopic, ckafka.ErrUnknownPartition,
		ckafka.ErrUnknownTopicID,
	}
)

func (c *pageConsumer) failure(ctx context.Context, p *page, err ckafka.Error) error {
	switch {
	case is(err, standsStill...):
		return c.settle(ctx, p, true)
	case is(err, mayBeGone...):
		return c.settle(ctx, p, false)
	case is(err, ckafka.ErrTopicAuthorizationFailed):
		return p.unreadable(toError(err))
	}
	c.readers.cluster.event("pages", c.consumer, err)
	return nil
}

// settle finds out what has become of the open spans, and reads on where they
// go on now. A consumer that stands still is assigned again in any case.
func (c *pageConsumer) settle(ctx context.Context, p *page, still bool) error {
	moved, err := p.settle(ctx)
	if err != nil || !moved && !still {
		return err
	}
	if !moved {
		if err := c.stalled(); err != nil {
			return err
		}
		pause(ctx, askPause)
	}
	c.reset()
	return c.adopt(ctx, p)
}

// stalled gives the error of a page that makes no progress: at once where Kafka
// cannot be reached at all, else after a while.
func (c *pageConsumer) stalled() error {
	waited := time.Since(c.progress)
	if waited > doubtAfter {
		if err := c.readers.cluster.Reachable(); err != nil {
			return err
		}
	}
	if waited > stalledAfter {
		e := stream.Errorf(stream.KafkaUnavailable, "Kafka sent nothing of the stream for %v; try again later", stalledAfter)
		e.RetryAfter = retryUnavailable
		return e
	}
	return nil
}

// adopt makes the consumer read the page's spans: where it stands at the
// beginning of one it goes on, the others are assigned.
func (c *pageConsumer) adopt(ctx context.Context, p *page) error {
	if c.overlap(p.spans) == 0 {
		c.reset()
		c.rest()
	}
	var others []place
	for at, next := range c.next {
		if s := p.open[at]; s == nil || s.From != next {
			others = append(others, at)
		}
	}
	if err := c.drop(others); err != nil {
		return err
	}
	var more []*span
	for _, s := range p.openSpans() {
		if _, has := c.next[s.place]; !has {
			more = append(more, s)
		}
	}
	if len(more) == 0 {
		return nil
	}
	return c.assign(ctx, p, more)
}

// assign adds spans to what is read, as far as their beginnings are still there.
func (c *pageConsumer) assign(ctx context.Context, p *page, spans []*span) error {
	places := make([]place, len(spans))
	for i, s := range spans {
		places[i] = s.place
	}
	begins, err := locate(ctx, c.consumer, places)
	if err != nil {
		return err
	}
	var parts []ckafka.TopicPartition
	for _, s := range spans {
		b := begins[s.place]
		if b.err != nil {
			return c.readers.partitionError(s.place, b.err)
		}
		if s.From < b.value {
			p.gap(s, b.value)
		}
		if p.open[s.place] == s {
			parts = append(parts, s.place.at(s.From))
			c.next[s.place] = s.From
		}
	}
	if len(parts) == 0 {
		return nil
	}
	if err := c.consumer.IncrementalAssign(parts); err != nil {
		return toError(err)
	}
	return nil
}

// drop takes places out of what is read, and what was kept of them.
func (c *pageConsumer) drop(places []place) error {
	var parts []ckafka.TopicPartition
	for _, at := range places {
		if _, has := c.next[at]; has {
			parts = append(parts, at.at(0))
			delete(c.next, at)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	c.kept = slices.DeleteFunc(c.kept, func(ev ckafka.Event) bool {
		switch ev := ev.(type) {
		case *ckafka.Message:
			_, has := c.next[placeOf(ev.TopicPartition)]
			return !has
		case ckafka.PartitionEOF:
			_, has := c.next[placeOf(ckafka.TopicPartition(ev))]
			return !has
		}
		return true
	})
	if err := c.consumer.IncrementalUnassign(parts); err != nil {
		return toError(err)
	}
	return nil
}

// park leaves the consumer where the page's open spans go on.
func (c *pageConsumer) park(p *page) error {
	var over []place
	for at := range c.next {
		if s := p.open[at]; s != nil {
			c.next[at] = s.From
		} else {
			over = append(over, at)
		}
	}
	return c.drop(over)
}

// reset lets go of everything that is assigned.
func (c *pageConsumer) reset() {
	if len(c.next) == 0 {
		return
	}
	clear(c.next)
	c.kept = nil
	if err := c.consumer.Unassign(); err != nil {
		c.readers.cluster.log.Warn("a consumer's assignment could not be taken back", slog.Any("error", err))
	}
}

// rest takes what the consumer was told while nobody read with it: that its
// token is about to expire, which comes before everything else, and errors
// which are over. What belongs to the next page is kept, a little each time, and
// given up after a while.
func (c *pageConsumer) rest() {
	if time.Since(c.since) > parkTime {
		c.reset()
	}
	for ev := c.consumer.Poll(0); ev != nil; ev = c.consumer.Poll(0) {
		switch ev := ev.(type) {
		case ckafka.OAuthBearerTokenRefresh, *ckafka.Stats:
			c.readers.cluster.event("pages", c.consumer, ev)
		case ckafka.Error:
			if is(ev, standsStill...) || is(ev, mayBeGone...) {
				c.reset()
			}
		case *ckafka.Message, ckafka.PartitionEOF:
			if len(c.next) > 0 {
				c.kept = append(c.kept, ev)
				return
			}
		}
	}
}
