package schemastore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sluice/internal/stream"
)

// Register stores a schema version. It is idempotent: the same schema, compared
// as JSON, under the same version, or without a version number, is the one that
// is there already, and created is false. Several gateways may register at the
// same time. Streams named in the registration are not the store's business.
// Errors: InvalidSchema; SchemaConflict when the version is another schema's.
func (s *Store) Register(ctx context.Context, r stream.Registration) (v stream.SchemaVersion, created bool, err error) {
	if err := stream.CheckSchemaName(r.Name); err != nil {
		return v, false, err
	}
	if _, err := Compile(r.Schema); err != nil {
		return v, false, err
	}
	for {
		if err := s.log.Sync(ctx); err != nil {
			return v, false, err
		}
		slot, done, err := s.slot(r)
		if err != nil || done {
			return slot.SchemaVersion, false, err
		}
		value, err := json.Marshal(slot.stored(false))
		if err != nil {
			return v, false, fmt.Errorf("register %s: %w", slot.Ref(), err)
		}
		won, err := s.log.Write(ctx, versionEntity(slot.Ref()), slot.revision, value)
		if won || err != nil {
			return slot.SchemaVersion, won, err
		}
	}
}

// slot says where a registration belongs: to the version that is there already
// (done), or to a free one, with the revision it has to be written on.
func (s *Store) slot(r stream.Registration) (slot version, done bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	slot = version{SchemaVersion: stream.SchemaVersion{
		Name: r.Name, Version: r.Version, Schema: r.Schema, Registered: time.Now().UTC().Truncate(time.Millisecond),
	}}
	if r.Retention != nil {
		slot.Retention = *r.Retention
	}
	if r.Version == 0 {
		if same := s.equal(r); same != nil {
			return *same, true, nil
		}
		slot.Version = s.nextVersion(r.Name)
		return slot, false, nil
	}
	taken := s.schemas[r.Name][r.Version]
	switch {
	case taken == nil:
		return slot, false, nil
	case !EqualJSON(taken.Schema, r.Schema):
		return slot, false, conflict(taken)
	case taken.deleted:
		slot.revision = taken.revision
		return slot, false, nil
	}
	return *taken, true, nil
}

// equal finds the newest version that holds the same schema. The lock is held.
func (s *Store) equal(r stream.Registration) *version {
	var found *version
	for _, v := range s.schemas[r.Name] {
		if !v.deleted && (found == nil || v.Version > found.Version) && EqualJSON(v.Schema, r.Schema) {
			found = v
		}
	}
	return found
}

// nextVersion gives the number after the highest there ever was. The lock is
// held.
func (s *Store) nextVersion(name string) int {
	highest := 0
	for n := range s.schemas[name] {
		highest = max(highest, n)
	}
	return highest + 1
}

func (v *version) stored(deleted bool) storedVersion {
	stored := storedVersion{
		Schema: v.Schema, RetentionMs: v.Retention.Milliseconds(), Registered: v.Registered, Deleted: deleted,
	}
	if v.Retention < 0 {
		stored.RetentionMs = -1 // for ever; a few nanoseconds less than nothing are no millisecond
	}
	return stored
}

func conflict(taken *version) error {
	if taken.Schema == nil {
		return stream.Errorf(stream.SchemaConflict, "%s is taken by an entry of the log that this gateway cannot read; register the schema under another version, or leave the version out", taken.Ref())
	}
	if taken.deleted {
		return stream.Errorf(stream.SchemaConflict, "%s was deleted, and its number stays taken, for records may name it; register the schema under another version", taken.Ref())
	}
	return stream.Errorf(stream.SchemaConflict, "%s is another schema, and versions never change; register yours under another version, or leave the version out", taken.Ref())
}

// Delete deletes a version, the newest where ref names none. Which one that is
// gets decided once: of two deletions of the newest at the same time the second
// does not go on to the one before. Errors: UnknownSchema; SchemaInUse while a
// stream is bound to it.
func (s *Store) Delete(ctx context.Context, ref stream.SchemaRef) error {
	for {
		if err := s.log.Sync(ctx); err != nil {
			return err
		}
		v := s.lookup(ref)
		if v == nil {
			return unknown(ref)
		}
		ref = v.Ref()
		if err := s.inUse(v); err != nil {
			return err
		}
		won, err := s.write(ctx, v, v.revision, true)
		if err != nil {
			return err
		}
		if won {
			return s.undoIfBound(ctx, v)
		}
	}
}

// undoIfBound takes a deletion back when a stream was bound to the version
// meanwhile. The log has one order, so that of a binding and a deletion at the
// same time at least one sees the other. It is done even when the client has
// gone: a stream bound to a deleted version would take no records.
func (s *Store) undoIfBound(ctx context.Context, v *version) error {
	used := s.inUse(v)
	if used == nil {
		return nil
	}
	if _, err := s.write(context.WithoutCancel(ctx), v, v.revision+1, false); err != nil {
		return err
	}
	return used
}

func (s *Store) write(ctx context.Context, v *version, seen int64, deleted bool) (won bool, err error) {
	value, err := json.Marshal(v.stored(deleted))
	if err != nil {
		return false, fmt.Errorf("write %s: %w", v.Ref(), err)
	}
	return s.log.Write(ctx, versionEntity(v.Ref()), seen, value)
}

// inUse gives a SchemaInUse error when a stream is bound to the version, or to
// the schema's newest version and this is the last one.
func (s *Store) inUse(v *version) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	others := 0
	for n, o := range s.schemas[v.Name] {
		if n != v.Version && !o.deleted {
			others++
		}
	}
	for id, b := range s.bindings {
		if b.Schema == v.Ref() || b.Schema.Name == v.Name && b.Schema.Version == 0 && others == 0 {
			return stream.Errorf(stream.SchemaInUse, "the stream %s is bound to %s; bind it to another version or delete it first", id, b.Schema)
		}
	}
	return nil
}
