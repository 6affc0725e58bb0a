package groups

import (
	"context"
	"log/slog"
	"slices"

	"sluice/internal/stream"
)

// Directory knows all consumer groups, whoever's members they have.
type Directory interface {
	// List gives those whose ids keep wants, sorted by id, with their members.
	List(ctx context.Context, keep func(id string) bool) ([]stream.Group, error)
	// Describe gives one; the code is stream.UnknownGroup where there is none.
	Describe(ctx context.Context, id string) (stream.Group, error)
}

// Changes changes groups that have no members; of others the code is
// stream.GroupActive.
type Changes interface {
	// Set makes offsets the group's.
	Set(ctx context.Context, id string, offsets []stream.GroupOffset) error
	// Forget deletes the group's offsets in partitions.
	Forget(ctx context.Context, id string, ps []stream.Partition) error
	// Delete deletes the group with all its offsets.
	Delete(ctx context.Context, id string) error
}

// Progress is what groups have committed.
type Progress interface {
	// Committed gives a group's offsets with their metadata, none for one that
	// nobody knows.
	Committed(ctx context.Context, group string) ([]stream.GroupOffset, error)
}

// AdminOptions is what an Admin needs.
type AdminOptions struct {
	Kafka     Kafka
	Directory Directory
	Changes   Changes
	Progress  Progress
	// Elsewhere says of an offset whether it was committed in an earlier
	// stream of that name, as far as its metadata tells.
	Elsewhere func(o stream.GroupOffset, l stream.Layout) bool
	// Owner gives the subscription whose group it is; "" where it is nobody's.
	Owner func(group string) string
	Log   *slog.Logger
}

// Admin shows consumer groups, of the gateway's readers and of ordinary Kafka
// consumers, and moves and deletes them. Of a group's streams it shows and moves
// those that the caller in the context may see. Whether the caller may use the
// group at all is asked before, but for List, which leaves the others out. It
// may be used by any number of goroutines.
type Admin struct {
	o   AdminOptions
	log *slog.Logger
	all stream.Pattern
}

// NewAdmin makes one.
func NewAdmin(o AdminOptions) *Admin {
	all, _ := stream.ParsePattern("*") // cannot fail
	return &Admin{o: o, log: o.Log.With(slog.String("component", "groups")), all: all}
}

// List gives the groups whose ids the pattern selects, sorted by id. Those of
// the gateways' own are never among them. Errors: Forbidden, KafkaUnavailable,
// Overloaded.
func (a *Admin) List(ctx context.Context, pattern stream.Pattern) ([]stream.Group, error) {
	c := stream.CallerOf(ctx)
	return a.o.Directory.List(ctx, func(id string) bool {
		return pattern.Match(id) && (c == nil || c.SeesGroup(id))
	})
}

// Describe gives a group, and how far it has come in each partition in which it
// has committed or that a member reads. Streams that do not exist any more are
// left out. Errors: InvalidRequest for an id that cannot be a group's,
// UnknownGroup, Forbidden, KafkaUnavailable, Overloaded.
func (a *Admin) Describe(ctx context.Context, id string) (stream.GroupReport, error) {
	if err := CheckGroup(id); err != nil {
		return stream.GroupReport{}, err
	}
	g, err := a.o.Directory.Describe(ctx, id)
	if err != nil {
		return stream.GroupReport{}, err
	}
	committed, err := a.o.Progress.Committed(ctx, id)
	if err != nil {
		return stream.GroupReport{}, err
	}
	report := stream.GroupReport{Group: hide(ctx, g)}
	report.Partitions, err = a.progress(ctx, report.Group, committed)
	for _, p := range report.Partitions {
		report.Lag += max(p.Lag, 0)
	}
	return report, err
}

// hide counts what members read of streams that the caller may not see, and
// names it no more.
func hide(ctx context.Context, g stream.Group) stream.Group {
	g.Members = slices.Clone(g.Members)
	for i := range g.Members {
		m := &g.Members[i]
		n := len(m.Assignment)
		m.Assignment = slices.DeleteFunc(slices.Clone(m.Assignment), func(p stream.Partition) bool { return !sees(ctx, p.Stream) })
		m.Others += n - len(m.Assignment)
	}
	return g
}

func sees(ctx context.Context, id string) bool {
	c := stream.CallerOf(ctx)
	return c == nil || c.Sees(id)
}

// place is what is known of a group in one partition.
type place struct {
	committed *stream.GroupOffset // nil: nothing
	member    string
}

