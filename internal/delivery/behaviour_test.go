package delivery_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/delivery"
	"sluice/internal/stream"
)

func TestDeliversAndCommits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 2)
		e := w.engine()
		e.Own(subscription())
		pass(time.Second)
		for i := range 100 {
			w.broker.publish("orders", i%2, key(fmt.Sprint(i%7)), 0)
		}
		pass(time.Second)
		if got := len(w.offsets()); got != 100 {
			t.Fatalf("%d delivered, want 100", got)
		}
		for n := range 2 {
			if o := w.broker.commitOf("s", "orders", n); o.Offset != 50 {
				t.Errorf("partition %d: committed %d, want 50", n, o.Offset)
			}
		}
		s, err := e.Status(t.Context(), "s")
		if err != nil || s.Lag != 0 || s.Health.LastSuccess.IsZero() || len(s.Health.Attempts) != stream.MaxHealthAttempts {
			t.Errorf("status: %+v, %v", s, err)
		}
	})
}

func TestOneFailingKeyHoldsBackOnlyItsKey(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		var healed atomic.Bool
		w.answer = func(ctx context.Context, d *stream.Delivery) stream.Attempt {
			if string(d.Records[0].Key) == "bad" && !healed.Load() {
				return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryFailed, Status: 500}
			}
			return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryDone, Status: 200}
		}
		e := w.engine()
		e.Own(subscription())
		n := 0
		for i := range 6000 { // far more than the window of 2,000
			k := fmt.Sprint("k", i)
			if i%100 == 0 {
				k = "bad"
				n++
			}
			w.broker.publish("orders", 0, key(k), 0)
		}
		pass(time.Minute)
		if got, want := len(w.offsets()), 6000-n; got != want {
			t.Fatalf("%d delivered beside the failing key, want %d", got, want)
		}
		if o := w.broker.commitOf("s", "orders", 0); o.Offset != 0 || delivery.Ranges(o) == 0 || len(o.Metadata) > 4096 {
			t.Fatalf("committed %+v", o)
		}
		healed.Store(true)
		pass(2 * time.Hour)
		if got := len(w.offsets()); got != 6000 {
			t.Fatalf("%d delivered in the end, want all", got)
		}
		last := int64(-1)
		for _, d := range w.deliveries() {
			if string(d.Records[0].Key) == "bad" {
				if d.Records[0].Offset <= last {
					t.Fatalf("the key's order is lost: %d after %d", d.Records[0].Offset, last)
				}
				last = d.Records[0].Offset
			}
		}
		if m := e.Memory(); m != 0 {
			t.Errorf("%d bytes are held by nothing", m)
		}
	})
}

// TestMetadataBoundsDelivery has every second record fail: what is complete
// beyond the lowest open one cannot all be written down.
func TestMetadataBoundsDelivery(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		var healed atomic.Bool
		w.answer = func(ctx context.Context, d *stream.Delivery) stream.Attempt {
			if string(d.Records[0].Key) == "bad" && !healed.Load() {
				return stream.Attempt{Outcome: stream.DeliveryFailed, Status: 500}
			}
			return stream.Attempt{Outcome: stream.DeliveryDone, Status: 200}
		}
		w.broker.onCommit = func(_ string, o stream.GroupOffset) {
			if len(o.Metadata) > 4096 {
				t.Errorf("metadata of %d bytes", len(o.Metadata))
			}
		}
		w.engine().Own(subscription())
		for i := range 4000 {
			w.broker.publish("orders", 0, key([]string{"bad", fmt.Sprint(i)}[i%2]), 0)
		}
		pass(time.Minute)
		if got := len(w.offsets()); got < 400 || got >= 2000 {
			t.Fatalf("%d delivered, want as many as can be written down and not all", got)
		}
		healed.Store(true)
		pass(2 * time.Hour)
		if got := len(w.offsets()); got != 4000 {
			t.Fatalf("%d delivered in the end, want all", got)
		}
	})
}

