package follow

import (
	"context"
	"time"

	"sluice/internal/stream"
)

// checkStart says whether a reading's start can be understood.
func checkStart(r stream.Reading) error {
	if r.Start.Kind != stream.FromOffset {
		return nil
	}
	ids, plain := r.Pattern.IDs()
	switch {
	case !plain || len(ids) != 1 || r.Partition < 0:
		return stream.Errorf(stream.InvalidRequest, "an offset is a place in one partition: name one stream and partition=, or start from a position, a time, earliest or latest")
	case r.Start.Offset < 0:
		return stream.Errorf(stream.InvalidRequest, "offsets begin at 0")
	}
	return nil
}

// resolve gives the position where a feed's follower starts. What it does not
// know is read from its beginning.
func (h *Hub) resolve(ctx context.Context, start stream.Start, f *feed) (stream.Position, error) {
	s := f.snapshot()
	if s.err != nil {
		return stream.Position{}, s.err
	}
	switch start.Kind {
	case stream.FromPosition:
		return start.Position, nil
	case stream.FromTime:
		return h.positionAt(ctx, start.Time, s.layouts, f)
	case stream.FromOffset:
		var at stream.Position
		for _, l := range s.layouts {
			at.Set(l, f.key.partition, start.Offset)
		}
		return at, nil
	}
	return stream.Position{}, nil
}

// positionAt gives the position of the first records at or after t. A stream
// that is gone meanwhile, and was not asked for by name, is left out.
func (h *Hub) positionAt(ctx context.Context, t time.Time, layouts []stream.Layout, f *feed) (stream.Position, error) {
	var at stream.Position
	ps := partitions(layouts, f.selects)
	if len(ps) == 0 {
		return at, nil
	}
	offsets, err := h.kafka.OffsetsAt(ctx, ps, t)
	if stream.CodeOf(err) == stream.UnknownStream && !f.plain && len(layouts) > 1 {
		return h.positionsAt(ctx, t, layouts, f)
	}
	if err != nil {
		return at, err
	}
	for i, p := range ps {
		l, _ := layoutOf(layouts, p.Stream)
		at.Set(l, p.Number, offsets[i])
	}
	return at, nil
}

// positionsAt does what positionAt does, stream by stream.
func (h *Hub) positionsAt(ctx context.Context, t time.Time, layouts []stream.Layout, f *feed) (stream.Position, error) {
	var at stream.Position
	for _, l := range layouts {
		ps := partitions([]stream.Layout{l}, f.selects)
		offsets, err := h.kafka.OffsetsAt(ctx, ps, t)
		if stream.CodeOf(err) == stream.UnknownStream {
			continue
		}
		if err != nil {
			return at, err
		}
		for i, p := range ps {
			at.Set(l, p.Number, offsets[i])
		}
	}
	return at, nil
}

// partitions lists the partitions of streams that are selected.
func partitions(layouts []stream.Layout, selects func(int32) bool) []stream.Partition {
	var ps []stream.Partition
	for _, l := range layouts {
		for n := range int32(l.Partitions) {
			if selects(n) {
				ps = append(ps, stream.Partition{Stream: l.Stream, Number: n})
			}
		}
	}
	return ps
}
