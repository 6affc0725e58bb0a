package kafka

import (
	"context"

	"sluice/internal/stream"
)

// Trial asks the broker whether it would make a change, as Admin makes it: the
// broker checks, by its own rules and its policies, and changes nothing. The
// errors are those of Admin.
type Trial struct{ admin *Admin }

// NewTrial makes one with the rights and the defaults of a.
func NewTrial(a *Admin) Trial { return Trial{a} }

// Create says whether a topic could be made; created is false, without an
// error, when there is one of that name.
func (t Trial) Create(ctx context.Context, spec stream.TopicSpec) (created bool, err error) {
	return t.admin.create(ctx, spec, true)
}

// AddPartitions says whether the number of a topic's partitions could be n.
func (t Trial) AddPartitions(ctx context.Context, name string, n int) error {
	return t.admin.addPartitions(ctx, name, n, true)
}

// Configure says whether a topic could have these settings.
func (t Trial) Configure(ctx context.Context, name string, settings map[string]*string) error {
	return t.admin.configure(ctx, name, settings, true)
}