func TestDeadEndpointIsProbedAndRecovers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		for i := range 300 {
			w.broker.publish("orders", 0, key(fmt.Sprint(i)), 0)
		}
		var up atomic.Bool
		w.answer = func(ctx context.Context, d *stream.Delivery) stream.Attempt {
			if !up.Load() && d.Subscription.ID == "s" {
				return stream.Attempt{Outcome: stream.DeliveryFailed, Detail: "connection refused"}
			}
			return stream.Attempt{Outcome: stream.DeliveryDone, Status: 200}
		}
		e := w.engine()
		e.Own(subscription())
		e.Own(subscription(func(s *stream.Subscription) { s.ID, s.Group = "other", "other" }))
		pass(time.Second / 2)
		first := w.attempts() - 300
		if first > 10 || len(w.offsets()) != 300 {
			t.Fatalf("%d attempts at once, and %d of the other subscription's delivered", first, len(w.offsets()))
		}
		pass(2 * time.Hour)
		n := w.attempts() - 300
		if n < 100 || n > 200 {
			t.Errorf("%d attempts in two hours, want about one a minute", n)
		}
		h, _ := e.Health("s")
		if !h.Slowed {
			t.Error("not said to be slowed")
		}
		up.Store(true)
		pass(2 * time.Minute)
		if got := len(w.offsets()); got != 600 {
			t.Errorf("%d delivered two minutes after it recovered, want all", got)
		}
		if len(w.letters) > 0 {
			t.Errorf("%d dead letters: an outage is no record's fault", len(w.letters))
		}
	})
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome stream.DeliveryOutcome
		status  int
		change  func(*stream.Subscription)
		tries   int // of the one record
		letters int
		paused  string
		offset  int64
	}{
		{"refused", stream.DeliveryRefused, 400, nil, 1, 1, "", 1},
		{"refused and dropped", stream.DeliveryRefused, 400, func(s *stream.Subscription) { s.OnExhausted = stream.OnExhaustedDrop }, 1, 0, "", 1},
		{"refused and paused", stream.DeliveryRefused, 400, func(s *stream.Subscription) { s.OnExhausted = stream.OnExhaustedPause }, 1, 0, "s/1/exhausted", 0},
		{"gone", stream.DeliveryGone, 410, nil, 1, 0, "s/1/gone", 0},
		{"attempts", stream.DeliveryFailed, 500, func(s *stream.Subscription) { s.Retry.MaxAttempts = 4 }, 4, 1, "", 1},
		{"age", stream.DeliveryFailed, 500, func(s *stream.Subscription) { s.Retry.MaxAge = 100 * time.Second }, 4, 1, "", 1}, // at 0, 5, 25, 105 s
		{"slow", stream.DeliverySlow, 503, func(s *stream.Subscription) { s.Retry.MaxAttempts = 4 }, 0, 1, "", 1},             // as many as fit into the schedule
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.broker.create("orders", 1)
				w.broker.publish("orders", 0, key("k"), 0)
				w.answers(always(c.outcome, c.status))
				sub := subscription()
				if c.change != nil {
					c.change(sub)
				}
				w.engine().Own(sub)
				pass(time.Hour)
				if n := w.attempts(); n != c.tries && c.tries > 0 {
					t.Errorf("%d attempts, want %d", n, c.tries)
				}
				if len(w.letters) != c.letters || strings.Join(w.paused, ",") != c.paused {
					t.Errorf("%d dead letters, pauses %v", len(w.letters), w.paused)
				}
				if o := w.broker.commitOf("s", "orders", 0); o.Offset != c.offset {
					t.Errorf("committed %d, want %d", o.Offset, c.offset)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, d := range w.got {
					if d.ID != w.got[0].ID || d.First != w.got[0].First {
						t.Errorf("another attempt has another identity: %+v", d)
					}
				}
			})
		})
	}
}

func TestExhaustionOutlivesTheOwner(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.broker.publish("orders", 0, key("k"), 0)
		w.answers(always(stream.DeliveryFailed, 500))
		sub := subscription(func(s *stream.Subscription) { s.Retry.MaxAge = 10 * time.Minute })
		for range 7 { // each owner lives two minutes
			e := w.engine()
			e.Own(sub)
			pass(2 * time.Minute)
			e.Close()
		}
		if len(w.letters) != 1 {
			t.Errorf("%d dead letters after 14 minutes, want 1", len(w.letters))
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.broker.publish("orders", 0, key("k"), 0)
		w.answers(always(stream.DeliveryGone, 410))
		e := w.engine()
		e.Own(subscription())
		pass(time.Second)
		w.broker.publish("orders", 0, key("k"), 0)
		pass(time.Hour)
		if n := w.attempts(); n != 1 {
			t.Fatalf("%d attempts of a paused subscription", n)
		}
		w.answers(always(stream.DeliveryDone, 200))
		e.Update(subscription(func(s *stream.Subscription) { s.Revision, s.State, s.Reason = 2, stream.StatePaused, "gone" }))
		e.Update(subscription(func(s *stream.Subscription) { s.Revision = 3 }))
		pass(time.Second)
		if d := cmp.Diff([]int64{0, 1}, w.offsets()); d != "" {
			t.Error(d)
		}
	})
}

func TestPositionsAreRewritten(t *testing.T) {
	for _, state := range []string{stream.StateActive, stream.StatePaused} {
		bubble(t, func(t *testing.T, w *world) {
			w.broker.create("orders", 1)
			w.engine().Own(subscription(func(s *stream.Subscription) { s.State = state }))
			pass(time.Minute)
			if w.broker.count() != 1 {
				t.Fatalf("%s: %d commits at takeover, want 1", state, w.broker.count())
			}
			pass(10 * time.Hour)
			if n := w.broker.count(); n < 10 || n > 11 {
				t.Errorf("%s: %d commits after ten hours", state, n)
			}
		})
	}
}

func TestCommitsAreRepeated(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		var works atomic.Bool
		w.broker.commitErr = func() error {
			if !works.Load() {
				return errBroken
			}
			return nil
		}
		for i := range 12_000 {
			w.broker.publish("orders", 0, key(fmt.Sprint(i)), 0)
		}
		w.engine().Own(subscription())
		pass(time.Minute)
		if n := len(w.offsets()); n < 10_000 || n > 10_100 {
			t.Fatalf("%d delivered without a commit, want about 10,000", n)
		}
		works.Store(true)
		pass(time.Minute)
		if o := w.broker.commitOf("s", "orders", 0); o.Offset != 12_000 {
			t.Errorf("committed %d", o.Offset)
		}
	})
}

