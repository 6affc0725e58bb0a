package catalog_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/catalog"
	"sluice/internal/stream"
)

func outgoing(schema string) *stream.Outgoing {
	rec := &stream.Outgoing{Stream: "orders"}
	if schema != "" {
		rec.Schema = *ref(schema)
	}
	return rec
}

func TestResolve(t *testing.T) {
	tombstone := &stream.Outgoing{Stream: "orders", Tombstone: true}
	for _, tc := range []struct {
		name  string
		world func(*world)
		rec   *stream.Outgoing
		want  string // the schema
		code  stream.Code
	}{
		{"bound to a version", func(w *world) { w.stream("orders", "Order:1") }, outgoing(""), "Order:1", ""},
		{"bound to the newest", func(w *world) { w.stream("orders", "Order") }, outgoing(""), "Order:3", ""},
		{"another version is named", func(w *world) { w.stream("orders", "Order:3") }, outgoing("Order:2"), "Order:2", ""},
		{"the newest is named", func(w *world) { w.stream("orders", "Order:1") }, outgoing("Order"), "Order:3", ""},
		{"an unknown version is named", func(w *world) { w.stream("orders", "Order:1") }, outgoing("Order:9"), "", stream.UnknownSchema},
		{"another schema is named", func(w *world) { w.stream("orders", "Order:1") }, outgoing("Other:1"), "", stream.SchemaMismatch},
		{"bound to another schema meanwhile", func(w *world) {
			w.stream("orders", "Other:1")
			w.theirs("orders", "Order:1")
		}, outgoing("Order:2"), "Order:2", ""},
		{"bound meanwhile", func(w *world) {
			w.stream("orders", "")
			w.theirs("orders", "Order:1")
		}, outgoing(""), "Order:1", ""},
		{"bound and made while we look", func(w *world) {
			w.before["exists"] = func() {
				w.theirs("orders", "Order:1")
				w.theirTopic("orders")
			}
		}, outgoing("Order:2"), "Order:2", ""},
		{"somebody's topic", func(w *world) { w.stream("orders", "") }, outgoing("Order:1"), "", stream.UnboundStream},
		{"somebody's topic, no schema", func(w *world) { w.stream("orders", "") }, outgoing(""), "", stream.UnboundStream},
		{"no topic, no schema", func(*world) {}, outgoing(""), "", stream.UnknownStream},
		{"no topic, no such schema", func(*world) {}, outgoing("Order:9"), "", stream.UnknownSchema},
		{"a tombstone", func(w *world) { w.stream("orders", "Order:1") }, tombstone, "", ""},
		{"a tombstone, unbound", func(w *world) { w.stream("orders", "") }, tombstone, "", stream.UnboundStream},
		{"a tombstone, no topic", func(*world) {}, &stream.Outgoing{Stream: "orders", Tombstone: true, Schema: *ref("Order:1")}, "", stream.UnknownStream},
		{"a bad id", func(*world) {}, &stream.Outgoing{Stream: "_x"}, "", stream.InvalidRequest},
		{"an enveloped stream, a plain record", func(w *world) { w.stream("orders", "Order:1") }, &stream.Outgoing{Stream: "orders", Plain: true}, "", stream.InvalidRecord},
		{"the log cannot be read", func(w *world) {
			w.fail["sync"] = stream.Errorf(stream.KafkaUnavailable, "away")
		}, outgoing(""), "", stream.KafkaUnavailable},
		{"Kafka cannot be asked", func(w *world) {
			w.fail["exists"] = stream.Errorf(stream.KafkaUnavailable, "away")
		}, outgoing("Order:1"), "", stream.KafkaUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			tc.world(w)
			got, err := w.catalog(t).Resolve(t.Context(), tc.rec)
			wantCode(t, err, tc.code)
			if err == nil && (got.Topic != "t.orders" || got.Schema.String() != tc.want || !got.Envelope) {
				t.Errorf("got %+v, want schema %s", got, tc.want)
			}
			w.wantDid(t)
		})
	}
}

func TestResolveFoundsAStream(t *testing.T) {
	w := newWorld()
	w.schemas["Order:1"] = stream.SchemaVersion{Name: "Order", Version: 1, Retention: 36 * time.Hour}
	c := w.catalog(t, func(o *catalog.Options) { o.DefaultPartitions = 6 })
	got, err := c.Resolve(t.Context(), outgoing("Order:1"))
	if err != nil || got.Schema != *ref("Order:1") || !got.Envelope {
		t.Errorf("got %+v, %v", got, err)
	}
	w.wantDid(t, "bind orders Order:1", "create t.orders", "made t.orders")
	if topic := w.topics["t.orders"]; topic.Partitions != 6 || topic.Config["retention.ms"] != "129600000" {
		t.Errorf("got %+v", topic)
	}
}

func TestResolveFoundsWithoutEnvelopes(t *testing.T) {
	w := newWorld()
	rec := outgoing("Order")
	rec.Plain = true
	got, err := w.catalog(t).Resolve(t.Context(), rec)
	if err != nil || got.Envelope || got.Schema != *ref("Order:3") {
		t.Errorf("got %+v, %v", got, err)
	}
	w.wantBound(t, "orders", "Order")
}

func TestResolveWithoutAutoCreate(t *testing.T) {
	w := newWorld()
	c := w.catalog(t, func(o *catalog.Options) { o.AutoCreate = false })
	_, err := c.Resolve(t.Context(), outgoing("Order:1"))
	wantCode(t, err, stream.UnknownStream)
	w.wantDid(t)
}

