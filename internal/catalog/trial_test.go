package catalog_test

import (
	"context"
	"testing"

	"sluice/internal/catalog"
	"sluice/internal/stream"
)

// trial is Kafka asked whether it would; it notes what it was asked.
type trial struct{ w *world }

func (t trial) Create(ctx context.Context, spec stream.TopicSpec) (bool, error) {
	t.w.note("try create " + spec.Name)
	return true, t.w.enter(ctx, "create")
}

func (t trial) AddPartitions(ctx context.Context, name string, _ int) error {
	t.w.note("try partitions " + name)
	return t.w.enter(ctx, "partitions")
}

func (t trial) Configure(ctx context.Context, name string, _ map[string]*string) error {
	t.w.note("try configure " + name)
	return t.w.enter(ctx, "configure")
}

// A trial asks all that a change asks, and does nothing.
func TestValidate(t *testing.T) {
	refused := stream.Errorf(stream.InvalidRequest, "no")
	exists := func(w *world) { w.stream("orders", "Order:1") }
	for _, tc := range []struct {
		name    string
		world   func(*world)
		change  stream.Change
		creates bool
		code    stream.Code
		did     []string
	}{
		{name: "a new stream", change: stream.Change{Schema: ref("Order:1"), Partitions: new(3)}, creates: true, did: []string{"try create t.orders"}},
		{name: "a new one that Kafka refuses", world: func(w *world) { w.fail["create"] = refused }, code: stream.InvalidRequest, creates: true, did: []string{"try create t.orders"}},
		{name: "an envelope without a schema", change: stream.Change{Envelope: new(true)}, creates: true, code: stream.InvalidRequest},
		{name: "an unknown schema", change: stream.Change{Schema: ref("Order:9")}, code: stream.UnknownSchema},
		{name: "nothing changes", world: exists, change: stream.Change{Schema: ref("Order:1"), Partitions: new(1)}},
		{
			name: "partitions and settings", world: exists, change: stream.Change{Partitions: new(4), CleanupPolicy: new("compact")},
			did: []string{"try partitions t.orders", "try configure t.orders"},
		},
		{name: "fewer partitions", world: func(w *world) { w.stream("orders", "Order:1") }, change: stream.Change{Partitions: new(0)}, code: stream.InvalidRequest},
		{name: "another schema", world: exists, change: stream.Change{Schema: ref("Other:1")}, code: stream.SchemaMismatch},
		{
			name: "settings that Kafka refuses", world: func(w *world) { exists(w); w.fail["configure"] = refused },
			change: stream.Change{Config: map[string]*string{"x": new("1")}}, code: stream.InvalidRequest, did: []string{"try configure t.orders"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			if tc.world != nil {
				tc.world(w)
			}
			c := w.catalog(t, func(o *catalog.Options) { o.Trial = trial{w} })
			creates, err := c.Validate(t.Context(), "orders", tc.change)
			if stream.CodeOf(err) != tc.code || creates != tc.creates {
				t.Errorf("got %v, %v", creates, err)
			}
			w.wantDid(t, tc.did...)
		})
	}
}
