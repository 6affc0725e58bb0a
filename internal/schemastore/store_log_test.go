package schemastore_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// sharedLog is a replicated log in memory: several gateways write to it, each
// of which sees what it has read.
type sharedLog struct {
	mu      sync.Mutex
	entries []stream.Entry
}

// gateway is one follower of the log.
type gateway struct {
	log    *sharedLog
	state  stream.State
	before func(entity string) // called once before the next write, without locks
	dead   error               // what Sync fails with
	syncs  int

	mu   sync.Mutex
	read int              // entries applied
	revs map[string]int64 // the revision that counts, by entity
}

func newGateway(t testing.TB, log *sharedLog) (*schemastore.Store, *gateway) {
	t.Helper()
	g := &gateway{log: log, revs: map[string]int64{}}
	s := schemastore.New(slog.New(slog.NewTextHandler(t.Output(), nil)), func(state stream.State) schemastore.Log {
		g.state = state
		return g
	})
	return s, g
}

// Sync reads the log to its end.
func (g *gateway) Sync(ctx context.Context) error {
	g.syncs++
	if g.dead != nil {
		return g.dead
	}
	g.catchUp()
	return ctx.Err()
}

// catchUp applies what was written since; the highest revision wins, and within
// it the first.
func (g *gateway) catchUp() {
	g.log.mu.Lock()
	entries := g.log.entries
	g.log.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	for ; g.read < len(entries); g.read++ {
		if e := entries[g.read]; e.Revision > g.revs[e.Entity] {
			g.revs[e.Entity] = e.Revision
			g.state.Apply(e)
		}
	}
}

// Write appends, and tells whether the entry counted when it was read.
func (g *gateway) Write(ctx context.Context, entity string, seen int64, value []byte) (won bool, err error) {
	if f := g.before; f != nil {
		g.before = nil
		f(entity)
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return g.log.append(stream.Entry{Entity: entity, Revision: seen + 1, Value: value}, g), nil
}

// append puts an entry at the end, lets g read it, and says whether it won.
func (l *sharedLog) append(e stream.Entry, g *gateway) (won bool) {
	l.mu.Lock()
	won = true
	for _, other := range l.entries {
		won = won && (other.Entity != e.Entity || other.Revision < e.Revision)
	}
	l.entries = append(l.entries, e)
	l.mu.Unlock()
	g.catchUp()
	return won
}

// written gives how many entries the log has.
func (l *sharedLog) written() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

const (
	integers = `{"type":"integer"}`
	texts    = `{"type":"string"}`
	bools    = `{"type":"boolean"}`
)

func register(t testing.TB, s *schemastore.Store, name string, version int, schema string) stream.SchemaVersion {
	t.Helper()
	v, _, err := s.Register(t.Context(), stream.Registration{Name: name, Version: version, Schema: []byte(schema)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func ref(t testing.TB, s string) stream.SchemaRef {
	t.Helper()
	r, err := stream.ParseSchemaRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantCode(t testing.TB, err error, want stream.Code) {
	t.Helper()
	if got := stream.CodeOf(err); got != want {
		t.Errorf("got code %q (%v), want %q", got, err, want)
	}
}
