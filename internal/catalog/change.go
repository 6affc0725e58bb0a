package catalog

import (
	"context"
	"errors"
	"maps"

	"sluice/internal/stream"
)

// The topic settings that have a member of their own in a change.
const (
	settingRetention = "retention.ms"
	settingCleanup   = "cleanup.policy"
)

// Change creates a stream or changes it; members left out stay, or are the
// defaults. created says which it was. A change is carried out step by step
// (binding, partitions, settings): after an error the earlier ones hold, and
// the same call again does the rest. Errors: InvalidRequest, SchemaMismatch
// when the stream has another schema, UnknownSchema, NameCollision.
func (c *Catalog) Change(ctx context.Context, id string, ch stream.Change) (info stream.Info, created bool, err error) {
	return c.carryOut(ctx, id, wish{Change: ch})
}

// wish is a change as it was asked for.
type wish struct {
	stream.Change
	settings map[string]*string // of the topic, all together
	forward  bool               // a stream keeps a later version of the schema than this
}

func (c *Catalog) carryOut(ctx context.Context, id string, ch wish) (info stream.Info, created bool, err error) {
	if err := c.Names.CheckID(id); err != nil {
		return info, false, err
	}
	if ch.settings, err = settingsOf(ch.Change); err != nil {
		return info, false, err
	}
	if ch.Schema != nil {
		if _, err := c.Schemas.Schema(ctx, *ch.Schema); err != nil {
			return info, false, err
		}
	}
	for {
		created, err = c.change(ctx, id, ch)
		if !errors.Is(err, errMeanwhile) {
			break
		}
	}
	if err != nil {
		return info, false, err
	}
	info, err = c.Describe(ctx, id)
	return info, created, err
}

// errMeanwhile says that somebody else changed the stream at the same time, so
// that the change has to be looked at anew.
var errMeanwhile = errors.New("the stream was changed meanwhile")

func (c *Catalog) change(ctx context.Context, id string, ch wish) (created bool, err error) {
	if err := c.Bindings.Sync(ctx); err != nil {
		return false, err
	}
	t, err := c.Topics.Topic(ctx, c.Names.Topic(id))
	switch stream.CodeOf(err) {
	case "":
		return false, c.alter(ctx, id, t, ch)
	case stream.UnknownStream:
		return true, c.make(ctx, id, ch)
	default:
		return false, err
	}
}

// make creates the topic of a stream, bound first where a schema is given. A
// binding that an earlier stream of that name left behind does not count.
func (c *Catalog) make(ctx context.Context, id string, ch wish) error {
	spec := c.spec(id, ch)
	if ch.Schema == nil {
		return c.makeUnbound(ctx, id, ch, spec)
	}
	b, _ := c.Bindings.Binding(id)
	won, err := c.Bindings.Bind(ctx, id, stream.Binding{Schema: *ch.Schema, Envelope: ch.Envelope == nil || *ch.Envelope, Revision: b.Revision})
	if err != nil {
		return err
	}
	if !won {
		return errMeanwhile
	}
	created, err := c.create(ctx, spec, b.Revision+1, true)
	if err == nil && !created {
		err = errMeanwhile // the topic is bound now, and has settings of its own
	}
	return err
}

// spec gives the topic of a new stream.
func (c *Catalog) spec(id string, ch wish) stream.TopicSpec {
	spec := stream.TopicSpec{Name: c.Names.Topic(id), Partitions: c.DefaultPartitions, Config: map[string]string{}}
	if ch.Partitions != nil {
		spec.Partitions = *ch.Partitions
	}
	if ch.ReplicationFactor != nil {
		spec.ReplicationFactor = *ch.ReplicationFactor
	}
	for k, v := range ch.settings {
		if v != nil {
			spec.Config[k] = *v
		}
	}
	return spec
}

func (c *Catalog) makeUnbound(ctx context.Context, id string, ch wish, spec stream.TopicSpec) error {
	if err := checkUnbound(ch.Change); err != nil {
		return err
	}
	if _, err := c.unbind(ctx, id); err != nil {
		return err
	}
	created, err := c.Topics.Create(ctx, spec)
	switch {
	case err != nil:
		return err
	case !created:
		return errMeanwhile
	}
	return c.Producer.Made(ctx, spec.Name)
}

