package groups

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"sluice/internal/stream"
)

// Move makes offsets the group's, all in one commit, and gives them, sorted;
// with Try it only computes them. A start is for all partitions of the streams
// that the move names, or else of those in which the group has committed; of a
// position only for the partitions that it knows. Offsets have to lie within
// what a partition holds.
//
// Errors: InvalidRequest with all that is wrong; UnknownGroup for a group that
// does not exist, where no streams are named; UnknownStream; GroupActive;
// GroupInUse for a subscription's; Forbidden; KafkaUnavailable, when nobody
// knows whether they were set; Overloaded.
func (a *Admin) Move(ctx context.Context, id string, m stream.GroupMove) ([]stream.At, error) {
	_, err := a.idle(ctx, id)
	if err != nil && (stream.CodeOf(err) != stream.UnknownGroup || m.Start != nil && m.Streams == nil) {
		return nil, err
	}
	var to []stream.GroupOffset
	if m.Start != nil {
		to, err = a.resolve(ctx, id, m)
	} else {
		to, err = a.aim(ctx, m.Offsets)
	}
	if err != nil {
		return nil, err
	}
	at := make([]stream.At, len(to))
	for i, o := range to {
		at[i] = stream.At{Partition: o.Partition, Offset: o.Offset}
	}
	if m.Try || len(to) == 0 {
		return at, nil
	}
	if err := a.o.Changes.Set(ctx, id, to); err != nil {
		return nil, afterwards(err)
	}
	a.log.Info("consumer group moved", slog.String("group", id), slog.Int("partitions", len(to)))
	return at, nil
}

// afterwards says of an error about one of several streams, of which Kafka takes
// the others all the same, what to look at.
func afterwards(err error) error {
	if stream.CodeOf(err) == stream.UnknownStream {
		return stream.Errorf(stream.UnknownStream, "one of the streams was just deleted, and Kafka may have taken the offsets in the others; GET /groups/{id} shows what the group has now").Because(err)
	}
	return err
}

// resolve gives what a start means in each partition, now.
func (a *Admin) resolve(ctx context.Context, id string, m stream.GroupMove) ([]stream.GroupOffset, error) {
	layouts, err := a.scope(ctx, id, m.Streams)
	if err != nil {
		return nil, err
	}
	ps := partitions(layouts)
	if len(ps) == 0 {
		return nil, nil
	}
	bounds, err := a.o.Kafka.Bounds(ctx, ps)
	if err != nil {
		return nil, err
	}
	var found []int64
	if m.Start.Kind == stream.FromTime {
		if found, err = a.o.Kafka.OffsetsAt(ctx, ps, m.Start.Time); err != nil {
			return nil, err
		}
	}
	var to []stream.GroupOffset
	i := 0
	for _, l := range layouts {
		for n := range l.Partitions {
			o := stream.GroupOffset{Partition: ps[i], TopicID: l.TopicID, Offset: bounds[i].Begin}
			meant := true
			switch m.Start.Kind {
			case stream.FromLatest:
				o.Offset = bounds[i].End
			case stream.FromTime:
				o.Offset = found[i]
			case stream.FromPosition:
				if o.Offset, meant, err = inPosition(m.Start.Position, l, n, bounds[i]); err != nil {
					return nil, err
				}
			}
			if meant {
				to = append(to, o)
			}
			i++
		}
	}
	return to, nil
}

// scope gives the streams that a start is for.
func (a *Admin) scope(ctx context.Context, id string, pattern *stream.Pattern) ([]stream.Layout, error) {
	if pattern != nil {
		return a.named(ctx, *pattern)
	}
	committed, err := a.o.Progress.Committed(ctx, id)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, o := range committed {
		if sees(ctx, o.Stream) {
			ids = append(ids, o.Stream)
		}
	}
	slices.Sort(ids)
	layouts, err := a.layouts(ctx, slices.Compact(ids))
	if err == nil && len(layouts) == 0 {
		err = stream.Errorf(stream.InvalidRequest, "the group has committed nothing in streams that there are: name those to move it in, as in {\"from\":\"latest\",\"streams\":\"orders.*\"}")
	}
	return layouts, err
}

