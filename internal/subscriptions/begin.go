package subscriptions

import (
	"context"
	"slices"

	"sluice/internal/stream"
)

// begin resolves where a subscription begins, now, in the streams that it
// reads; in those that old reads too it goes on where it is. Streams that come
// later begin at their beginning, whatever was asked for: else what was
// published before they were found would be lost. The error is UnknownStream
// for a plain id that does not exist and that old does not name.
func (s *Store) begin(ctx context.Context, sub *stream.Subscription, start stream.Start, old *stream.Subscription) ([]stream.Beginning, error) {
	layouts, err := s.layouts(ctx, sub)
	if err != nil {
		return nil, err
	}
	if err := missing(sub, old, layouts); err != nil {
		return nil, err
	}
	if old != nil {
		layouts = slices.DeleteFunc(layouts, func(l stream.Layout) bool { return old.Reads(l.Stream) })
	}
	return s.resolve(ctx, layouts, start)
}

// layouts gives the streams that a subscription reads, as they are now.
func (s *Store) layouts(ctx context.Context, sub *stream.Subscription) ([]stream.Layout, error) {
	layouts, err := s.o.Streams.Layouts(ctx, sub.Streams)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(layouts), func(l stream.Layout) bool { return !sub.Reads(l.Stream) }), nil
}

func missing(sub, old *stream.Subscription, layouts []stream.Layout) error {
	ids, _ := sub.Streams.IDs()
	for _, id := range ids {
		there := slices.ContainsFunc(layouts, func(l stream.Layout) bool { return l.Stream == id })
		if !there && (old == nil || !old.Streams.Match(id)) {
			return stream.Errorf(stream.UnknownStream, "the stream %s does not exist; create it first, or subscribe to a pattern, which waits for streams to come", id)
		}
	}
	return nil
}

// resolve gives the offsets that a start means in each partition, now.
func (s *Store) resolve(ctx context.Context, layouts []stream.Layout, start stream.Start) ([]stream.Beginning, error) {
	ps := partitions(layouts)
	if len(ps) == 0 {
		return nil, nil
	}
	bounds, err := s.o.Streams.Bounds(ctx, ps)
	if err != nil {
		return nil, err
	}
	var at []int64
	if start.Kind == stream.FromTime {
		if at, err = s.o.Streams.OffsetsAt(ctx, ps, start.Time); err != nil {
			return nil, err
		}
	}
	var list []stream.Beginning
	i := 0
	for _, l := range layouts {
		known, how := start.Position.Find(l)
		b := stream.Beginning{Stream: l.Stream, TopicID: l.TopicID}
		for n := range l.Partitions {
			offset := bounds[i].Begin
			switch {
			case start.Kind == stream.FromLatest:
				offset = bounds[i].End
			case start.Kind == stream.FromTime:
				offset = at[i]
			case how == stream.KnownWell && n < len(known) && known[n] >= 0:
				offset = known[n]
			}
			b.Offsets = append(b.Offsets, offset)
			i++
		}
		list = append(list, b)
	}
	return list, nil
}

func partitions(layouts []stream.Layout) []stream.Partition {
	var ps []stream.Partition
	for _, l := range layouts {
		for n := range l.Partitions {
			ps = append(ps, stream.Partition{Stream: l.Stream, Number: int32(n)})
		}
	}
	return ps
}

// generation gives beginnings their generation.
func generation(list []stream.Beginning, g int64) []stream.Beginning {
	out := slices.Clone(list)
	for i := range out {
		out[i].Generation = g
	}
	return out
}

// still gives the beginnings of streams that are still read.
func (r *request) still() []stream.Beginning {
	return slices.DeleteFunc(slices.Clone(r.Begin), func(b stream.Beginning) bool { return !r.Reads(b.Stream) })
}

// merge puts newer beginnings over older ones, of which those are dropped that
// mean nothing any more: the stream is gone, or was made anew.
func merge(old, newer []stream.Beginning, layouts []stream.Layout) []stream.Beginning {
	var list []stream.Beginning
	for _, b := range old {
		if !slices.ContainsFunc(layouts, func(l stream.Layout) bool { return l.Stream == b.Stream && l.TopicID == b.TopicID }) {
			continue
		}
		b.Offsets = slices.Clone(b.Offsets)
		for _, n := range newer {
			if n.Stream == b.Stream {
				cover(b.Offsets, n.Offsets)
			}
		}
		if slices.ContainsFunc(b.Offsets, func(o int64) bool { return o >= 0 }) {
			list = append(list, b)
		}
	}
	return append(list, newer...)
}

// cover takes out the offsets that newer ones stand over.
func cover(offsets, newer []int64) {
	for i := range min(len(offsets), len(newer)) {
		if newer[i] >= 0 {
			offsets[i] = -1
		}
	}
}
