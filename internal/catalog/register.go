package catalog

import (
	"context"
	"errors"
	"fmt"

	"sluice/internal/stream"
)

// Register registers a schema version, and makes and binds the streams named
// with it. A stream that is bound to an earlier version moves on to this one;
// one bound to a later version, or to the newest, stays. Nothing is done when a
// stream has another schema. After any other error the same call again does the
// rest.
func (c *Catalog) Register(ctx context.Context, r stream.Registration) (v stream.SchemaVersion, created bool, err error) {
	if err := c.checkStreams(ctx, r); err != nil {
		return v, false, err
	}
	v, created, err = c.Schemas.Register(ctx, r)
	if err != nil {
		return v, false, err
	}
	for _, id := range r.Streams {
		if err := c.bindTo(ctx, id, v); err != nil {
			return v, created, halfDone(v, id, err)
		}
	}
	return v, created, nil
}

// checkStreams finds everything wrong with the registration's streams.
func (c *Catalog) checkStreams(ctx context.Context, r stream.Registration) error {
	if len(r.Streams) == 0 {
		return nil
	}
	if err := c.Bindings.Sync(ctx); err != nil {
		return err
	}
	var bad, other []stream.Violation
	for i, id := range r.Streams {
		at := fmt.Sprintf("#/streams/%d", i)
		if err := c.Names.CheckID(id); err != nil {
			bad = append(bad, stream.Violation{Pointer: at, Detail: message(err)})
		} else if b, bound := c.Bindings.Binding(id); bound && b.Schema.Name != r.Name {
			other = append(other, stream.Violation{Pointer: at, Detail: fmt.Sprintf("the stream is bound to %s", b.Schema)})
		}
	}
	if len(bad) > 0 {
		e := stream.Errorf(stream.InvalidRequest, "some of the streams have names that cannot be a stream's")
		e.Violations = bad
		return e
	}
	if len(other) > 0 {
		e := stream.Errorf(stream.SchemaMismatch, "some of the streams are bound to other schemas; nothing was registered")
		e.Violations = other
		return e
	}
	return nil
}

// bindTo makes a stream that is bound to a version, or binds the one there is.
func (c *Catalog) bindTo(ctx context.Context, id string, v stream.SchemaVersion) error {
	ref := v.Ref()
	change := wish{Change: stream.Change{Schema: &ref}, forward: true}
	if _, err := c.Topics.Exists(ctx, c.Names.Topic(id)); stream.CodeOf(err) == stream.UnknownStream && v.Retention != 0 {
		change.Retention = &v.Retention
	}
	_, _, err := c.carryOut(ctx, id, change)
	return err
}

// halfDone says in an error that the schema was registered all the same.
func halfDone(v stream.SchemaVersion, id string, err error) error {
	var e *stream.Error
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Message = fmt.Sprintf("%s is registered, but the stream %s is not bound to it: %s", v.Ref(), id, e.Message)
	return &told
}

func message(err error) string {
	if e, ok := errors.AsType[*stream.Error](err); ok {
		return e.Message
	}
	return err.Error()
}
