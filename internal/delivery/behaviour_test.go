package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestBatches(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.engine().Own(subscription(func(s *stream.Subscription) {
			s.Batch = stream.Batch{MaxRecords: 10, MaxWait: 2 * time.Second}
		}))
		pass(time.Second)
		for i := range 25 {
			w.broker.publish("orders", 0, key(fmt.Sprint(i%3)), 0)
		}
		pass(time.Second)
		if n := len(w.offsets()); n != 20 {
			t.Fatalf("%d delivered before the wait was over, want 20", n)
		}
		pass(2 * time.Second)
		want := make([]int64, 25)
		for i := range want {
			want[i] = int64(i)
		}
		if d := cmp.Diff(want, w.offsets()); d != "" || len(w.deliveries()) != 3 {
			t.Errorf("%d deliveries: %s", len(w.deliveries()), d)
		}
	})
}

func TestMostInFlight(t *testing.T) {
	for ordering, most := range map[string]int{stream.OrderingKey: 5, stream.OrderingPartition: 2, stream.OrderingNone: 5} {
		bubble(t, func(t *testing.T, w *world) {
			w.broker.create("orders", 2)
			w.answer = func(ctx context.Context, d *stream.Delivery) stream.Attempt {
				<-time.After(time.Second)
				return stream.Attempt{Outcome: stream.DeliveryDone, Status: 200}
			}
			for i := range 100 {
				w.broker.publish("orders", i%2, key(fmt.Sprint(i)), 0)
			}
			w.engine().Own(subscription(func(s *stream.Subscription) { s.Ordering, s.MaxInFlight = ordering, 5 }))
			pass(5 * time.Second)
			if w.mostAtOnce() != most {
				t.Errorf("%s: %d at a time, want %d", ordering, w.mostAtOnce(), most)
			}
			pass(time.Minute)
		})
	}
}

func TestReplay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		for range 5 {
			w.broker.publish("orders", 0, key("k"), 0)
		}
		e := w.engine()
		e.Own(subscription())
		pass(time.Second)
		again := subscription(func(s *stream.Subscription) {
			s.Revision, s.Generation = 2, 2
			s.Begin = []stream.Beginning{{Stream: "orders", TopicID: w.broker.topicID("orders"), Generation: 2, Offsets: []int64{3}}}
		})
		e.Update(again)
		pass(time.Second)
		want := []int64{0, 1, 2, 3, 4, 3, 4}
		if d := cmp.Diff(want, w.offsets()); d != "" {
			t.Fatal(d)
		}
		e.Close() // another owner does not replay again
		w.engine().Own(again)
		pass(time.Second)
		if d := cmp.Diff(want, w.offsets()); d != "" {
			t.Error(d)
		}
	})
}

func TestRedrive(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 3)
		w.broker.create("s.dead-letter", 1)
		at := time.Now().UTC().Add(-time.Hour).Truncate(time.Millisecond)
		r := key("k")
		r.Timestamp, r.Headers = at, []stream.Header{{Name: "mine", Value: []byte("1")}}
		w.broker.publish("orders", 2, r, 7)
		w.broker.publish("orders", 2, r, 0)
		w.answers(always(stream.DeliveryRefused, 400))
		e := w.engine()
		e.Own(subscription())
		pass(time.Second)
		if len(w.letters) != 2 {
			t.Fatalf("%d dead letters", len(w.letters))
		}
		first := w.got[0]
		w.answers(always(stream.DeliveryDone, 200))
		again := subscription(func(s *stream.Subscription) {
			s.Revision = 2
			s.Redrive = stream.Redrive{Generation: 2, Until: []stream.Beginning{{Stream: "s.dead-letter", TopicID: w.broker.topicID("s.dead-letter"), Offsets: []int64{2}}}}
		})
		e.Update(again)
		pass(time.Minute)
		if d := cmp.Diff([]int64{7, 8}, w.offsets()); d != "" {
			t.Fatal(d)
		}
		got := w.deliveries()[0]
		if got.ID != first.ID || got.TopicID != first.TopicID {
			t.Errorf("%s of %s, want %s of %s", got.ID, got.TopicID, first.ID, first.TopicID)
		}
		opt := cmp.FilterPath(func(p cmp.Path) bool { f := p.Last().String(); return f == ".Data" || f == ".Schema" }, cmp.Ignore())
		if d := cmp.Diff(first.Records, got.Records, opt); d != "" {
			t.Error(d)
		}
		if o := w.broker.commitOf("s", "s.dead-letter", 0); o.Offset != 2 {
			t.Errorf("committed %d", o.Offset)
		}
		e.Close()
		w.engine().Own(again)
		pass(time.Minute)
		if len(w.deliveries()) != 2 {
			t.Error("the redrive was carried out twice")
		}
	})
}

func TestPublishesBeforeItCommits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.broker.publish("orders", 0, key("k"), 0)
		w.answer = func(context.Context, *stream.Delivery) stream.Attempt {
			return stream.Attempt{Outcome: stream.DeliveryDone, Status: 200, Published: []stream.Outgoing{{Stream: "answers"}}}
		}
		p := &publisher{fail: 2}
		w.engine(func(o *delivery.Options) { o.Publisher = p }).Own(subscription())
		pass(3 * time.Second)
		if o := w.broker.commitOf("s", "orders", 0); o.Offset != 0 {
			t.Fatalf("committed %d before the answer was published", o.Offset)
		}
		pass(time.Minute)
		if o := w.broker.commitOf("s", "orders", 0); o.Offset != 1 || p.stored != 1 || w.attempts() != 3 {
			t.Errorf("committed %d, published %d, attempts %d", o.Offset, p.stored, w.attempts())
		}
	})
}

type publisher struct{ fail, stored int }

func (p *publisher) Publish(_ context.Context, _ *stream.Delivery, r []stream.Outgoing) error {
	if p.fail--; p.fail >= 0 {
		return stream.Errorf(stream.SchemaViolation, "not an answer")
	}
	p.stored += len(r)
	return nil
}

func TestPatternsGrow(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		e.Own(subscription(func(s *stream.Subscription) {
			s.Streams, _ = stream.ParsePattern("missing,orders,o.*,*.dead-letter")
		}))
		pass(time.Minute)
		for _, id := range []string{"orders", "o.eu", "s.dead-letter", "t.dead-letter"} {
			w.broker.create(id, 1)
			w.broker.publish(id, 0, key(id), 0)
			pass(time.Minute)
		}
		var got []string
		for _, d := range w.deliveries() {
			got = append(got, d.Records[0].Stream)
		}
		slices.Sort(got)
		if d := cmp.Diff([]string{"o.eu", "orders"}, got); d != "" {
			t.Error(d)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		r := key("k")
		r.Value = make([]byte, 10_000)
		for range 1000 {
			w.broker.publish("orders", 0, r, 0)
		}
		w.answers(always(stream.DeliverySlow, 503))
		const subs = 20
		e := w.engine(func(o *delivery.Options) { o.MemoryBytes = 1 << 20 })
		for i := range subs {
			e.Own(subscription(func(s *stream.Subscription) {
				s.ID, s.Ordering = fmt.Sprint("s", i), stream.OrderingNone
				s.Group = s.ID
			}))
		}
		for range 60 {
			pass(time.Second)
			if m := e.Memory(); m > 1<<20+subs*(32<<10) {
				t.Fatalf("%d bytes in memory", m)
			}
		}
		w.answers(always(stream.DeliveryDone, 200))
		pass(10 * time.Minute)
		if n := len(w.offsets()); n != subs*1000 {
			t.Errorf("%d delivered, want %d", n, subs*1000)
		}
	})
}
