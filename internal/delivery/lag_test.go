package delivery_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/delivery"
	"sluice/internal/stream"
)

// Bounds gives what partitions hold.
func (b *broker) Bounds(_ context.Context, ps []stream.Partition) ([]stream.Bounds, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]stream.Bounds, len(ps))
	for i, p := range ps {
		t := b.topics[p.Stream]
		if t == nil {
			return nil, stream.Errorf(stream.UnknownStream, "there is no %s", p.Stream)
		}
		all[i] = stream.Bounds{Begin: t.parts[p.Number].begin, End: t.parts[p.Number].end}
	}
	return all, nil
}

// lags reads the metrics of lag: by subscription the records, and the seconds.
func lags(t *testing.T, registry *prometheus.Registry) map[string][2]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for i, name := range []string{"sluice_subscription_lag_records", "sluice_subscription_lag_seconds"} {
				if f.GetName() == name {
					both := got[m.GetLabel()[0].GetValue()]
					both[i] = m.GetGauge().GetValue()
					got[m.GetLabel()[0].GetValue()] = both
				}
			}
		}
	}
	return got
}

func (w *world) wantLags(registry *prometheus.Registry, want map[string][2]float64) {
	w.t.Helper()
	if d := cmp.Diff(want, lags(w.t, registry)); d != "" {
		w.t.Errorf("lag (-want +got):\n%s", d)
	}
}

func measured(registry *prometheus.Registry, labels int) func(*world) func(*delivery.Options) {
	return func(w *world) func(*delivery.Options) {
		return func(o *delivery.Options) {
			o.Registerer, o.Bounds, o.LagEvery, o.LagLabels = registry, w.broker.Bounds, 10*time.Second, labels
		}
	}
}

// Lag is what is not delivered, and how old the oldest of it is: of records that
// wait in memory, and of those that are not read while nothing is sent.
func TestLag(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		registry := prometheus.NewRegistry()
		w.broker.create("orders", 2)
		e := w.engine(measured(registry, 10)(w))
		w.answers(always(stream.DeliveryFailed, 500))
		e.Own(subscription())
		paused := subscription(func(s *stream.Subscription) { s.ID, s.Group, s.State = "paused", "paused", stream.StatePaused })
		e.Own(paused)
		pass(11 * time.Second)
		w.wantLags(registry, map[string][2]float64{"s": {}, "paused": {}})
		w.broker.publish("orders", 0, key("a"), 0) // at 11 s
		w.broker.publish("orders", 1, key("b"), 4) // after four offsets without a record
		pass(10 * time.Second)                     // measured at 20 s
		w.wantLags(registry, map[string][2]float64{"s": {2, 9}, "paused": {6, 9}})
		pass(10 * time.Second)
		w.wantLags(registry, map[string][2]float64{"s": {2, 19}, "paused": {6, 19}})
		w.answers(always(stream.DeliveryDone, 200))
		pass(time.Hour)
		w.wantLags(registry, map[string][2]float64{"s": {}, "paused": {6, 3600 + 19}})
		e.Disown("paused")
		w.broker.publish("orders", 0, key("a"), 0)
		pass(10 * time.Second)
		w.wantLags(registry, map[string][2]float64{"s": {}})
	})
}

// Subscriptions without a label of their own are told of together.
func TestLagOfMany(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		registry := prometheus.NewRegistry()
		w.broker.create("orders", 1)
		w.broker.publish("orders", 0, key("a"), 0)
		e := w.engine(measured(registry, 2)(w))
		for i := range 5 {
			e.Own(subscription(func(s *stream.Subscription) {
				s.ID = fmt.Sprint("s", i)
				s.Group, s.State = s.ID, stream.StatePaused
			}))
		}
		pass(11 * time.Second)
		w.wantLags(registry, map[string][2]float64{"s0": {1, 10}, "s1": {1, 10}, "_other": {3, 10}})
		e.Disown("s3", "s4", "s2")
		pass(10 * time.Second)
		w.wantLags(registry, map[string][2]float64{"s0": {1, 20}, "s1": {1, 20}})
	})
}

// A stream that is gone does not hide how far the others are.
func TestLagBesideAStreamThatIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		registry := prometheus.NewRegistry()
		w.broker.create("orders", 1)
		w.broker.create("gone", 1)
		w.answers(always(stream.DeliveryFailed, 500))
		e := w.engine(measured(registry, 10)(w))
		e.Own(subscription())
		e.Own(subscription(func(s *stream.Subscription) {
			s.ID, s.Group, s.State = "other", "other", stream.StatePaused
			s.Streams, _ = stream.ParsePattern("gone")
		}))
		pass(5 * time.Second)
		w.broker.publish("orders", 0, key("a"), 0)
		w.broker.mu.Lock()
		delete(w.broker.topics, "gone")
		w.broker.mu.Unlock()
		pass(6 * time.Second)
		w.wantLags(registry, map[string][2]float64{"s": {1, 5}, "other": {}})
	})
}
