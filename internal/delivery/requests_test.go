package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/delivery"
	"sluice/internal/stream"
)

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
		kept := false // that is written again which says how far it came
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
		w.broker.onCommit = func(_ string, o stream.GroupOffset) { kept = kept || o.Stream == "s.dead-letter" && o.Offset == 2 }
		w.engine().Own(again)
		pass(2 * time.Hour)
		if len(w.deliveries()) != 2 {
			t.Error("the redrive was carried out twice")
		}
		if !kept {
			t.Error("Kafka will forget how far the redrive came, and it will be carried out again")
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
