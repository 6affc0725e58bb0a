// Package catalog knows the streams: which topics there are, which schema each
// is bound to, and how both are made, changed and deleted together.
//
// It stores nothing itself: topics are Kafka's, bindings the schema store's. It
// publishes and reads no records.
package catalog

import (
	"context"
	"log/slog"

	"sluice/internal/stream"
)

// Topics administers Kafka's topics.
type Topics interface {
	Topics(ctx context.Context) ([]stream.Topic, error)
	Topic(ctx context.Context, name string) (stream.Topic, error)
	Exists(ctx context.Context, name string) (stream.Topic, error)
	Create(ctx context.Context, spec stream.TopicSpec) (created bool, err error)
	Delete(ctx context.Context, name string) error
	AddPartitions(ctx context.Context, name string, n int) error
	Configure(ctx context.Context, name string, settings map[string]*string) error
}

// Trial asks Kafka whether it would make a change, which it does not.
type Trial interface {
	Create(ctx context.Context, spec stream.TopicSpec) (created bool, err error)
	AddPartitions(ctx context.Context, name string, n int) error
	Configure(ctx context.Context, name string, settings map[string]*string) error
}

// Bindings keeps which stream has which schema. Binding and Bindings answer
// from memory, which Sync brings up to date.
type Bindings interface {
	Sync(ctx context.Context) error
	Binding(id string) (b stream.Binding, bound bool)
	Bindings() map[string]stream.Binding
	Bind(ctx context.Context, id string, b stream.Binding) (won bool, err error)
	Unbind(ctx context.Context, id string, seen int64) (won bool, err error)
}

// Schemas finds and registers schema versions.
type Schemas interface {
	Schema(ctx context.Context, ref stream.SchemaRef) (stream.SchemaVersion, error)
	Register(ctx context.Context, r stream.Registration) (v stream.SchemaVersion, created bool, err error)
}

// Producer publishes to the topics, and keeps in mind what it knows of them.
type Producer interface {
	// Made tells it that a topic was just made.
	Made(ctx context.Context, topic string) error
	// Refresh tells it to look at a topic anew.
	Refresh(ctx context.Context, topic string) error
}

// Options is what a Catalog needs.
type Options struct {
	Topics            Topics
	Trial             Trial
	Bindings          Bindings
	Schemas           Schemas
	Names             stream.Topics
	DefaultPartitions int  // for new streams; 0: the broker's
	AutoCreate        bool // a publish that names a schema makes the stream
	Producer          Producer
	Log               *slog.Logger
}

// Catalog is the streams of one topic prefix. It may be used by any number of
// goroutines, in any number of gateways.
type Catalog struct {
	Options
}

// New makes a catalog.
func New(o Options) *Catalog {
	o.Log = o.Log.With(slog.String("component", "catalog"))
	return &Catalog{o}
}

// List gives the streams that a pattern selects, sorted by id, without their
// settings.
func (c *Catalog) List(ctx context.Context, p stream.Pattern) ([]stream.Info, error) {
	if err := c.Bindings.Sync(ctx); err != nil {
		return nil, err
	}
	topics, err := c.Topics.Topics(ctx)
	if err != nil {
		return nil, err
	}
	streams := []stream.Info{}
	for _, t := range topics {
		if id, ok := c.Names.Stream(t.Name); ok && p.Match(id) {
			streams = append(streams, c.info(id, t))
		}
	}
	return streams, nil
}

// Describe gives a stream with its settings. The error is UnknownStream when
// there is none.
func (c *Catalog) Describe(ctx context.Context, id string) (stream.Info, error) {
	if err := c.Names.CheckID(id); err != nil {
		return stream.Info{}, err
	}
	if err := c.Bindings.Sync(ctx); err != nil {
		return stream.Info{}, err
	}
	t, err := c.Topics.Topic(ctx, c.Names.Topic(id))
	if err != nil {
		return stream.Info{}, missing(err, id)
	}
	return c.info(id, t), nil
}

func (c *Catalog) info(id string, t stream.Topic) stream.Info {
	b, _ := c.Bindings.Binding(id)
	return stream.Info{
		ID: id, Schema: b.Schema, Envelope: b.Envelope,
		Partitions: t.Partitions, ReplicationFactor: t.ReplicationFactor, Config: t.Config,
	}
}

// Delete deletes a stream and its records, and returns when the topic is gone.
// The stream is unbound first, so that nothing is published to it meanwhile; if
// Kafka refuses the deletion it is bound again. The error is UnknownStream when
// there is none.
func (c *Catalog) Delete(ctx context.Context, id string) error {
	if err := c.Names.CheckID(id); err != nil {
		return err
	}
	old, err := c.unbind(ctx, id)
	if err != nil {
		return err
	}
	err = c.Topics.Delete(ctx, c.Names.Topic(id))
	switch wasBound := !old.Schema.IsZero(); {
	case err == nil:
		return nil
	case stream.CodeOf(err) == stream.UnknownStream && wasBound:
		return nil // only the binding was left of it
	case stream.CodeOf(err) != stream.UnknownStream && wasBound && outcomeOf(err) != stream.OutcomeUnclear:
		c.putBack(ctx, id, old)
	}
	return missing(err, id)
}

// putBack binds a stream again as it was. If that fails it stays unbound, which
// the next deletion or a PUT mends.
func (c *Catalog) putBack(ctx context.Context, id string, old stream.Binding) {
	old.Revision++ // of the unbinding
	if _, err := c.Bindings.Bind(context.WithoutCancel(ctx), id, old); err != nil {
		c.Log.Warn("cannot put a binding back", slog.String("stream", id), slog.Any("error", err))
	}
}

// unbind takes the binding away, whoever else changes it meanwhile, and gives
// the one it took, zero where there was none.
func (c *Catalog) unbind(ctx context.Context, id string) (old stream.Binding, err error) {
	for {
		if err := c.Bindings.Sync(ctx); err != nil {
			return old, err
		}
		b, bound := c.Bindings.Binding(id)
		if !bound {
			return old, nil
		}
		won, err := c.Bindings.Unbind(ctx, id, b.Revision)
		if err != nil {
			return old, err
		}
		old = b
		if won {
			return old, nil
		}
	}
}

// missing says in an UnknownStream error what to do about it.
func missing(err error, id string) error {
	if stream.CodeOf(err) != stream.UnknownStream {
		return err
	}
	return stream.Errorf(stream.UnknownStream,
		"there is no stream %q; make it by PUT /streams/%s, or by publishing to it with ?schema=Name:version", id, id).
		WithOutcome(stream.NotStored).Because(err)
}
