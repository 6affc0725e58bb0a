package subscriptions

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"sluice/internal/stream"
)

// place is how far a subscription has come in a partition.
type place struct {
	stream.Partition

	layout stream.Layout
	bounds stream.Bounds
	next   int64
}

// lag is how many records are still to be delivered, at most.
func (p place) lag() int64 { return max(0, p.bounds.End-max(p.next, p.bounds.Begin)) }

// Status says how far a subscription has come, by what is committed in Kafka,
// and what its owner told last of its deliveries.
func (s *Store) Status(ctx context.Context, id string) (stream.SubscriptionStatus, error) {
	sub, err := s.Get(ctx, id)
	if err != nil {
		return stream.SubscriptionStatus{}, err
	}
	places, err := s.places(ctx, sub, "")
	if err != nil {
		return stream.SubscriptionStatus{}, err
	}
	status := stream.SubscriptionStatus{ID: id, State: sub.State, Reason: sub.Reason, Health: s.lastHealth(id)}
	s.block(&status)
	for _, p := range places {
		if c := stream.CallerOf(ctx); c != nil && !c.Sees(p.Stream) {
			continue
		}
		status.Partitions = append(status.Partitions, stream.PartitionStatus{
			Partition: p.Partition, Next: p.next, End: p.bounds.End, Lag: p.lag(),
		})
		status.Lag += p.lag()
	}
	if dead, err := s.places(ctx, sub, sub.DeadLetter); err != nil {
		return stream.SubscriptionStatus{}, err
	} else {
		for _, p := range dead {
			status.DeadLetters += p.lag()
		}
	}
	return status, nil
}

// block says of an active subscription that it cannot be delivered from here.
func (s *Store) block(status *stream.SubscriptionStatus) {
	if s.o.Blocked == nil || status.State != stream.StateActive {
		return
	}
	err := s.o.Blocked()
	if err == nil {
		return
	}
	status.State, status.Reason = stream.StateBlocked, stream.ReasonRefused
	if stream.CodeOf(err) == stream.Forbidden {
		status.Reason = stream.ReasonForbidden
	}
	status.Detail = clientMessage(err, "the gateway's log says why")
}

// places gives how far a subscription has come in the streams it reads, or in
// that of its dead letters.
func (s *Store) places(ctx context.Context, sub *stream.Subscription, dead string) ([]place, error) {
	layouts, err := s.streamsOf(ctx, sub, dead)
	if err != nil || len(layouts) == 0 {
		return nil, err
	}
	ps := partitions(layouts)
	bounds, err := s.o.Streams.Bounds(ctx, ps)
	if err != nil {
		return nil, err
	}
	committed, err := s.o.Offsets.Committed(ctx, sub.Group)
	if err != nil {
		return nil, err
	}
	at := map[stream.Partition]stream.GroupOffset{}
	for _, o := range committed {
		at[o.Partition] = o
	}
	var places []place
	i := 0
	for _, l := range layouts {
		for n := range l.Partitions {
			p := place{Partition: ps[i], layout: l, bounds: bounds[i], next: bounds[i].Begin}
			p.next = s.next(sub, p, int32(n), at)
			places = append(places, p)
			i++
		}
	}
	return places, nil
}

// next gives the offset that a partition has come to: the committed one, or
// where it begins when that one was committed before.
func (s *Store) next(sub *stream.Subscription, p place, number int32, at map[stream.Partition]stream.GroupOffset) int64 {
	begin, generation, said := sub.BeginAt(p.layout, number)
	if o, committed := at[p.Partition]; committed {
		if g, ok := s.o.Mark(o, p.layout); ok && (!said || g >= generation) {
			return o.Offset
		}
	}
	if said {
		return begin
	}
	return p.next
}

// Test sends a record that says of itself that it is a test, once, and tells
// how that ended. It changes nothing else, and works for a subscription that is
// paused, too.
func (s *Store) Test(ctx context.Context, id string) (stream.Attempt, error) {
	sub, err := s.Get(ctx, id)
	if err != nil {
		return stream.Attempt{}, err
	}
	at := now()
	ctx, cancel := context.WithTimeout(ctx, sub.Timeout+time.Second)
	defer cancel()
	a := s.o.Sender.Send(ctx, &stream.Delivery{
		Subscription: sub, ID: "test_" + rand.Text(), Attempt: 1, First: at,
		Records: []stream.Record{testRecord(sub, at)},
	})
	a.Published = nil // a test publishes nothing
	return a, nil
}

func testRecord(sub *stream.Subscription, at time.Time) stream.Record {
	name := "test"
	if ids, _ := sub.Streams.IDs(); len(ids) > 0 {
		name = ids[0]
	}
	data := fmt.Appendf(nil, `{"test":true,"subscription":%q,"message":"This is a test delivery; the stream holds no such record."}`, sub.ID)
	return stream.Record{Stream: name, Timestamp: at, Key: []byte("test"), Data: data, Value: data}
}

func (s *Store) streamsOf(ctx context.Context, sub *stream.Subscription, dead string) ([]stream.Layout, error) {
	if dead == "" {
		return s.layouts(ctx, sub)
	}
	pattern, err := stream.ParsePattern(dead)
	if err != nil {
		return nil, err
	}
	return s.o.Streams.Layouts(ctx, pattern)
}
