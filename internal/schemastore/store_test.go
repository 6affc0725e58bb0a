package schemastore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

func TestRegisterNumbersAndRepeats(t *testing.T) {
	log := &sharedLog{}
	s, _ := newGateway(t, log)
	for i, tc := range []struct {
		version int
		schema  string
		want    int
		created bool
		code    stream.Code
	}{
		{0, integers, 1, true, ""},
		{0, ` { "type" : "integer" } `, 1, false, ""}, // the same, as JSON
		{1, integers, 1, false, ""},
		{0, texts, 2, true, ""},
		{0, integers, 1, false, ""},
		{2, integers, 0, false, stream.SchemaConflict},
		{7, integers, 7, true, ""},  // numbers may be left out, and schemas repeat
		{0, integers, 7, false, ""}, // the newest of those that are equal
		{0, bools, 8, true, ""},
		{9, `{"type":7}`, 0, false, stream.InvalidSchema},
	} {
		before := log.written()
		v, created, err := s.Register(t.Context(), stream.Registration{Name: "Order", Version: tc.version, Schema: []byte(tc.schema)})
		if stream.CodeOf(err) != tc.code || created != tc.created || err == nil && v.Version != tc.want {
			t.Errorf("%d: got %d, %v, %v; want %d, %v, %q", i, v.Version, created, err, tc.want, tc.created, tc.code)
		}
		if !tc.created && log.written() != before {
			t.Errorf("%d: the log grew", i)
		}
	}
	if _, _, err := s.Register(t.Context(), stream.Registration{Name: "a b", Schema: []byte(integers)}); stream.CodeOf(err) != stream.InvalidRequest {
		t.Errorf("a bad name: got %v", err)
	}
}

// A schema that was kept for ever, or for a time, is so after it was read back,
// here and by other gateways, and after it was deleted and registered again.
func TestRegisterKeepsRetention(t *testing.T) {
	for _, retention := range []time.Duration{0, -1, -time.Hour, 36 * time.Hour, 1500 * time.Millisecond} {
		log := &sharedLog{}
		s, _ := newGateway(t, log)
		r := stream.Registration{Name: "Order", Schema: []byte(integers), Retention: &retention}
		if _, _, err := s.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		other, _ := newGateway(t, log)
		v, err := other.Schema(t.Context(), ref(t, "Order:1"))
		if err != nil {
			t.Fatal(err)
		}
		if v.Retention != retention && (v.Retention >= 0 || retention >= 0) {
			t.Errorf("got retention %v, want %v", v.Retention, retention)
		}
		if age := time.Since(v.Registered); age < 0 || age > time.Hour {
			t.Errorf("registered %v ago", age)
		}
	}
}

// Another gateway takes the number between our look and our write.
func TestRegisterLosesTheRace(t *testing.T) {
	for _, tc := range []struct {
		name, theirs string
		version      int
		want         int
		created      bool
		code         stream.Code
	}{
		{"another schema, no number asked for", texts, 0, 2, true, ""},
		{"the same schema", integers, 0, 1, false, ""},
		{"another schema under the number", texts, 1, 0, false, stream.SchemaConflict},
		{"the same under the number", integers, 1, 1, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := &sharedLog{}
			ours, g := newGateway(t, log)
			theirs, _ := newGateway(t, log)
			g.before = func(string) { register(t, theirs, "Order", 0, tc.theirs) }
			v, created, err := ours.Register(t.Context(), stream.Registration{Name: "Order", Version: tc.version, Schema: []byte(integers)})
			if stream.CodeOf(err) != tc.code || created != tc.created || err == nil && v.Version != tc.want {
				t.Errorf("got %d, %v, %v", v.Version, created, err)
			}
		})
	}
}

// Many gateways register different schemas at the same time: each gets a number
// of its own, and no number stays free.
func TestRegisterConcurrently(t *testing.T) {
	const gateways = 8
	log := &sharedLog{}
	var all sync.WaitGroup
	var mu sync.Mutex
	numbers := map[int]string{}
	for i := range gateways {
		s, _ := newGateway(t, log)
		all.Go(func() {
			for j := range 5 {
				schema := fmt.Sprintf(`{"minimum":%d,"maximum":%d}`, i, j)
				v, created, err := s.Register(context.Background(), stream.Registration{Name: "Order", Schema: []byte(schema)})
				mu.Lock()
				if numbers[v.Version] != "" || !created || err != nil {
					t.Errorf("got version %d for %s and for %s, created %v, error %v", v.Version, schema, numbers[v.Version], created, err)
				}
				numbers[v.Version] = schema
				mu.Unlock()
			}
		})
	}
	all.Wait()
	s, _ := newGateway(t, log)
	versions, err := s.Versions(t.Context(), "Order")
	if err != nil || len(versions) != gateways*5 {
		t.Fatalf("got %d versions, error %v", len(versions), err)
	}
	for i, v := range versions {
		if v.Version != i+1 || string(v.Schema) != numbers[v.Version] {
			t.Errorf("got %d %s, want %d %s", v.Version, v.Schema, i+1, numbers[i+1])
		}
	}
}

