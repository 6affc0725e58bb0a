package schemastore_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

func TestBind(t *testing.T) {
	log := &sharedLog{}
	ours, _ := newGateway(t, log)
	theirs, _ := newGateway(t, log)
	register(t, ours, "Order", 0, integers)
	if b, bound := ours.Binding("orders"); bound || b.Revision != 0 {
		t.Errorf("got %+v", b)
	}
	mustBind(t, ours, "orders", "Order:1")
	// Theirs has not seen it, and loses.
	won, err := theirs.Bind(t.Context(), "orders", stream.Binding{Schema: ref(t, "Order")})
	if won || err != nil {
		t.Errorf("got %v, %v", won, err)
	}
	want := stream.Binding{Schema: ref(t, "Order:1"), Envelope: true, Revision: 1}
	if b, bound := theirs.Binding("orders"); !bound || b != want {
		t.Errorf("got %+v", b)
	}
	if d := cmp.Diff(map[string]stream.Binding{"orders": want}, theirs.Bindings()); d != "" {
		t.Error(d)
	}
	if won, err := theirs.Unbind(t.Context(), "orders", 1); !won || err != nil {
		t.Errorf("got %v, %v", won, err)
	}
	if won, err := ours.Unbind(t.Context(), "orders", 1); won || err != nil {
		t.Errorf("a second time: got %v, %v", won, err)
	}
	if b, bound := ours.Binding("orders"); bound || b.Revision != 2 {
		t.Errorf("got %+v; the revision must be kept", b)
	}
	if got := ours.Bindings(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// The schema is deleted before the binding is written: the stream is bound as
// it was before, which may be not at all.
func TestBindToASchemaDeletedMeanwhile(t *testing.T) {
	for _, before := range []string{"", "Order:1"} {
		t.Run("bound before to "+before, func(t *testing.T) {
			log := &sharedLog{}
			ours, g := newGateway(t, log)
			theirs, _ := newGateway(t, log)
			register(t, ours, "Order", 0, integers)
			register(t, ours, "Order", 0, texts)
			if before != "" {
				mustBind(t, ours, "orders", before)
			}
			g.before = func(string) {
				if err := theirs.Delete(t.Context(), ref(t, "Order:2")); err != nil {
					t.Error(err)
				}
			}
			b, _ := ours.Binding("orders")
			won, err := ours.Bind(t.Context(), "orders", stream.Binding{Schema: ref(t, "Order:2"), Envelope: true, Revision: b.Revision})
			wantCode(t, err, stream.UnknownSchema)
			if got, _ := ours.Binding("orders"); won || got.Schema.String() != before || got.Envelope != (before != "") {
				t.Errorf("got %v, bound to %v", won, got)
			}
		})
	}
}
