package catalog_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/catalog"
	"sluice/internal/stream"
)

// world is a Kafka and a schema store of one stream, in memory: its memory is
// behind until it is synchronized.
type world struct {
	catalog.Topics
	catalog.Producer

	topic   bool
	stored  stream.Binding // what the log has
	binding stream.Binding // what memory has
}

func (w *world) Exists(context.Context, string) (stream.Topic, error) {
	if !w.topic {
		return stream.Topic{}, stream.Errorf(stream.UnknownStream, "m")
	}
	return stream.Topic{}, nil
}

func (w *world) Create(context.Context, stream.TopicSpec) (bool, error) {
	w.topic = true
	return true, nil
}

func (w *world) Made(context.Context, string) error { return nil }

// bindings is the world's log of bindings.
type bindings struct {
	catalog.Bindings
	*world
}

func (b bindings) Sync(context.Context) error {
	b.binding = b.stored
	return nil
}

func (b bindings) Binding(string) (stream.Binding, bool) {
	return b.binding, !b.binding.Schema.IsZero()
}

func (b bindings) Bind(_ context.Context, _ string, as stream.Binding) (bool, error) {
	as.Revision++
	b.stored, b.binding = as, as
	return true, nil
}

type schemas struct{ catalog.Schemas }

func (schemas) Schema(_ context.Context, ref stream.SchemaRef) (stream.SchemaVersion, error) {
	return stream.SchemaVersion{Name: ref.Name, Version: 1}, nil
}

func (w *world) catalog() *catalog.Catalog {
	return catalog.New(catalog.Options{
		Topics: w, Bindings: bindings{world: w}, Schemas: schemas{}, Producer: w,
		AutoCreate: true, Log: slog.New(slog.DiscardHandler),
	})
}

var order = stream.SchemaRef{Name: "Order", Version: 1}

// A stream is made as its first record needs it.
func TestFirstRecordDecidesAboutTheEnvelope(t *testing.T) {
	for _, plain := range []bool{true, false} {
		w := &world{}
		target, err := w.catalog().Resolve(t.Context(), &stream.Outgoing{Stream: "s", Schema: order, Plain: plain})
		want := stream.Target{Topic: "s", Schema: order, Envelope: !plain}
		if diff := cmp.Diff(want, target); err != nil || diff != "" {
			t.Errorf("plain %v: %v %s", plain, err, diff)
		}
		if w.stored.Envelope == plain {
			t.Errorf("plain %v: bound as %+v", plain, w.stored)
		}
	}
}

func TestPlainRecordsNeedAStreamWithoutEnvelopes(t *testing.T) {
	enveloped := stream.Binding{Schema: order, Envelope: true, Revision: 1}
	w := &world{topic: true, stored: enveloped, binding: enveloped}
	c := w.catalog()
	rec := &stream.Outgoing{Stream: "s", Plain: true}
	_, err := c.Resolve(t.Context(), rec)
	if stream.CodeOf(err) != stream.InvalidRecord || !strings.Contains(err.Error(), `PUT /streams/s {"envelope":false}`) {
		t.Error(err)
	}
	if _, err := c.Resolve(t.Context(), &stream.Outgoing{Stream: "s", Plain: true, Tombstone: true}); err != nil {
		t.Errorf("a tombstone has nothing to envelop: %v", err)
	}
	if target, err := c.Resolve(t.Context(), &stream.Outgoing{Stream: "s"}); err != nil || !target.Envelope {
		t.Errorf("%+v %v", target, err)
	}
	// Another gateway has followed the advice, and memory does not know it yet.
	w.stored.Envelope = false
	if target, err := c.Resolve(t.Context(), rec); err != nil || target.Envelope {
		t.Errorf("%+v %v", target, err)
	}
}