// Several gateways find that there is no stream: the binding that counts
// decides, and only a topic that is its own is bound.
func TestFoundingRaces(t *testing.T) {
	for _, tc := range []struct {
		name  string
		world func(*world)
		want  string
		code  stream.Code
		bound string
	}{
		{"they bind first and make the topic", func(w *world) {
			w.before["bind"] = func() {
				w.theirs("orders", "Order:2")
				time.AfterFunc(time.Second, func() { w.theirTopic("orders") })
			}
		}, "Order:1", "", "Order:2"},
		{"they bind first, to another schema", func(w *world) {
			w.before["bind"] = func() {
				w.theirs("orders", "Other:1")
				w.theirTopic("orders")
			}
		}, "", stream.SchemaMismatch, "Other:1"},
		{"they bind first and never make the topic", func(w *world) {
			w.before["bind"] = func() { w.theirs("orders", "Order:2") }
		}, "", stream.Overloaded, "Order:2"},
		{"they bind first, and Kafka is too slow to tell", func(w *world) {
			w.before["bind"] = func() {
				w.theirs("orders", "Order:2")
				w.before["exists"] = func() { <-time.After(6 * time.Second) }
			}
		}, "", stream.Overloaded, "Order:2"},
		{"a topic appears that is not ours", func(w *world) {
			w.before["create"] = func() { w.theirTopic("orders") }
		}, "", stream.UnboundStream, ""},
		{"Kafka refuses the topic", func(w *world) {
			w.fail["create"] = stream.Errorf(stream.NameCollision, "taken").WithOutcome(stream.NotStored)
		}, "", stream.NameCollision, ""},
		{"nobody knows whether the topic was made", func(w *world) {
			w.fail["create"] = stream.Errorf(stream.KafkaUnavailable, "slow").WithOutcome(stream.OutcomeUnclear)
		}, "", stream.KafkaUnavailable, "Order:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				tc.world(w)
				got, err := w.catalog(t).Resolve(t.Context(), outgoing("Order:1"))
				e := wantCode(t, err, tc.code)
				if err == nil && got.Schema.String() != tc.want {
					t.Errorf("got %+v", got)
				}
				if tc.code == stream.Overloaded && (e.RetryAfter == 0 || e.Outcome != stream.NotStored) {
					t.Errorf("got %+v", e)
				}
				w.wantBound(t, "orders", tc.bound)
			})
		})
	}
}

// A record was sent to a stream that turned out to have no topic.
func TestRevive(t *testing.T) {
	for _, tc := range []struct {
		name   string
		world  func(*world)
		schema string
		want   string
		code   stream.Code
		waited time.Duration
	}{
		{"the topic is there by now", func(w *world) { w.stream("orders", "Order:1") }, "", "Order:1", "", 0},
		{"who bound it is still making it", func(w *world) {
			w.theirs("orders", "Order:1")
			time.AfterFunc(300*time.Millisecond, func() { w.theirTopic("orders") })
		}, "", "Order:1", "", 300 * time.Millisecond},
		{"it is gone for good", func(w *world) { w.theirs("orders", "Order:1") }, "", "", stream.UnknownStream, 500 * time.Millisecond},
		{"it is gone, and can be made anew", func(w *world) { w.theirs("orders", "Order:1") }, "Order:2", "Order:2", "", 500 * time.Millisecond},
		{"it was deleted", func(*world) {}, "", "", stream.UnknownStream, 0},
		{"it was deleted, and can be made anew", func(*world) {}, "Order:1", "Order:1", "", 0},
		{"Kafka goes away while we wait", func(w *world) {
			w.theirs("orders", "Order:1")
			w.before["exists"] = func() {
				w.before["exists"] = func() { w.fail["exists"] = stream.Errorf(stream.KafkaUnavailable, "away") }
			}
		}, "", "", stream.KafkaUnavailable, 0},
		{"Kafka is away", func(w *world) {
			w.fail["exists"] = stream.Errorf(stream.KafkaUnavailable, "away")
		}, "Order:1", "", stream.KafkaUnavailable, 0},
		{"it goes again", func(w *world) {
			w.stream("orders", "Order:1")
			w.fail["refresh"] = missingTopic()
		}, "", "", stream.UnknownStream, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				tc.world(w)
				start := time.Now()
				got, err := w.catalog(t).Revive(t.Context(), outgoing(tc.schema))
				wantCode(t, err, tc.code)
				if err == nil && got.Schema.String() != tc.want {
					t.Errorf("got %+v", got)
				}
				if waited := time.Since(start); waited < tc.waited || waited > tc.waited+100*time.Millisecond {
					t.Errorf("waited %v, want %v", waited, tc.waited)
				}
			})
		})
	}
}

// The lines of one request share what is the newest version.
func TestResolveRemembersTheNewest(t *testing.T) {
	w := newWorld()
	w.stream("orders", "Order")
	c := w.catalog(t)
	rec := outgoing("")
	rec.Newest = &stream.Newest{}
	for range 3 {
		got, err := c.Resolve(t.Context(), rec)
		if err != nil || got.Schema != *ref("Order:3") {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if d := cmp.Diff([]string{"Order", "Order:3", "Order:3"}, w.asked); d != "" {
		t.Error(d)
	}
}