// progress says how far a group has come.
func (a *Admin) progress(ctx context.Context, g stream.Group, committed []stream.GroupOffset) ([]stream.GroupProgress, error) {
	places := map[stream.Partition]place{}
	for i, o := range committed {
		if sees(ctx, o.Stream) {
			places[o.Partition] = place{committed: &committed[i]}
		}
	}
	for _, m := range g.Members {
		for _, p := range m.Assignment {
			at := places[p]
			at.member = m.ID
			places[p] = at
		}
	}
	layouts, err := a.layouts(ctx, streamsOf(places))
	if err != nil {
		return nil, err
	}
	var all []stream.GroupProgress
	for _, l := range layouts {
		for n := range int32(l.Partitions) {
			at, known := places[stream.Partition{Stream: l.Stream, Number: n}]
			if !known {
				continue
			}
			p := stream.GroupProgress{Partition: stream.Partition{Stream: l.Stream, Number: n}, Committed: -1, Lag: -1, Member: at.member}
			if at.committed != nil && !a.o.Elsewhere(*at.committed, l) {
				p.Committed = at.committed.Offset
			}
			all = append(all, p)
		}
	}
	return all, a.measure(ctx, all)
}

// measure fills in ends and lags. An offset beyond the end, in a stream that
// was made anew or has lost records, says nothing of what a reader would get.
func (a *Admin) measure(ctx context.Context, all []stream.GroupProgress) error {
	if len(all) == 0 {
		return nil
	}
	ps := make([]stream.Partition, len(all))
	for i := range all {
		ps[i] = all[i].Partition
	}
	bounds, err := a.o.Kafka.Bounds(ctx, ps)
	if err != nil {
		return err
	}
	for i, b := range bounds {
		p := &all[i]
		p.End = b.End
		if p.Committed >= 0 && p.Committed <= b.End {
			p.Lag = b.End - max(p.Committed, b.Begin)
		}
	}
	return nil
}

func streamsOf(places map[stream.Partition]place) []string {
	var ids []string
	for p := range places {
		ids = append(ids, p.Stream)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// askedByName is how many streams are asked for one by one, rather than all
// there are.
const askedByName = 16

// layouts gives what those of the streams are now that there are.
func (a *Admin) layouts(ctx context.Context, ids []string) ([]stream.Layout, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	pattern := a.all
	if len(ids) <= askedByName {
		var named []stream.Pattern
		for _, id := range ids {
			p, err := stream.ParsePattern(id)
			if err != nil {
				return nil, err
			}
			named = append(named, p)
		}
		pattern = stream.JoinPatterns(named...)
	}
	layouts, err := a.o.Kafka.Layouts(ctx, pattern)
	return slices.DeleteFunc(slices.Clone(layouts), func(l stream.Layout) bool { return !slices.Contains(ids, l.Stream) }), err
}

// Delete deletes a group with all its offsets. Errors: InvalidRequest,
// UnknownGroup, GroupActive, GroupInUse for a subscription's, Forbidden,
// KafkaUnavailable, Overloaded.
func (a *Admin) Delete(ctx context.Context, id string) error {
	if _, err := a.idle(ctx, id); err != nil {
		return err
	}
	if err := a.o.Changes.Delete(ctx, id); err != nil {
		return err
	}
	a.log.Info("consumer group deleted", slog.String("group", id))
	return nil
}

// Forget deletes what a group has committed in the streams of a pattern, and
// gives what that was. Errors are those of Delete.
func (a *Admin) Forget(ctx context.Context, id string, pattern stream.Pattern) ([]stream.At, error) {
	if _, err := a.idle(ctx, id); err != nil {
		return nil, err
	}
	committed, err := a.o.Progress.Committed(ctx, id)
	if err != nil {
		return nil, err
	}
	var ps []stream.Partition
	var gone []stream.At
	for _, o := range committed {
		if pattern.Match(o.Stream) && sees(ctx, o.Stream) {
			ps = append(ps, o.Partition)
			gone = append(gone, stream.At{Partition: o.Partition, Offset: o.Offset})
		}
	}
	if len(ps) == 0 {
		return nil, nil
	}
	if err := a.o.Changes.Forget(ctx, id, ps); err != nil {
		return nil, err
	}
	a.log.Info("offsets of a consumer group deleted", slog.String("group", id), slog.Int("partitions", len(ps)))
	return gone, nil
}

// idle gives a group that may be changed: it exists, is no subscription's, and
// has no members. Kafka looks again when it is changed.
func (a *Admin) idle(ctx context.Context, id string) (stream.Group, error) {
	if err := CheckGroup(id); err != nil {
		return stream.Group{}, err
	}
	if owner := a.o.Owner(id); owner != "" {
		return stream.Group{}, stream.Errorf(stream.GroupInUse, "the group %q holds the offsets of the subscription %q; use POST /subscriptions/%s/position to move it, and DELETE /subscriptions/%s to end it", id, owner, owner, owner)
	}
	g, err := a.o.Directory.Describe(ctx, id)
	if err == nil && len(g.Members) > 0 {
		err = stream.Errorf(stream.GroupActive, "the consumer group %q has %d members: end the programs that read in it, at this gateway or elsewhere, and try again when GET /groups/{id} shows no members", id, len(g.Members))
	}
	return g, err
}
