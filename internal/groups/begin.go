package groups

import (
	"context"

	"sluice/internal/stream"
)

// beginnings are where partitions begin in streams that a group has not read
// before, as they were when a member joined.
type beginnings map[string]beginning

type beginning struct {
	topicID string
	offsets []int64 // by partition; negative or missing: the beginning
	earlier bool    // the offsets are those of an earlier stream of that name
}

// at is Opening.Begin. Streams and partitions that came after the member joined
// begin at their beginning, whatever was asked for: else what was published
// before they were found would be lost.
func (b beginnings) at(l stream.Layout, partition int32) (offset int64, earlier bool) {
	s, known := b[l.Stream]
	if !known || s.topicID != l.TopicID || int(partition) >= len(s.offsets) {
		return -1, false
	}
	return s.offsets[partition], s.earlier
}

// begin resolves where a membership begins, now, in the streams in which its
// group has committed nothing. Nil is the beginning, everywhere.
func (g *Groups) begin(ctx context.Context, o stream.Membership, layouts []stream.Layout) (func(stream.Layout, int32) (int64, bool), error) {
	if o.Start.Kind == stream.FromEarliest {
		return nil, nil
	}
	committed, err := g.o.Offsets.Committed(ctx, o.Group)
	if err != nil {
		return nil, err
	}
	read := map[string]bool{}
	for _, at := range committed {
		read[at.Stream] = true
	}
	b := beginnings{}
	var ps []stream.Partition
	var unread []stream.Layout
	for _, l := range layouts {
		if read[l.Stream] {
			continue
		}
		unread = append(unread, l)
		for n := range l.Partitions {
			ps = append(ps, stream.Partition{Stream: l.Stream, Number: int32(n)})
		}
	}
	if o.Start.Kind == stream.FromPosition {
		b.position(unread, o.Start.Position)
		return b.at, nil
	}
	offsets, err := g.offsets(ctx, o.Start, ps)
	if err != nil {
		return nil, err
	}
	for _, l := range unread {
		b[l.Stream] = beginning{topicID: l.TopicID, offsets: offsets[:l.Partitions]}
		offsets = offsets[l.Partitions:]
	}
	return b.at, nil
}

func (b beginnings) position(layouts []stream.Layout, p stream.Position) {
	for _, l := range layouts {
		offsets, known := p.Find(l)
		b[l.Stream] = beginning{topicID: l.TopicID, offsets: offsets, earlier: known == stream.KnownEarlier}
	}
}

// offsets gives the partitions' offsets at a time, or their ends.
func (g *Groups) offsets(ctx context.Context, s stream.Start, ps []stream.Partition) ([]int64, error) {
	if len(ps) == 0 {
		return nil, nil
	}
	if s.Kind == stream.FromTime {
		return g.o.Kafka.OffsetsAt(ctx, ps, s.Time)
	}
	bounds, err := g.o.Kafka.Bounds(ctx, ps)
	if err != nil {
		return nil, err
	}
	ends := make([]int64, len(bounds))
	for i, b := range bounds {
		ends[i] = b.End
	}
	return ends, nil
}
