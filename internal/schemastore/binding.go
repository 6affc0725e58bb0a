package schemastore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"sluice/internal/stream"
)

// storedBinding is how a binding lies in the log.
type storedBinding struct {
	Schema   string `json:"schema"`
	Envelope bool   `json:"envelope"`
}

// applyBinding takes a binding's new state. One that cannot be read leaves the
// binding as it was, but for the revision: writes on top of an older one would
// lose for ever.
func (s *Store) applyBinding(e stream.Entry) error {
	id := strings.TrimPrefix(e.Entity, streamEntity)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := parseBinding(e.Value)
	if err != nil {
		b = s.bindings[id]
	}
	b.Revision = e.Revision
	s.bindings[id] = b
	return err
}

// parseBinding reads a stored binding; nil is none.
func parseBinding(value []byte) (b stream.Binding, err error) {
	if value == nil {
		return b, nil
	}
	var stored storedBinding
	if err := json.Unmarshal(value, &stored); err != nil {
		return b, err
	}
	b.Schema, err = stream.ParseSchemaRef(stored.Schema)
	b.Envelope = stored.Envelope
	return b, err
}

// Binding gives a stream's binding as it is in memory; bound is false where
// there is none, then the binding still holds the revision.
func (s *Store) Binding(id string) (b stream.Binding, bound bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b = s.bindings[id]
	return b, !b.Schema.IsZero()
}

// Bindings gives all bindings by stream id.
func (s *Store) Bindings() map[string]stream.Binding {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := maps.Clone(s.bindings)
	maps.DeleteFunc(all, func(_ string, b stream.Binding) bool { return b.Schema.IsZero() })
	return all
}

// Sync returns when memory holds all that was written, by any gateway, before
// the call.
func (s *Store) Sync(ctx context.Context) error { return s.log.Sync(ctx) }

// Bind binds a stream, on top of the revision in b; won is false when somebody
// else has changed the binding since. The error is UnknownSchema when the
// schema is deleted at the same time; then the stream is bound as it was before.
func (s *Store) Bind(ctx context.Context, id string, b stream.Binding) (won bool, err error) {
	before, _ := s.Binding(id)
	if won, err = s.bind(ctx, id, b); err != nil || !won {
		return won, err
	}
	if s.lookup(b.Schema) != nil {
		return true, nil
	}
	if before.Revision != b.Revision || s.lookup(before.Schema) == nil {
		before = stream.Binding{}
	}
	before.Revision = b.Revision + 1
	// Even when the client has gone: bound to no schema the stream takes no records.
	if _, err := s.bind(context.WithoutCancel(ctx), id, before); err != nil {
		return false, err
	}
	return false, unknown(b.Schema)
}

// bind writes a binding, whatever has become of its schema.
func (s *Store) bind(ctx context.Context, id string, b stream.Binding) (won bool, err error) {
	if b.Schema.IsZero() {
		return s.Unbind(ctx, id, b.Revision)
	}
	value, err := json.Marshal(storedBinding{b.Schema.String(), b.Envelope})
	if err != nil {
		return false, fmt.Errorf("bind %s: %w", id, err)
	}
	return s.log.Write(ctx, streamEntity+id, b.Revision, value)
}

// Unbind takes a stream's binding away, on top of the revision seen.
func (s *Store) Unbind(ctx context.Context, id string, seen int64) (won bool, err error) {
	return s.log.Write(ctx, streamEntity+id, seen, nil)
}
