package groups

import (
	"context"
	"time"

	"sluice/internal/stream"
)

// Kafka is what is asked of Kafka about streams.
type Kafka interface {
	// Layouts gives the streams that a pattern selects, sorted. Ids that do
	// not exist are left out.
	Layouts(ctx context.Context, p stream.Pattern) ([]stream.Layout, error)
	Bounds(ctx context.Context, ps []stream.Partition) ([]stream.Bounds, error)
	// OffsetsAt gives the first offsets at or after a time, the end where
	// there are none.
	OffsetsAt(ctx context.Context, ps []stream.Partition, at time.Time) ([]int64, error)
}

// Offsets are those that groups have committed.
type Offsets interface {
	// Committed gives a group's, none for one that nobody knows.
	Committed(ctx context.Context, group string) ([]stream.At, error)
	// Commit makes a position a group's, in those of the streams that it
	// knows.
	Commit(ctx context.Context, group string, layouts []stream.Layout, p stream.Position) error
}

// Events is told what a consumer learns, from within its Poll and Close.
type Events interface {
	Record(l stream.Layout, r *stream.Record)
	Gap(l stream.Layout, g stream.Gap)
	// Revoked takes partitions that are given up when the call returns.
	Revoked(ps []stream.Partition)
}

// Consumer is one of Kafka's, a member of a group. One goroutine uses it.
type Consumer interface {
	// SetStreams says what is shared, and how those streams are now.
	SetStreams(layouts []stream.Layout) error
	// Poll waits at most d for one event. An error ends the membership.
	Poll(d time.Duration) error
	// Store notes that a partition is done with up to an offset, to be
	// committed.
	Store(p stream.Partition, topicID string, offset int64)
	// Hold stops records from coming, and lets them come again.
	Hold(hold bool) error
	// Close commits what was stored, and leaves the group.
	Close() error
}

// Opening asks for a consumer.
type Opening struct {
	Group       string
	CommitEvery time.Duration // 0: it commits nothing by itself
	Events      Events
	// Begin gives where a partition begins for which nothing was committed:
	// negative is its beginning; earlier says that the offset is one in an
	// earlier stream of that name. Nil: all begin at their beginning.
	Begin func(l stream.Layout, partition int32) (offset int64, earlier bool)
}