func TestNothingWithoutPermission(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.engine().Own(subscription())
		pass(time.Second)
		commits := w.broker.count()
		w.mu.Lock()
		w.disallow = true
		w.mu.Unlock()
		w.broker.publish("orders", 0, key("k"), 0)
		pass(time.Minute)
		if w.attempts() != 0 || w.broker.count() != commits {
			t.Fatalf("%d attempts, %d commits", w.attempts(), w.broker.count()-commits)
		}
		w.mu.Lock()
		w.disallow = false
		w.mu.Unlock()
		pass(time.Second)
		if len(w.offsets()) != 1 {
			t.Error("it does not go on")
		}
	})
}

func TestDisownCancelsCommitsAndReturns(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.answer = func(ctx context.Context, d *stream.Delivery) stream.Attempt {
			switch string(d.Records[0].Key) {
			case "hangs":
				<-ctx.Done()
				return stream.Attempt{Outcome: stream.DeliveryCancelled}
			case "deaf": // a sender that does not listen
				<-time.After(time.Minute)
			}
			return stream.Attempt{Outcome: stream.DeliveryDone, Status: 200}
		}
		e := w.engine()
		e.Own(subscription())
		pass(time.Second)
		for _, k := range []string{"a", "hangs", "b", "deaf"} {
			w.broker.publish("orders", 0, key(k), 0)
		}
		<-time.After(10 * time.Millisecond)
		began := time.Now()
		e.Disown("s")
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("it took %v", d)
		}
		o := w.broker.commitOf("s", "orders", 0)
		if o.Offset != 1 || !delivery.Completed(o, 2) || delivery.Completed(o, 3) {
			t.Errorf("committed %+v", o)
		}
		commits := w.broker.count()
		pass(2 * time.Minute)
		if w.broker.count() != commits || len(e.Owned()) != 0 {
			t.Error("something was committed afterwards")
		}
	})
}

// What is under way when a gateway is asked to stop may end, and is committed:
// nobody delivers it again. Nothing else is begun.
func TestDrainLetsEndWhatIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.answers(func(ctx context.Context, _ *stream.Delivery) stream.Attempt {
			select {
			case <-time.After(4 * time.Second):
				return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryDone, Status: 200}
			case <-ctx.Done():
				return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryCancelled}
			}
		})
		e := w.engine()
		e.Own(subscription())
		for i := range 30 {
			w.broker.publish("orders", 0, key(fmt.Sprint(i)), 0)
		}
		pass(time.Second)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		e.Drain(ctx, "s", "unknown")
		if took := time.Since(begun); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("it took %v, want what the deliveries under way took", took)
		}
		if done, begun := len(w.offsets()), w.attempts(); done != 10 || begun != 10 {
			t.Errorf("%d of %d delivered, want the 10 that were under way", done, begun)
		}
		if o := w.broker.commitOf("s", "orders", 0); o.Offset != 10 {
			t.Errorf("committed %d, want 10", o.Offset)
		}
		e.Disown("s")
		e.Own(subscription())
		pass(time.Minute)
		if done, begun := len(w.offsets()), w.attempts(); done != 30 || begun != 30 {
			t.Errorf("%d of %d delivered after it was owned again, want 30", done, begun)
		}
	})
}

// An endpoint that does not answer does not hold up a gateway that stops.
func TestDrainIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.answers(func(ctx context.Context, _ *stream.Delivery) stream.Attempt {
			<-ctx.Done()
			return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryCancelled}
		})
		e := w.engine()
		e.Own(subscription())
		w.broker.publish("orders", 0, key("a"), 0)
		pass(time.Second)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		e.Drain(ctx, "s")
		e.Disown("s")
		if took := time.Since(begun); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("it took %v, want the 5s that it had", took)
		}
	})
}

func TestAttemptsAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		reg := prometheus.NewRegistry()
		e := w.engine(func(o *delivery.Options) { o.Registerer = reg })
		e.Own(subscription())
		w.broker.publish("orders", 0, key("a"), 0)
		pass(time.Second)
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP sluice_delivery_attempts_total Attempts to deliver, by outcome.
# TYPE sluice_delivery_attempts_total counter
sluice_delivery_attempts_total{outcome="cancelled"} 0
sluice_delivery_attempts_total{outcome="delivered"} 1
sluice_delivery_attempts_total{outcome="failed"} 0
sluice_delivery_attempts_total{outcome="gone"} 0
sluice_delivery_attempts_total{outcome="refused"} 0
sluice_delivery_attempts_total{outcome="slow"} 0
`), "sluice_delivery_attempts_total"); err != nil {
			t.Error(err)
		}
		if n, err := testutil.GatherAndCount(reg, "sluice_delivery_attempt_seconds"); n != 1 || err != nil {
			t.Errorf("the histogram: %d, %v", n, err)
		}
	})
}
