package catalog_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

func TestChange(t *testing.T) {
	refused := stream.Errorf(stream.InvalidRequest, "no").WithOutcome(stream.NotStored)
	for _, tc := range []struct {
		name   string
		world  func(*world)
		change stream.Change
		code   stream.Code
		did    []string
		bound  string
		want   stream.Info // where it has no error
	}{
		{
			name:   "makes an unbound stream",
			change: stream.Change{Partitions: new(3), ReplicationFactor: new(2), Retention: new(-time.Second)},
			did:    []string{"create t.orders", "made t.orders"},
			want:   stream.Info{Partitions: 3, ReplicationFactor: 2, Config: map[string]string{"retention.ms": "-1"}},
		},
		{
			name:   "makes a bound stream",
			change: stream.Change{Schema: ref("Order:1"), Config: map[string]*string{"x": new("1"), "y": nil}, CleanupPolicy: new("compact")},
			did:    []string{"bind orders Order:1", "create t.orders", "made t.orders"}, bound: "Order:1",
			want: stream.Info{Schema: *ref("Order:1"), Envelope: true, Partitions: 1, ReplicationFactor: 1, Config: map[string]string{"x": "1", "cleanup.policy": "compact"}},
		},
		{
			name:   "makes a stream without envelopes",
			change: stream.Change{Schema: ref("Order"), Envelope: new(false)},
			did:    []string{"bind orders Order", "create t.orders", "made t.orders"}, bound: "Order",
			want: stream.Info{Schema: *ref("Order"), Partitions: 1, ReplicationFactor: 1, Config: map[string]string{}},
		},
		{name: "envelope needs a schema", change: stream.Change{Envelope: new(true)}, code: stream.InvalidRequest},
		{name: "envelope needs a schema, also of a stream that exists", world: func(w *world) { w.stream("orders", "") }, change: stream.Change{Envelope: new(true)}, code: stream.InvalidRequest},
		{name: "an unknown schema", change: stream.Change{Schema: ref("Order:9")}, code: stream.UnknownSchema},
		{
			name:   "a binding left behind does not count",
			world:  func(w *world) { w.theirs("orders", "Other:1") },
			change: stream.Change{Schema: ref("Order:1")},
			did:    []string{"bind orders Order:1", "create t.orders", "made t.orders"}, bound: "Order:1",
			want: stream.Info{Schema: *ref("Order:1"), Envelope: true, Partitions: 1, ReplicationFactor: 1, Config: map[string]string{}},
		},
		{
			name:  "a binding left behind is taken away",
			world: func(w *world) { w.theirs("orders", "Other:1") },
			did:   []string{"bind orders ", "create t.orders", "made t.orders"},
			want:  stream.Info{Partitions: 1, ReplicationFactor: 1, Config: map[string]string{}},
		},
		{
			name:   "Kafka refuses the topic",
			world:  func(w *world) { w.fail["create"] = refused },
			change: stream.Change{Schema: ref("Order:1")},
			code:   stream.InvalidRequest, did: []string{"bind orders Order:1", "bind orders "},
		},
		{
			name:   "somebody makes the topic meanwhile: what was asked for holds",
			world:  func(w *world) { w.before["create"] = func() { w.theirTopic("orders") } },
			change: stream.Change{Schema: ref("Order:1"), Partitions: new(4), Retention: new(time.Second)},
			did:    []string{"bind orders Order:1", "made t.orders", "partitions t.orders", "refresh t.orders", "configure t.orders", "refresh t.orders"}, bound: "Order:1",
			want: stream.Info{Schema: *ref("Order:1"), Envelope: true, Partitions: 4, ReplicationFactor: 1, Config: map[string]string{"retention.ms": "1000"}},
		},
		{
			name:   "somebody makes the unbound topic meanwhile",
			world:  func(w *world) { w.before["create"] = func() { w.theirTopic("orders") } },
			change: stream.Change{Partitions: new(2)},
			did:    []string{"partitions t.orders", "refresh t.orders"},
			want:   stream.Info{Partitions: 2, ReplicationFactor: 1, Config: map[string]string{}},
		},
		{
			name:   "somebody binds it meanwhile",
			world:  func(w *world) { w.before["bind"] = func() { w.theirs("orders", "Order:2"); w.theirTopic("orders") } },
			change: stream.Change{Schema: ref("Order:1")},
			did:    []string{"bind orders Order:1"}, bound: "Order:1",
			want: stream.Info{Schema: *ref("Order:1"), Envelope: true, Partitions: 1, ReplicationFactor: 1, Config: map[string]string{}},
		},
		{
			name:   "binds a topic that exists",
			world:  func(w *world) { w.stream("orders", "") },
			change: stream.Change{Schema: ref("Order:1")},
			did:    []string{"bind orders Order:1"}, bound: "Order:1",
			want: stream.Info{Schema: *ref("Order:1"), Envelope: true, Partitions: 1, ReplicationFactor: 1, Config: map[string]string{}},
		},
		{
			name:   "moves to another version, even back",
			world:  func(w *world) { w.stream("orders", "Order:2") },
			change: stream.Change{Schema: ref("Order:1")},
			did:    []string{"bind orders Order:1"}, bound: "Order:1",
			want: stream.Info{Schema: *ref("Order:1"), Envelope: true, Partitions: 1, ReplicationFactor: 1, Config: map[string]string{}},
		},
		{
			name:   "never to another schema",
			world:  func(w *world) { w.stream("orders", "Order:2") },
			change: stream.Change{Schema: ref("Other:1")},
			code:   stream.SchemaMismatch, bound: "Order:2",
		},
		{
			name:   "changes the envelope alone",
			world:  func(w *world) { w.stream("orders", "Order:2") },
			change: stream.Change{Envelope: new(false)},
			did:    []string{"bind orders Order:2"}, bound: "Order:2",
			want: stream.Info{Schema: *ref("Order:2"), Partitions: 1, ReplicationFactor: 1, Config: map[string]string{}},
		},
		{
			name:   "what is so already is not done again",
			world:  func(w *world) { w.stream("orders", "Order:2") },
			change: stream.Change{Schema: ref("Order:2"), Envelope: new(true), Partitions: new(1), ReplicationFactor: new(1), Config: map[string]*string{"x": nil}},
			bound:  "Order:2",
			want:   stream.Info{Schema: *ref("Order:2"), Envelope: true, Partitions: 1, ReplicationFactor: 1, Config: map[string]string{}},
		},
		{name: "fewer partitions", world: func(w *world) { w.stream("orders", "") }, change: stream.Change{Partitions: new(0)}, code: stream.InvalidRequest},
		{name: "other replicas", world: func(w *world) { w.stream("orders", "") }, change: stream.Change{ReplicationFactor: new(3)}, code: stream.InvalidRequest},
		{name: "a setting twice", change: stream.Change{Retention: new(time.Second), Config: map[string]*string{"retention.ms": new("1")}}, code: stream.InvalidRequest},
		{name: "a policy twice", change: stream.Change{CleanupPolicy: new("delete"), Config: map[string]*string{"cleanup.policy": nil}}, code: stream.InvalidRequest},
		{
			name: "partitions hold when settings are refused",
			world: func(w *world) {
				w.stream("orders", "")
				w.fail["configure"] = refused
			},
			change: stream.Change{Partitions: new(2), Retention: new(time.Second)},
			code:   stream.InvalidRequest, did: []string{"partitions t.orders", "refresh t.orders"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			if tc.world != nil {
				tc.world(w)
			}
			_, there := w.topics["t.orders"]
			info, created, err := w.catalog(t).Change(t.Context(), "orders", tc.change)
			wantCode(t, err, tc.code)
			w.wantDid(t, tc.did...)
			w.wantBound(t, "orders", tc.bound)
			if err != nil {
				return
			}
			tc.want.ID = "orders"
			if d := cmp.Diff(tc.want, info); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			ours := len(w.did) > 0 && created
			if !there && created != has(w.did, "create t.orders") || there && ours {
				t.Errorf("got created %v", created)
			}
		})
	}
	_, _, err := newWorld().catalog(t).Change(t.Context(), "..", stream.Change{})
	wantCode(t, err, stream.InvalidRequest)
}

func has(all []string, one string) bool {
	return slices.Contains(all, one)
}
