package catalog

import (
	"context"

	"sluice/internal/stream"
)

// Resolve finds a record's stream and schema: the schema it names, else the
// bound one. A stream that does not exist is made when the record names a
// schema. An existing topic is never bound. Errors: UnknownStream,
// UnknownSchema, SchemaMismatch, UnboundStream, NameCollision, and InvalidRecord
// for a Plain record in a stream that stores envelopes.
func (c *Catalog) Resolve(ctx context.Context, rec *stream.Outgoing) (stream.Target, error) {
	if err := c.Names.CheckID(rec.Stream); err != nil {
		return stream.Target{}, err
	}
	b, bound := c.Bindings.Binding(rec.Stream)
	if !bound || !allowed(b, rec.Schema) || enveloped(b, rec) { // or memory is behind
		if err := c.Bindings.Sync(ctx); err != nil {
			return stream.Target{}, err
		}
		b, bound = c.Bindings.Binding(rec.Stream)
	}
	if bound {
		return c.target(ctx, rec, b)
	}
	_, err := c.Topics.Exists(ctx, c.Names.Topic(rec.Stream))
	switch stream.CodeOf(err) {
	case "":
		return c.resolveExisting(ctx, rec)
	case stream.UnknownStream:
		return c.found(ctx, rec, b)
	default:
		return stream.Target{}, err
	}
}

// resolveExisting is for a stream that was not bound when its topic was seen to
// exist. Whoever makes a stream binds it before it makes the topic, so that
// now the binding is there, unless the topic is somebody else's.
func (c *Catalog) resolveExisting(ctx context.Context, rec *stream.Outgoing) (stream.Target, error) {
	if err := c.Bindings.Sync(ctx); err != nil {
		return stream.Target{}, err
	}
	b, bound := c.Bindings.Binding(rec.Stream)
	if !bound {
		return stream.Target{}, unbound(rec.Stream)
	}
	return c.target(ctx, rec, b)
}

// Revive is for a record whose stream turned out to have no topic, though it
// may be bound: it makes the stream anew if the record names a schema, and
// otherwise fails with UnknownStream.
func (c *Catalog) Revive(ctx context.Context, rec *stream.Outgoing) (stream.Target, error) {
	if err := c.Bindings.Sync(ctx); err != nil {
		return stream.Target{}, err
	}
	topic := c.Names.Topic(rec.Stream)
	_, err := c.Topics.Exists(ctx, topic)
	switch {
	case err == nil:
		if err := c.Producer.Refresh(ctx, topic); err != nil {
			return stream.Target{}, missing(err, rec.Stream)
		}
		return c.Resolve(ctx, rec)
	case stream.CodeOf(err) != stream.UnknownStream:
		return stream.Target{}, err
	}
	b, bound := c.Bindings.Binding(rec.Stream)
	if bound { // whoever bound it may be still making it
		err := c.awaitTopic(ctx, rec.Stream, awaitBound)
		switch stream.CodeOf(err) {
		case "":
			return c.Resolve(ctx, rec)
		case stream.Overloaded:
		default:
			return stream.Target{}, err
		}
	}
	return c.found(ctx, rec, b)
}

// found makes the stream for its first record: bound to the schema that the
// record names, with that schema's retention, and without envelopes if the
// record must have none. Of several gateways that do so at the same time the one
// whose binding counts makes the topic.
func (c *Catalog) found(ctx context.Context, rec *stream.Outgoing, old stream.Binding) (stream.Target, error) {
	if rec.Schema.IsZero() || rec.Tombstone || !c.AutoCreate {
		return stream.Target{}, missing(stream.Errorf(stream.UnknownStream, "no topic"), rec.Stream)
	}
	v, err := c.Schemas.Schema(ctx, rec.Schema)
	if err != nil {
		return stream.Target{}, err
	}
	b := stream.Binding{Schema: rec.Schema, Envelope: !rec.Plain, Revision: old.Revision}
	won, err := c.Bindings.Bind(ctx, rec.Stream, b)
	if err != nil {
		return stream.Target{}, err
	}
	if won {
		spec := stream.TopicSpec{Name: c.Names.Topic(rec.Stream), Partitions: c.DefaultPartitions, Config: retentionOf(v)}
		if _, err := c.create(ctx, spec, b.Revision+1, !old.Schema.IsZero()); err != nil {
			return stream.Target{}, err
		}
	} else if err := c.awaitTopic(ctx, rec.Stream, awaitWon); err != nil {
		return stream.Target{}, err
	}
	return c.Resolve(ctx, rec)
}

// target applies the binding to the record.
func (c *Catalog) target(ctx context.Context, rec *stream.Outgoing, b stream.Binding) (stream.Target, error) {
	t := stream.Target{Topic: c.Names.Topic(rec.Stream), Envelope: b.Envelope}
	if !allowed(b, rec.Schema) {
		return t, stream.Errorf(stream.SchemaMismatch, "the stream is bound to %s, and takes no other schema", b.Schema).
			WithOutcome(stream.NotStored)
	}
	if rec.Tombstone {
		return t, nil
	}
	if enveloped(b, rec) {
		return t, stream.Errorf(stream.InvalidRecord,
			`the stream stores envelopes, and a CloudEvent's consumers expect the data alone: PUT /streams/%s {"envelope":false} first`, rec.Stream).
			WithOutcome(stream.NotStored)
	}
	ref := b.Schema
	if !rec.Schema.IsZero() {
		ref = rec.Schema
	}
	var err error
	t.Schema, err = rec.Newest.Find(ref, func(ref stream.SchemaRef) (stream.SchemaRef, error) {
		v, err := c.Schemas.Schema(ctx, ref)
		return v.Ref(), err
	})
	return t, err
}

// allowed says whether a binding takes a record that names a schema, or none.
func allowed(b stream.Binding, named stream.SchemaRef) bool {
	return named.IsZero() || b.Schema.Allows(named)
}

// enveloped says whether a binding would put a record into an envelope that
// must have none. A tombstone has no data to put anywhere.
func enveloped(b stream.Binding, rec *stream.Outgoing) bool {
	return rec.Plain && b.Envelope && !rec.Tombstone
}

func unbound(id string) error {
	return stream.Errorf(stream.UnboundStream,
		`the topic of the stream %q exists and is bound to no schema, and a publish does not bind it: do so by PUT /streams/%s {"schema":"Name:version"}`, id, id).
		WithOutcome(stream.NotStored)
}
