package delivery_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

// The rights of an owner may change without a new revision: what it may not read
// any more is delivered no more.
func TestASubscriptionThatSelectsLess(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.broker.create("orders.eu", 1)
		all, err := stream.ParsePattern("orders*")
		if err != nil {
			t.Fatal(err)
		}
		own, err := stream.ParsePattern("orders")
		if err != nil {
			t.Fatal(err)
		}
		w.answers(always(stream.DeliveryDone, 200))
		e := w.engine()
		e.Own(subscription(func(s *stream.Subscription) { s.Streams = all }))
		pass(time.Second)
		w.broker.publish("orders.eu", 0, key("a"), 0)
		pass(time.Second)
		for range 2 { // the second time nothing has changed
			e.Own(subscription(func(s *stream.Subscription) { s.Streams = all.Within(own) }))
			pass(time.Second)
			w.broker.publish("orders.eu", 0, key("b"), 0)
			w.broker.publish("orders", 0, key("c"), 0)
			pass(time.Second)
		}
		var got []string
		for _, d := range w.deliveries() {
			got = append(got, d.Records[0].Stream)
		}
		if diff := cmp.Diff([]string{"orders.eu", "orders", "orders"}, got); diff != "" {
			t.Error(diff)
		}
	})
}
