package schemastore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/internal/stream"
)

// Log is the replicated log that the store lives in.
type Log interface {
	// Sync returns when the state holds all that was written before the call.
	Sync(ctx context.Context) error
	// Write stores an entity's value on top of the revision seen; won is false
	// when somebody else was faster.
	Write(ctx context.Context, entity string, seen int64, value []byte) (won bool, err error)
}

// Store holds all schema versions and bindings in memory, kept up to date by
// its log. Lookups that hit answer from memory; misses, names without a version
// and changes first read the log to its end. It may be used by any number of
// goroutines.
type Store struct {
	log    Log
	logger *slog.Logger

	mu       sync.RWMutex
	schemas  map[string]map[int]*version
	bindings map[string]stream.Binding
}

// version is a registered schema version; it does not change once it is in the
// map, but is replaced by its next revision.
type version struct {
	stream.SchemaVersion

	deleted   bool
	revision  int64
	validator func() (*Validator, error) // compiles once
}

// storedVersion is how a schema version lies in the log. A deleted one keeps
// its schema: records name it for ever, so its number stays taken.
type storedVersion struct {
	Schema      json.RawMessage `json:"schema"`
	RetentionMs int64           `json:"retention_ms,omitempty"` // 0: the broker's; negative: for ever
	Registered  time.Time       `json:"registered"`
	Deleted     bool            `json:"deleted,omitempty"`
}

// The kinds of entities in the log.
const (
	schemaEntity = "schema/"
	streamEntity = "stream/"
)

// New makes a store in the log that open gives for its state.
func New(logger *slog.Logger, open func(stream.State) Log) *Store {
	s := &Store{logger: logger.With(slog.String("component", "schemastore"))}
	s.Reset()
	s.log = open(s)
	return s
}

// Reset is for the log: everything is read anew.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schemas = map[string]map[int]*version{}
	s.bindings = map[string]stream.Binding{}
}

// Apply is for the log: it takes an entity's new state.
func (s *Store) Apply(e stream.Entry) {
	var err error
	switch {
	case strings.HasPrefix(e.Entity, schemaEntity):
		err = s.applySchema(e)
	case strings.HasPrefix(e.Entity, streamEntity):
		err = s.applyBinding(e)
	}
	if err != nil {
		s.logger.Error("an entry of the log cannot be read; it is passed over", slog.String("entity", e.Entity), slog.Any("error", err))
	}
}

func (s *Store) applySchema(e stream.Entry) error {
	name, number, _ := strings.Cut(strings.TrimPrefix(e.Entity, schemaEntity), "/")
	n, err := stream.ParseVersion(number)
	if err != nil {
		return err
	}
	var stored storedVersion
	err = json.Unmarshal(e.Value, &stored)
	if err == nil && stored.Schema == nil {
		err = errors.New("it holds no schema")
	}
	if err != nil {
		s.passOver(name, n, e.Revision)
		return err
	}
	v := &version{
		SchemaVersion: stream.SchemaVersion{
			Name: name, Version: n, Schema: stored.Schema,
			Retention:  time.Duration(stored.RetentionMs) * time.Millisecond,
			Registered: stored.Registered,
		},
		deleted:   stored.Deleted,
		revision:  e.Revision,
		validator: sync.OnceValues(func() (*Validator, error) { return Compile(stored.Schema) }),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.schemas[name][n]; old != nil && EqualJSON(old.Schema, v.Schema) {
		v.validator = old.validator
	}
	s.put(v)
	return nil
}

// passOver leaves a version as it was before an entry that cannot be read, and
// takes on the entry's revision all the same: writes on top of an older one
// would lose for ever. A version of which nothing else is known is taken.
func (s *Store) passOver(name string, n int, revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := version{SchemaVersion: stream.SchemaVersion{Name: name, Version: n}, deleted: true}
	if old := s.schemas[name][n]; old != nil {
		v = *old
	}
	v.revision = revision
	s.put(&v)
}

// put files a version. The lock is held.
func (s *Store) put(v *version) {
	if s.schemas[v.Name] == nil {
		s.schemas[v.Name] = map[int]*version{}
	}
	s.schemas[v.Name][v.Version] = v
}

// Schema gives a version, the newest where ref names none. The error is
// UnknownSchema when there is none.
func (s *Store) Schema(ctx context.Context, ref stream.SchemaRef) (stream.SchemaVersion, error) {
	v, err := s.find(ctx, ref)
	if err != nil {
		return stream.SchemaVersion{}, err
	}
	return v.SchemaVersion, nil
}

// Versions gives all versions of a schema, the oldest first. The error is
// UnknownSchema when there is none.
func (s *Store) Versions(ctx context.Context, name string) ([]stream.SchemaVersion, error) {
	all, err := s.list(ctx, name)
	if err == nil && len(all) == 0 {
		err = unknown(stream.SchemaRef{Name: name})
	}
	return all, err
}

// List gives all versions of all schemas, sorted by name and version.
func (s *Store) List(ctx context.Context) ([]stream.SchemaVersion, error) {
	return s.list(ctx, "")
}

func (s *Store) list(ctx context.Context, only string) ([]stream.SchemaVersion, error) {
	if err := s.log.Sync(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []stream.SchemaVersion
	for name, versions := range s.schemas {
		for _, v := range versions {
			if !v.deleted && (only == "" || only == name) {
				all = append(all, v.SchemaVersion)
			}
		}
	}
	slices.SortFunc(all, func(a, b stream.SchemaVersion) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return all, nil
}

// Validate checks data against a version, the newest where ref names none, as a
// publish would. Errors: UnknownSchema, and those of Validator.Validate.
func (s *Store) Validate(ctx context.Context, ref stream.SchemaRef, data []byte) error {
	_, v, err := s.Validator(ctx, ref)
	if err != nil {
		return err
	}
	return v.Validate(data)
}

// Validator gives the compiled schema that ref names, and the version that it
// is. The error is UnknownSchema when there is none.
func (s *Store) Validator(ctx context.Context, ref stream.SchemaRef) (stream.SchemaRef, *Validator, error) {
	v, err := s.find(ctx, ref)
	if err != nil {
		return stream.SchemaRef{}, nil, err
	}
	compiled, err := v.validator()
	return v.Ref(), compiled, err
}

// find looks in memory, and after a miss, or for a name without a version, once
// more when the log was read to its end.
func (s *Store) find(ctx context.Context, ref stream.SchemaRef) (*version, error) {
	if ref.Version != 0 {
		if v := s.lookup(ref); v != nil {
			return v, nil
		}
	}
	if err := s.log.Sync(ctx); err != nil {
		return nil, err
	}
	if v := s.lookup(ref); v != nil {
		return v, nil
	}
	return nil, unknown(ref)
}

// lookup finds a version that is not deleted in memory, or nil.
func (s *Store) lookup(ref stream.SchemaRef) *version {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if ref.Version != 0 {
		if v := s.schemas[ref.Name][ref.Version]; v != nil && !v.deleted {
			return v
		}
		return nil
	}
	return s.newest(ref.Name)
}

// newest finds the highest version that is not deleted. The lock is held.
func (s *Store) newest(name string) *version {
	var newest *version
	for _, v := range s.schemas[name] {
		if !v.deleted && (newest == nil || v.Version > newest.Version) {
			newest = v
		}
	}
	return newest
}

func versionEntity(ref stream.SchemaRef) string {
	return schemaEntity + ref.Name + "/" + strconv.Itoa(ref.Version)
}

func unknown(ref stream.SchemaRef) error {
	return stream.Errorf(stream.UnknownSchema, "there is no schema %s; GET /schemas lists those there are", ref)
}
