package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// cleanups undoes what setup did, the last first.
type cleanups struct {
	log   *slog.Logger
	steps []cleanup
}

type cleanup struct {
	name string
	undo func(context.Context) error
}

func (c *cleanups) push(name string, undo func(context.Context) error) {
	c.steps = append(c.steps, cleanup{name, undo})
}

// run carries out all steps, whatever fails; a second call does nothing.
func (c *cleanups) run(ctx context.Context) error {
	var errs []error
	for len(c.steps) > 0 {
		last := len(c.steps) - 1
		step := c.steps[last]
		c.steps = c.steps[:last]
		c.log.Debug("stopping", slog.String("step", step.name))
		if err := step.undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop the %s: %w", step.name, err))
		}
	}
	return errors.Join(errs...)
}
