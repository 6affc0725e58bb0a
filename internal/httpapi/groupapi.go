package httpapi

import (
	"context"

	"sluice/internal/stream"
)

// GroupAdmin shows consumer groups, and moves and deletes them. What it shows
// and moves of a group is in streams that the caller in the context sees.
type GroupAdmin interface {
	GroupViews
	GroupChanges
}

// GroupViews shows consumer groups.
type GroupViews interface {
	// List gives the groups that the caller sees and the pattern selects,
	// sorted by id.
	List(ctx context.Context, pattern stream.Pattern) ([]stream.Group, error)
	// Describe gives one; the code is stream.UnknownGroup where there is none.
	Describe(ctx context.Context, id string) (stream.GroupReport, error)
}

// GroupChanges changes consumer groups. Of one with members the code is
// stream.GroupActive, of a subscription's stream.GroupInUse.
type GroupChanges interface {
	// Move sets offsets, all or none, and gives them.
	Move(ctx context.Context, id string, m stream.GroupMove) ([]stream.At, error)
	// Forget deletes the offsets in the streams of a pattern, and gives what
	// they were.
	Forget(ctx context.Context, id string, streams stream.Pattern) ([]stream.At, error)
	// Delete deletes the group.
	Delete(ctx context.Context, id string) error
}
