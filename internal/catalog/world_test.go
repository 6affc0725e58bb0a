package catalog_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/catalog"
	"sluice/internal/stream"
)

// world is a Kafka, a log of bindings and a schema store in memory. Others may
// change all of it; bindings show in memory only after Sync.
type world struct {
	mu      sync.Mutex
	topics  map[string]stream.Topic
	log     map[string]stream.Binding // what counts
	memory  map[string]stream.Binding // what this gateway has read
	schemas map[string]stream.SchemaVersion
	did     []string // what changed something, in order
	asked   []string // for which schemas

	fail   map[string]error  // by operation
	before map[string]func() // run once before an operation
}

func newWorld() *world {
	w := &world{
		topics: map[string]stream.Topic{}, log: map[string]stream.Binding{}, memory: map[string]stream.Binding{},
		schemas: map[string]stream.SchemaVersion{}, fail: map[string]error{}, before: map[string]func(){},
	}
	for _, name := range []string{"Order:1", "Order:2", "Order:3", "Other:1"} {
		ref, _ := stream.ParseSchemaRef(name)
		w.schemas[name] = stream.SchemaVersion{Name: ref.Name, Version: ref.Version}
	}
	return w
}

// enter is the beginning of each operation.
func (w *world) enter(ctx context.Context, operation string) error {
	w.mu.Lock()
	f := w.before[operation]
	delete(w.before, operation)
	w.mu.Unlock()
	if f != nil {
		f()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.fail[operation]
}

func (w *world) note(what ...string) {
	w.did = append(w.did, strings.Join(what, " "))
}

func missingTopic() error {
	return stream.Errorf(stream.UnknownStream, "the stream does not exist").WithOutcome(stream.NotStored)
}

func (w *world) Topics(ctx context.Context) ([]stream.Topic, error) {
	if err := w.enter(ctx, "topics"); err != nil {
		return nil, err
	}
	all := slices.Collect(maps.Values(w.topics))
	slices.SortFunc(all, func(a, b stream.Topic) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (w *world) Topic(ctx context.Context, name string) (stream.Topic, error) {
	return w.find(ctx, "topic", name)
}

func (w *world) Exists(ctx context.Context, name string) (stream.Topic, error) {
	return w.find(ctx, "exists", name)
}

func (w *world) find(ctx context.Context, operation, name string) (stream.Topic, error) {
	if err := w.enter(ctx, operation); err != nil {
		return stream.Topic{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.topics[name]
	if !ok {
		return t, missingTopic()
	}
	t.Config = maps.Clone(t.Config)
	return t, nil
}

func (w *world) Create(ctx context.Context, spec stream.TopicSpec) (bool, error) {
	if err := w.enter(ctx, "create"); err != nil {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, there := w.topics[spec.Name]; there {
		return false, nil
	}
	t := stream.Topic{Name: spec.Name, Partitions: max(spec.Partitions, 1), ReplicationFactor: max(spec.ReplicationFactor, 1), Config: map[string]string{}}
	maps.Copy(t.Config, spec.Config)
	w.topics[spec.Name] = t
	w.note("create", spec.Name)
	return true, nil
}

func (w *world) Delete(ctx context.Context, name string) error {
	if err := w.enter(ctx, "delete"); err != nil {
		return err
	}
	if _, there := w.topics[name]; !there {
		return missingTopic()
	}
	delete(w.topics, name)
	w.note("delete", name)
	return nil
}

func (w *world) AddPartitions(ctx context.Context, name string, n int) error {
	if err := w.enter(ctx, "partitions"); err != nil {
		return err
	}
	t := w.topics[name]
	t.Partitions = n
	w.topics[name] = t
	w.note("partitions", name)
	return nil
}

func (w *world) Configure(ctx context.Context, name string, settings map[string]*string) error {
	if err := w.enter(ctx, "configure"); err != nil {
		return err
	}
	for k, v := range settings {
		if v == nil {
			delete(w.topics[name].Config, k)
		} else {
			w.topics[name].Config[k] = *v
		}
	}
	w.note("configure", name)
	return nil
}

func (w *world) Sync(ctx context.Context) error {
	if err := w.enter(ctx, "sync"); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.memory = maps.Clone(w.log)
	return nil
}

func (w *world) Binding(id string) (stream.Binding, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.memory[id]
	return b, !b.Schema.IsZero()
}

func (w *world) Bindings() map[string]stream.Binding { return w.memory }

func (w *world) Bind(ctx context.Context, id string, b stream.Binding) (bool, error) {
	if err := w.enter(ctx, "bind"); err != nil {
		return false, err
	}
	return w.write(id, b), nil
}

func (w *world) Unbind(ctx context.Context, id string, seen int64) (bool, error) {
	if err := w.enter(ctx, "unbind"); err != nil {
		return false, err
	}
	return w.write(id, stream.Binding{Revision: seen}), nil
}

// write is a write to the log, after which memory is up to date.
func (w *world) write(id string, b stream.Binding) (won bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if won = w.log[id].Revision == b.Revision; won {
		b.Revision++
		w.log[id] = b
		w.note("bind", id, b.Schema.String())
	}
	w.memory = maps.Clone(w.log)
	return won
}

func (w *world) Schema(ctx context.Context, ref stream.SchemaRef) (stream.SchemaVersion, error) {
	if err := w.enter(ctx, "schema"); err != nil {
		return stream.SchemaVersion{}, err
	}
	w.asked = append(w.asked, ref.String())
	for n := 9; ref.Version == 0 && n > 0; n-- {
		if _, ok := w.schemas[stream.SchemaRef{Name: ref.Name, Version: n}.String()]; ok {
			ref.Version = n
		}
	}
	v, ok := w.schemas[ref.String()]
	if !ok {
		return v, stream.Errorf(stream.UnknownSchema, "there is no schema %s", ref)
	}
	return v, nil
}

func (w *world) Register(ctx context.Context, r stream.Registration) (v stream.SchemaVersion, created bool, err error) {
	if err := w.enter(ctx, "register"); err != nil {
		return v, false, err
	}
	v = stream.SchemaVersion{Name: r.Name, Version: r.Version}
	if r.Retention != nil {
		v.Retention = *r.Retention
	}
	_, there := w.schemas[v.Ref().String()]
	w.schemas[v.Ref().String()] = v
	w.note("register", v.Ref().String())
	return v, !there, nil
}

func (w *world) Made(ctx context.Context, topic string) error {
	w.note("made", topic)
	return w.enter(ctx, "made")
}

func (w *world) Refresh(ctx context.Context, topic string) error {
	w.note("refresh", topic)
	return w.enter(ctx, "refresh")
}

// theirs is what somebody else writes: memory does not have it yet.
func (w *world) theirs(id, schema string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := stream.Binding{Envelope: schema != "", Revision: w.log[id].Revision + 1}
	if schema != "" {
		b.Schema, _ = stream.ParseSchemaRef(schema)
	}
	w.log[id] = b
}

// theirTopic is one that somebody else makes.
func (w *world) theirTopic(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.topics["t."+id] = stream.Topic{Name: "t." + id, Partitions: 1, ReplicationFactor: 1, Config: map[string]string{}}
}

// stream makes a stream that everybody knows, bound or not.
func (w *world) stream(id, schema string) {
	w.theirTopic(id)
	if schema != "" {
		w.theirs(id, schema)
		w.memory = maps.Clone(w.log)
	}
}

func (w *world) catalog(t testing.TB, change ...func(*catalog.Options)) *catalog.Catalog {
	o := catalog.Options{
		Topics: w, Bindings: w, Schemas: w, Producer: w, Names: stream.Topics{Prefix: "t."},
		AutoCreate: true, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&o)
	}
	return catalog.New(o)
}

func (w *world) wantDid(t testing.TB, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, w.did); d != "" {
		t.Errorf("done (-want +got):\n%s", d)
	}
}

func (w *world) wantBound(t testing.TB, id, schema string) {
	t.Helper()
	if got := w.log[id].Schema.String(); got != schema {
		t.Errorf("%s is bound to %q, want %q", id, got, schema)
	}
}

func wantCode(t testing.TB, err error, want stream.Code) *stream.Error {
	t.Helper()
	if got := stream.CodeOf(err); got != want {
		t.Errorf("got code %q (%v), want %q", got, err, want)
	}
	var e *stream.Error
	errors.As(err, &e)
	return e
}

func ref(s string) *stream.SchemaRef {
	r, err := stream.ParseSchemaRef(s)
	if err != nil {
		panic(err)
	}
	return &r
}
