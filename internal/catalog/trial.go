package catalog

import (
	"context"

	"sluice/internal/stream"
)

// Validate says whether Change could carry a change out now, and whether it
// would create the stream. Kafka is asked too, and nothing is changed. The
// errors are those of Change.
func (c *Catalog) Validate(ctx context.Context, id string, ch stream.Change) (creates bool, err error) {
	if err := c.Names.CheckID(id); err != nil {
		return false, err
	}
	w := wish{Change: ch}
	if w.settings, err = settingsOf(ch); err != nil {
		return false, err
	}
	if ch.Schema != nil {
		if _, err := c.Schemas.Schema(ctx, *ch.Schema); err != nil {
			return false, err
		}
	}
	if err := c.Bindings.Sync(ctx); err != nil {
		return false, err
	}
	t, err := c.Topics.Topic(ctx, c.Names.Topic(id))
	switch stream.CodeOf(err) {
	case "":
		return false, c.tryAlter(ctx, id, t, w)
	case stream.UnknownStream:
		return true, c.tryMake(ctx, id, w)
	default:
		return false, err
	}
}

func (c *Catalog) tryMake(ctx context.Context, id string, ch wish) error {
	if err := checkUnbound(ch.Change); err != nil {
		return err
	}
	_, err := c.Trial.Create(ctx, c.spec(id, ch))
	return err
}

func (c *Catalog) tryAlter(ctx context.Context, id string, t stream.Topic, ch wish) error {
	if err := checkAlter(t, ch.Change); err != nil {
		return err
	}
	if _, _, err := c.rebound(id, ch); err != nil {
		return err
	}
	if ch.Partitions != nil && *ch.Partitions > t.Partitions {
		if err := c.Trial.AddPartitions(ctx, t.Name, *ch.Partitions); err != nil {
			return err
		}
	}
	if t.Has(ch.settings) {
		return nil
	}
	return c.Trial.Configure(ctx, t.Name, ch.settings)
}
