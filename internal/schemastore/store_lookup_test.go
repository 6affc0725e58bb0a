package schemastore_test

import (
	"errors"
	"testing"

	"sluice/internal/stream"
)

// Hits are answered from memory; misses and names without a version read the
// log to its end, once.
func TestLookupsReadTheLog(t *testing.T) {
	log := &sharedLog{}
	theirs, _ := newGateway(t, log)
	register(t, theirs, "Order", 0, integers)
	for _, tc := range []struct {
		ref   string
		syncs []int // of the first and of the second lookup
		code  stream.Code
	}{
		{"Order:1", []int{1, 0}, ""},
		{"Order", []int{1, 1}, ""},
		{"Order:2", []int{1, 1}, stream.UnknownSchema},
		{"Nothing", []int{1, 1}, stream.UnknownSchema},
	} {
		ours, g := newGateway(t, log)
		for i, want := range tc.syncs {
			g.syncs = 0
			_, err := ours.Schema(t.Context(), ref(t, tc.ref))
			wantCode(t, err, tc.code)
			if g.syncs != want {
				t.Errorf("%s, lookup %d: the log was read %d times, want %d", tc.ref, i+1, g.syncs, want)
			}
		}
	}
}

func TestLookupsWithoutKafka(t *testing.T) {
	log := &sharedLog{}
	s, g := newGateway(t, log)
	register(t, s, "Order", 0, integers)
	errDead := errors.New("no broker answers")
	g.dead = errDead
	ctx := t.Context()
	if _, err := s.Schema(ctx, ref(t, "Order:1")); err != nil {
		t.Errorf("a hit: %v", err)
	}
	for name, err := range map[string]error{
		"name":     errorOf(s.Schema(ctx, ref(t, "Order"))),
		"miss":     errorOf(s.Schema(ctx, ref(t, "Order:9"))),
		"list":     errorOf(s.List(ctx)),
		"versions": errorOf(s.Versions(ctx, "Order")),
		"delete":   s.Delete(ctx, ref(t, "Order:1")),
		"sync":     s.Sync(ctx),
	} {
		if !errors.Is(err, errDead) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestVersionsOfNothing(t *testing.T) {
	s, _ := newGateway(t, &sharedLog{})
	_, err := s.Versions(t.Context(), "Order")
	wantCode(t, err, stream.UnknownSchema)
	if all, err := s.List(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestResetForgets(t *testing.T) {
	s, _ := newGateway(t, &sharedLog{})
	register(t, s, "Order", 0, integers)
	mustBind(t, s, "orders", "Order:1")
	s.Reset()
	if _, bound := s.Binding("orders"); bound {
		t.Error("the binding is still there")
	}
	_, err := s.Schema(t.Context(), ref(t, "Order:1"))
	wantCode(t, err, stream.UnknownSchema)
}

// Entries that cannot be read change nothing, and yet later writes find their
// place after them.
func TestUnreadableEntriesArePassedOver(t *testing.T) {
	log := &sharedLog{}
	s, g := newGateway(t, log)
	register(t, s, "Order", 0, integers)
	mustBind(t, s, "orders", "Order:1")
	for _, e := range []stream.Entry{
		{Entity: "schema/Order/1", Revision: 2, Value: []byte(`nonsense`)},
		{Entity: "schema/Order/1", Revision: 3, Value: []byte(`{"schema":7,"retention_ms":"x"}`)},
		{Entity: "schema/Order/1", Revision: 4},
		{Entity: "schema/Order/1", Revision: 5, Value: []byte(`{}`)},
		{Entity: "schema/Order/2", Revision: 1, Value: []byte(`nonsense`)},
		{Entity: "schema/Order/x", Revision: 1, Value: []byte(`{"schema":{}}`)},
		{Entity: "schema/Order", Revision: 1, Value: []byte(`{"schema":{}}`)},
		{Entity: "stream/orders", Revision: 2, Value: []byte(`{"schema":":"}`)},
		{Entity: "stream/orders", Revision: 3, Value: []byte(`[]`)},
		{Entity: "stream/new", Revision: 1, Value: []byte(`[]`)},
		{Entity: "something/else", Revision: 1, Value: []byte(`{}`)},
	} {
		log.append(e, g)
	}
	if b, _ := s.Binding("orders"); b.Schema != ref(t, "Order:1") {
		t.Errorf("got %+v", b)
	}
	if err := s.Validate(t.Context(), ref(t, "Order:1"), []byte(`1`)); err != nil {
		t.Error(err)
	}
	mustBind(t, s, "orders", "Order")
	mustBind(t, s, "new", "Order")
	for _, id := range []string{"orders", "new"} {
		b, _ := s.Binding(id)
		if won, err := s.Unbind(t.Context(), id, b.Revision); !won || err != nil {
			t.Errorf("unbind %s: %v, %v", id, won, err)
		}
	}
	_, _, err := s.Register(t.Context(), stream.Registration{Name: "Order", Version: 2, Schema: []byte(texts)})
	wantCode(t, err, stream.SchemaConflict)
	if v := register(t, s, "Order", 0, texts); v.Version != 3 {
		t.Errorf("got version %d, want 3", v.Version)
	}
	if err := s.Delete(t.Context(), ref(t, "Order:1")); err != nil {
		t.Error(err)
	}
}

// A version is compiled once, also when its entry gets another revision.
func TestCompiledOnce(t *testing.T) {
	log := &sharedLog{}
	s, _ := newGateway(t, log)
	register(t, s, "Order", 0, integers)
	_, first, err := s.Validator(t.Context(), ref(t, "Order"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), ref(t, "Order")); err != nil {
		t.Fatal(err)
	}
	register(t, s, "Order", 1, integers)
	got, second, err := s.Validator(t.Context(), ref(t, "Order"))
	if err != nil || got != ref(t, "Order:1") {
		t.Fatal(got, err)
	}
	if first != second {
		t.Error("the version was compiled a second time")
	}
}

func TestValidate(t *testing.T) {
	s, _ := newGateway(t, &sharedLog{})
	register(t, s, "Order", 0, integers)
	register(t, s, "Order", 0, texts)
	for ref, want := range map[stream.SchemaRef]stream.Code{
		{Name: "Order", Version: 1}: stream.SchemaViolation,
		{Name: "Order", Version: 2}: "",
		{Name: "Order"}:             "",
		{Name: "Order", Version: 3}: stream.UnknownSchema,
	} {
		wantCode(t, s.Validate(t.Context(), ref, []byte(`"text"`)), want)
	}
}
