package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/delivery"
	"sluice/internal/stream"
)

func failingKey(bad string, healed *atomic.Bool) func(context.Context, *stream.Delivery) stream.Attempt {
	return func(_ context.Context, d *stream.Delivery) stream.Attempt {
		if string(d.Records[0].Key) == bad && !healed.Load() {
			return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryFailed, Status: 500}
		}
		return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryDone, Status: 200}
	}
}

func TestACommitThatFailsIsRepeatedOnItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.engine().Own(subscription())
		pass(time.Second)
		failures := 3
		w.broker.mu.Lock()
		w.broker.commitErr = func() error {
			if failures--; failures >= 0 {
				return errBroken
			}
			return nil
		}
		w.broker.mu.Unlock()
		w.broker.publish("orders", 0, key("k"), 0)
		pass(time.Minute)
		if o := w.broker.commitOf("s", "orders", 0); o.Offset != 1 {
			t.Errorf("committed %d, want 1", o.Offset)
		}
	})
}

// TestMoreThanTheWindowWaitsBehindAKey has a key fail of which more records
// wait than a subscription may hold in memory.
func TestMoreThanTheWindowWaitsBehindAKey(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		var healed atomic.Bool
		w.answers(failingKey("bad", &healed))
		bad := 0
		for i := range 3000 {
			k := fmt.Sprint("k", i)
			if i%100 < 60 {
				k, bad = "bad", bad+1
			}
			w.broker.publish("orders", 0, key(k), 0)
		}
		e := w.engine(func(o *delivery.Options) { o.WindowRecords = 200 })
		e.Own(subscription())
		pass(30 * time.Second)
		if got, want := len(w.offsets()), 3000-bad; got != want {
			t.Fatalf("%d delivered beside the key, want %d", got, want)
		}
		if m := e.Memory(); m > 100_000 {
			t.Errorf("%d bytes of records in memory", m)
		}
		healed.Store(true)
		pass(time.Hour)
		if got := len(w.offsets()); got != 3000 {
			t.Errorf("%d delivered in the end, want all", got)
		}
	})
}

// TestABatchHasNoHoles has a record wait between others that could go. Its
// batch's webhook-id would be that of a batch with it.
func TestABatchHasNoHoles(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.answers(func(_ context.Context, d *stream.Delivery) stream.Attempt {
			if d.Records[0].Offset == 0 {
				<-time.After(time.Minute)
			}
			return stream.Attempt{Outcome: stream.DeliveryDone, Status: 200}
		})
		w.broker.publish("orders", 0, key("x"), 0)
		w.engine().Own(subscription(func(s *stream.Subscription) { s.Batch.MaxRecords = 10 }))
		pass(time.Second)
		w.broker.mu.Lock() // what follows comes in one page
		p := &w.broker.topics["orders"].parts[0]
		for i, k := range []string{"y", "y", "x", "z"} {
			r := key(k)
			r.Stream, r.Offset = "orders", int64(i+1)
			p.records = append(p.records, r)
		}
		p.end = 5
		w.broker.wake()
		w.broker.mu.Unlock()
		pass(2 * time.Minute)
		var got [][]int64
		for _, d := range w.deliveries() {
			var offsets []int64
			for _, r := range d.Records {
				offsets = append(offsets, r.Offset)
			}
			got = append(got, offsets)
		}
		slices.SortFunc(got, slices.Compare)
		if d := cmp.Diff([][]int64{{0}, {1, 2}, {3}, {4}}, got); d != "" {
			t.Error(d)
		}
	})
}

// TestRetentionTakesWhatWaits has Kafka delete records that wait for another
// attempt and are not in memory.
func TestRetentionTakesWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		var healed atomic.Bool
		w.answers(failingKey("bad", &healed))
		for range 5 {
			w.broker.publish("orders", 0, key("bad"), 0)
		}
		w.engine().Own(subscription())
		pass(10 * time.Second) // two attempts; the next one after 20 s
		w.broker.mu.Lock()
		p := &w.broker.topics["orders"].parts[0]
		p.begin = 3
		p.records = p.records[3:]
		w.broker.mu.Unlock()
		healed.Store(true)
		pass(time.Minute)
		if d := cmp.Diff([]int64{3, 4}, w.offsets()); d != "" {
			t.Error(d)
		}
		if o := w.broker.commitOf("s", "orders", 0); o.Offset != 5 {
			t.Errorf("committed %d, want 5", o.Offset)
		}
	})
}

// TestARecordThatHangsTheEndpoint has one key's requests end without an answer,
// as those to an endpoint that is down do, while all others are answered.
func TestARecordThatHangsTheEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.answers(func(_ context.Context, d *stream.Delivery) stream.Attempt {
			if string(d.Records[0].Key) == "bad" {
				return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryFailed, Detail: "no answer"}
			}
			return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryDone, Status: 200}
		})
		w.engine().Own(subscription(func(s *stream.Subscription) { s.Retry.MaxAttempts = 5 }))
		for i := range 1000 {
			k := fmt.Sprint(i)
			if i == 100 {
				k = "bad"
			}
			w.broker.publish("orders", 0, key(k), 0)
		}
		pass(time.Minute)
		if got := len(w.offsets()); got != 999 {
			t.Errorf("%d delivered, want all others", got)
		}
		pass(10 * time.Minute) // 5, 20, 80 and 320 s
		if len(w.letters) != 1 {
			t.Errorf("%d dead letters, want the one", len(w.letters))
		}
		if o := w.broker.commitOf("s", "orders", 0); o.Offset != 1000 {
			t.Errorf("committed %d, want 1000", o.Offset)
		}
	})
}