// named gives the streams of a pattern that the caller sees. Plain ids have to
// exist.
func (a *Admin) named(ctx context.Context, pattern stream.Pattern) ([]stream.Layout, error) {
	ids, _ := pattern.IDs()
	for _, id := range ids {
		if err := refuseUnseen(ctx, id); err != nil {
			return nil, err
		}
	}
	layouts, err := a.o.Kafka.Layouts(ctx, pattern)
	if err != nil {
		return nil, err
	}
	layouts = slices.DeleteFunc(slices.Clone(layouts), func(l stream.Layout) bool { return !sees(ctx, l.Stream) })
	return layouts, missing(pattern, layouts)
}

func refuseUnseen(ctx context.Context, id string) error {
	if sees(ctx, id) {
		return nil
	}
	return stream.Errorf(stream.Forbidden, "%s may not see the stream %q: no rule of the gateway allows it an action on it; ask whoever runs the gateway for one", stream.CallerOf(ctx).Name, id)
}

// inPosition gives the offset of a position in a partition, meant where it
// knows that. Records that are gone by now are passed over; in a stream that was
// made anew it is the beginning.
func inPosition(p stream.Position, l stream.Layout, n int, b stream.Bounds) (offset int64, meant bool, err error) {
	offsets, known := p.Find(l)
	switch {
	case known == stream.KnownNot || n >= len(offsets) || offsets[n] < 0:
		return 0, false, nil
	case known == stream.KnownEarlier:
		return b.Begin, true, nil
	case offsets[n] > b.End:
		return 0, false, stream.Errorf(stream.InvalidRequest, "the position is beyond the end of partition %d of %s, which has %d to %d", n, l.Stream, b.Begin, b.End)
	}
	return max(offsets[n], b.Begin), true, nil
}

// aim checks offsets that a request names, and finds their topics.
func (a *Admin) aim(ctx context.Context, targets []stream.At) ([]stream.GroupOffset, error) {
	var ids []string
	for _, t := range targets {
		if err := refuseUnseen(ctx, t.Stream); err != nil {
			return nil, err
		}
		ids = append(ids, t.Stream)
	}
	slices.Sort(ids)
	layouts, err := a.layouts(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	to, err := locate(targets, layouts)
	if err != nil {
		return nil, err
	}
	ps := make([]stream.Partition, len(to))
	for i := range to {
		ps[i] = to[i].Partition
	}
	bounds, err := a.o.Kafka.Bounds(ctx, ps)
	if err != nil {
		return nil, err
	}
	var wrong violations
	for i, b := range bounds {
		if to[i].Offset < b.Begin || to[i].Offset > b.End {
			wrong.add(i, "offset", "is not in the partition, which has %d to %d", b.Begin, b.End)
		}
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	slices.SortFunc(to, func(a, b stream.GroupOffset) int { return comparePartitions(a.Partition, b.Partition) })
	return to, nil
}

// locate finds the topics of targets.
func locate(targets []stream.At, layouts []stream.Layout) ([]stream.GroupOffset, error) {
	var wrong violations
	seen := map[stream.Partition]bool{}
	to := make([]stream.GroupOffset, len(targets))
	for i, t := range targets {
		at := slices.IndexFunc(layouts, func(l stream.Layout) bool { return l.Stream == t.Stream })
		switch {
		case at < 0:
			wrong.add(i, "stream", "does not exist")
			continue
		case t.Number < 0 || int(t.Number) >= layouts[at].Partitions:
			wrong.add(i, "partition", "does not exist: the stream has %d", layouts[at].Partitions)
		case seen[t.Partition]:
			wrong.add(i, "partition", "is named twice")
		}
		seen[t.Partition] = true
		to[i] = stream.GroupOffset{Partition: t.Partition, TopicID: layouts[at].TopicID, Offset: t.Offset}
	}
	return to, wrong.err()
}

func partitions(layouts []stream.Layout) []stream.Partition {
	var ps []stream.Partition
	for _, l := range layouts {
		for n := range int32(l.Partitions) {
			ps = append(ps, stream.Partition{Stream: l.Stream, Number: n})
		}
	}
	return ps
}

func comparePartitions(a, b stream.Partition) int {
	return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Number, b.Number))
}

// violations are what is wrong with the offsets of a request.
type violations []stream.Violation

func (v *violations) add(index int, member, format string, args ...any) {
	*v = append(*v, stream.Violation{
		Pointer: fmt.Sprintf("#/offsets/%d/%s", index, member), Keyword: member, Detail: fmt.Sprintf(format, args...),
	})
}

func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	e := stream.Errorf(stream.InvalidRequest, "%s %s", v[0].Pointer, v[0].Detail)
	e.Violations = v
	return e
}