// checkUnbound refuses what only a stream with a schema can have.
func checkUnbound(ch stream.Change) error {
	if ch.Schema == nil && ch.Envelope != nil {
		return stream.Errorf(stream.InvalidRequest, "`envelope` says how a schema's records are stored: it needs `schema`")
	}
	return nil
}

// alter changes a stream that exists.
func (c *Catalog) alter(ctx context.Context, id string, t stream.Topic, ch wish) error {
	if err := checkAlter(t, ch.Change); err != nil {
		return err
	}
	if err := c.rebind(ctx, id, ch); err != nil {
		return err
	}
	if ch.Partitions != nil && *ch.Partitions > t.Partitions {
		if err := c.Topics.AddPartitions(ctx, t.Name, *ch.Partitions); err != nil {
			return err
		}
		if err := c.Producer.Refresh(ctx, t.Name); err != nil {
			return err
		}
	}
	if !t.Has(ch.settings) {
		if err := c.Topics.Configure(ctx, t.Name, ch.settings); err != nil {
			return err
		}
		return c.Producer.Refresh(ctx, t.Name)
	}
	return nil
}

func checkAlter(t stream.Topic, ch stream.Change) error {
	if ch.Partitions != nil && *ch.Partitions < t.Partitions {
		return stream.Errorf(stream.InvalidRequest, "the stream has %d partitions, and their number can only grow", t.Partitions)
	}
	if ch.ReplicationFactor != nil && *ch.ReplicationFactor != t.ReplicationFactor {
		return stream.Errorf(stream.InvalidRequest, "the stream's replication factor is %d, and is changed by reassigning partitions with Kafka's own tools", t.ReplicationFactor)
	}
	return nil
}

// rebind binds an existing stream, or moves it to another version of its
// schema, or changes how its records are stored from now on.
func (c *Catalog) rebind(ctx context.Context, id string, ch wish) error {
	b, changed, err := c.rebound(id, ch)
	if err != nil || !changed {
		return err
	}
	won, err := c.Bindings.Bind(ctx, id, b)
	if err == nil && !won {
		err = errMeanwhile
	}
	return err
}

// rebound gives the binding that an existing stream is to have, and whether it
// is another one.
func (c *Catalog) rebound(id string, ch wish) (b stream.Binding, changed bool, err error) {
	old, bound := c.Bindings.Binding(id)
	b = old
	if !bound {
		b.Envelope = true
	}
	if ch.Schema != nil && (!ch.forward || !later(old.Schema, *ch.Schema)) {
		b.Schema = *ch.Schema
	}
	if ch.Envelope != nil {
		b.Envelope = *ch.Envelope
	}
	switch {
	case b == old || !bound && ch.Schema == nil && ch.Envelope == nil:
		return old, false, nil
	case b.Schema.IsZero():
		return b, false, stream.Errorf(stream.InvalidRequest, "`envelope` says how a schema's records are stored: it needs `schema`, for the stream is bound to none")
	case bound && !old.Schema.Allows(b.Schema):
		return b, false, stream.Errorf(stream.SchemaMismatch, "the stream is bound to %s, and a stream keeps its schema; it can only move to another version", old.Schema)
	}
	return b, true, nil
}

// later says whether a is the newest version, or a later one, of b's schema.
func later(a, b stream.SchemaRef) bool {
	return a.Allows(b) && (a.Version == 0 || a.Version > b.Version)
}

// settingsOf gives the topic settings that a change asks for.
func settingsOf(ch stream.Change) (map[string]*string, error) {
	settings := maps.Clone(ch.Config)
	if settings == nil {
		settings = map[string]*string{}
	}
	for key, value := range map[string]*string{settingCleanup: ch.CleanupPolicy, settingRetention: retentionSetting(ch)} {
		if value == nil {
			continue
		}
		if _, twice := settings[key]; twice {
			return nil, stream.Errorf(stream.InvalidRequest, "%s is given twice: in `config`, and as a member of its own", key)
		}
		settings[key] = value
	}
	return settings, nil
}

func retentionSetting(ch stream.Change) *string {
	if ch.Retention == nil {
		return nil
	}
	ms := retentionMs(*ch.Retention)
	return &ms
}

// outcomeOf gives what an error says of its outcome.
func outcomeOf(err error) stream.Outcome {
	if e, ok := errors.AsType[*stream.Error](err); ok {
		return e.Outcome
	}
	return stream.OutcomeUnclear
}