func TestDelete(t *testing.T) {
	log := &sharedLog{}
	s, _ := newGateway(t, log)
	register(t, s, "Order", 0, integers)
	register(t, s, "Order", 0, texts)
	if err := s.Delete(t.Context(), ref(t, "Order")); err != nil { // the newest
		t.Fatal(err)
	}
	_, err := s.Schema(t.Context(), ref(t, "Order:2"))
	wantCode(t, err, stream.UnknownSchema)
	if v, err := s.Schema(t.Context(), ref(t, "Order")); err != nil || v.Version != 1 {
		t.Errorf("newest: got %v, %v", v.Version, err)
	}
	wantCode(t, s.Delete(t.Context(), ref(t, "Order:2")), stream.UnknownSchema)
	// Records name it for ever, so its number stays taken.
	_, _, err = s.Register(t.Context(), stream.Registration{Name: "Order", Version: 2, Schema: []byte(bools)})
	wantCode(t, err, stream.SchemaConflict)
	if v := register(t, s, "Order", 0, bools); v.Version != 3 {
		t.Errorf("got version %d, want 3", v.Version)
	}
	// The same schema brings it back.
	v, created, err := s.Register(t.Context(), stream.Registration{Name: "Order", Version: 2, Schema: []byte(texts)})
	if v.Version != 2 || !created || err != nil {
		t.Errorf("got %d, %v, %v", v.Version, created, err)
	}
	if err := s.Validate(t.Context(), ref(t, "Order:2"), []byte(`"text"`)); err != nil {
		t.Error(err)
	}
	all, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"Order:1", "Order:2", "Order:3"}, refs(all)); d != "" {
		t.Error(d)
	}
}

// Of two deletions of the newest version at the same time the second does not
// go on to the version before.
func TestDeleteNewestTwice(t *testing.T) {
	log := &sharedLog{}
	ours, g := newGateway(t, log)
	theirs, _ := newGateway(t, log)
	register(t, ours, "Order", 0, integers)
	register(t, ours, "Order", 0, texts)
	g.before = func(string) {
		if err := theirs.Delete(t.Context(), ref(t, "Order")); err != nil {
			t.Error(err)
		}
	}
	wantCode(t, ours.Delete(t.Context(), ref(t, "Order")), stream.UnknownSchema)
	if v, err := ours.Schema(t.Context(), ref(t, "Order")); err != nil || v.Version != 1 {
		t.Errorf("got %v, %v", v.Version, err)
	}
}

func TestDeleteInUse(t *testing.T) {
	s, _ := newGateway(t, &sharedLog{})
	register(t, s, "Order", 0, integers)
	register(t, s, "Order", 0, texts)
	mustBind(t, s, "newest", "Order")
	mustBind(t, s, "first", "Order:1")
	wantCode(t, s.Delete(t.Context(), ref(t, "Order:1")), stream.SchemaInUse)
	if err := s.Delete(t.Context(), ref(t, "Order:2")); err != nil {
		t.Fatal(err)
	}
	b, _ := s.Binding("first")
	if won, err := s.Unbind(t.Context(), "first", b.Revision); !won || err != nil {
		t.Fatal(won, err)
	}
	wantCode(t, s.Delete(t.Context(), ref(t, "Order:1")), stream.SchemaInUse) // the last one of Order
}

// A stream is bound to the version while it is being deleted, by a client that
// goes away at once: the deletion is taken back all the same.
func TestDeleteIsUndoneWhenABindingRaced(t *testing.T) {
	log := &sharedLog{}
	ours, g := newGateway(t, log)
	theirs, _ := newGateway(t, log)
	register(t, ours, "Order", 0, integers)
	g.before = func(string) {
		if err := theirs.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		mustBind(t, theirs, "orders", "Order:1")
		g.before = nil
	}
	wantCode(t, ours.Delete(t.Context(), ref(t, "Order:1")), stream.SchemaInUse)
	for _, s := range []*schemastore.Store{ours, theirs} {
		if _, err := s.Schema(t.Context(), ref(t, "Order")); err != nil {
			t.Error(err)
		}
	}
}

func TestDeleteIsUndoneForAClientThatHasGone(t *testing.T) {
	log := &sharedLog{}
	ours, g := newGateway(t, log)
	theirs, other := newGateway(t, log)
	register(t, ours, "Order", 0, integers)
	ctx, cancel := context.WithCancel(t.Context())
	g.before = func(string) {
		_ = theirs.Sync(t.Context())
		mustBind(t, theirs, "orders", "Order:1")
		g.state = goneAfter{g.state, cancel}
	}
	wantCode(t, ours.Delete(ctx, ref(t, "Order:1")), stream.SchemaInUse)
	other.catchUp()
	if _, err := theirs.Schema(t.Context(), ref(t, "Order:1")); err != nil {
		t.Error(err)
	}
}

// goneAfter cancels a request as soon as something new is read.
type goneAfter struct {
	stream.State
	cancel context.CancelFunc
}

func (g goneAfter) Apply(e stream.Entry) {
	g.State.Apply(e)
	g.cancel()
}

func mustBind(t testing.TB, s *schemastore.Store, id, schema string) {
	t.Helper()
	b, _ := s.Binding(id)
	b.Schema, b.Envelope = ref(t, schema), true
	if won, err := s.Bind(t.Context(), id, b); !won || err != nil {
		t.Fatalf("bind %s: %v, %v", id, won, err)
	}
}

func refs(all []stream.SchemaVersion) []string {
	var names []string
	for _, v := range all {
		names = append(names, v.Ref().String())
	}
	return names
}
