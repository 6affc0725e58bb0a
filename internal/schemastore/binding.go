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

func (s *Store) applyBinding(e stream.Entry) error {
	id := strings.TrimPrefix(e.Entity, streamEntity)
	b := stream.Binding{Revision: e.Revision}
	if e.Value != nil {
		var stored storedBinding
		if err := json.Unmarshal(e.Value, &stored); err != nil {
			return err
		}
		ref, err := stream.ParseSchemaRef(stored.Schema)
		if err != nil {
			return err
		}
		b.Schema, b.Envelope = ref, stored.Envelope
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bindings[id] = b
	return nil
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
// schema is deleted at the same time.
func (s *Store) Bind(ctx context.Context, id string, b stream.Binding) (won bool, err error) {
	value, err := json.Marshal(storedBinding{b.Schema.String(), b.Envelope})
	if err != nil {
		return false, fmt.Errorf("bind %s: %w", id, err)
	}
	won, err = s.log.Write(ctx, streamEntity+id, b.Revision, value)
	if err != nil || !won {
		return won, err
	}
	if s.lookup(b.Schema) == nil {
		if _, err := s.log.Write(ctx, streamEntity+id, b.Revision+1, nil); err != nil {
			return false, err
		}
		return false, unknown(b.Schema)
	}
	return true, nil
}

// Unbind takes a stream's binding away, on top of the revision seen.
func (s *Store) Unbind(ctx context.Context, id string, seen int64) (won bool, err error) {
	return s.log.Write(ctx, streamEntity+id, seen, nil)
}
