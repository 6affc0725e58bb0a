package app

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/config"
	"sluice/internal/delivery"
	"sluice/internal/filter"
	"sluice/internal/follow"
	"sluice/internal/groups"
	"sluice/internal/httpapi"
	"sluice/internal/kafka"
	"sluice/internal/stream"
)

// reading is what readers need: the hub that all share, the members of
// consumer groups, and filters.
type reading struct {
	feeds   feeds
	members members
	filters *filter.Compiler
	readers *kafka.Readers
	offsets *kafka.Offsets // of groups without members
}

// newReading builds it in the order of its dependencies, and has it undone.
func (a *App) newReading(c config.Config, names stream.Topics, log *slog.Logger, registry prometheus.Registerer) (r reading, err error) {
	if r.filters, err = filter.New(registry); err != nil {
		return r, fmt.Errorf("prepare filters: %w", err)
	}
	r.readers = kafka.NewReaders(a.cluster, kafka.ReadersOptions{Topics: names})
	a.cleanups.push("page readers", func(context.Context) error { return r.readers.Close() })

	r.feeds.Hub = follow.New(follow.Options{
		Kafka: r.readers, OpenTail: func() (follow.Tail, error) { return kafka.NewTail(a.cluster, names) },
		FeedBytes: int(c.Limits.FeedBytes), CatchUpBytes: int(c.Limits.CatchUpBytes), Followers: c.Limits.Followers,
		Log: log, Registerer: registry,
	})
	a.cleanups.push("live readers", func(context.Context) error { r.feeds.Close(); return nil })

	r.offsets = kafka.NewOffsets(a.cluster, names)
	a.cleanups.push("group offsets", func(context.Context) error { r.offsets.Close(); return nil })
	commits := kafka.NewCommits(a.cluster, names)
	a.cleanups.push("commits", func(context.Context) error { commits.Close(); return nil })
	r.members.Groups = groups.New(groups.Options{
		Kafka: r.readers, Offsets: commits, Open: a.openMember(names), Members: c.Limits.GroupMembers,
		Log: log, Registerer: registry,
	})
	a.cleanups.push("group members", func(context.Context) error { r.members.Close(); return nil })
	return r, nil
}

// openMember opens a consumer of a group.
func (a *App) openMember(names stream.Topics) func(groups.Opening) (groups.Consumer, error) {
	return func(o groups.Opening) (groups.Consumer, error) {
		return kafka.NewMember(a.cluster, kafka.MemberOptions{
			Group: o.Group, Topics: names, CommitEvery: o.CommitEvery, Events: o.Events, Begin: o.Begin,
		})
	}
}

// groupAdmin shows and moves consumer groups, but for those of subscriptions.
func (r reading) groupAdmin(owner func(group string) string, log *slog.Logger) *groups.Admin {
	admin := kafka.NewGroups(r.offsets)
	return groups.NewAdmin(groups.AdminOptions{
		Kafka: r.readers, Directory: admin, Changes: admin, Progress: r.offsets, Owner: owner, Log: log,
		Elsewhere: func(o stream.GroupOffset, l stream.Layout) bool {
			_, ours := delivery.Mark(o, l)
			return !ours || kafka.CommittedElsewhere(o, l)
		},
	})
}

// drain ends the streams of all readers, who come back to another gateway.
func (r reading) drain() {
	r.feeds.Drain()
	r.members.Drain()
}

// feeds is the hub as the HTTP side sees it.
type feeds struct{ *follow.Hub }

// Follow gives a follower, or nil with the error.
func (f feeds) Follow(ctx context.Context, r stream.Reading, frames stream.Frames) (httpapi.Follower, error) {
	follower, err := f.Hub.Follow(ctx, r, frames)
	if err != nil {
		return nil, err
	}
	return follower, nil
}

// members are the members of groups as the HTTP side sees them.
type members struct{ *groups.Groups }

// Join gives a member, or nil with the error.
func (m members) Join(ctx context.Context, o stream.Membership, frames stream.Frames) (httpapi.Follower, error) {
	member, err := m.Groups.Join(ctx, o, frames)
	if err != nil {
		return nil, err
	}
	return member, nil
}
