package delivery_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/delivery"
	"sluice/internal/stream"
)

// holes tells what no record is at as gaps, in the middle of a page too: so it
// is when records are removed while a page is being read.
type holes struct{ *broker }

func (h holes) Page(ctx context.Context, r stream.PageRequest) (stream.PageAnswer, error) {
	a, err := h.broker.Page(ctx, r)
	for i := 1; i < len(a.Records); i++ {
		before, here := &a.Records[i-1], &a.Records[i]
		if here.Offset > before.Offset+1 {
			at := stream.Partition{Stream: here.Stream, Number: here.Partition}
			a.Gaps = append(a.Gaps, stream.Gap{Partition: at, From: before.Offset + 1, To: here.Offset})
		}
	}
	return a, err
}

func TestRecordsBeforeAGapOfTheirPageAreDelivered(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		w.broker.publish("orders", 0, key("a"), 0)
		w.broker.publish("orders", 0, key("b"), 0)
		w.broker.publish("orders", 0, key("c"), 3)
		e := w.engine(func(o *delivery.Options) { o.Pages = holes{w.broker} })
		e.Own(subscription())
		pass(time.Second)
		got := slices.Sorted(slices.Values(w.offsets()))
		if diff := cmp.Diff([]int64{0, 1, 5}, got); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
	})
}

// After an unclean election of a leader a partition may end before what was
// read of it. What is open below that end is still to be delivered.
func TestNewestRecordsAreGone(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker.create("orders", 1)
		for _, k := range []string{"a", "b", "c", "d"} {
			w.broker.publish("orders", 0, key(k), 0)
		}
		w.answers(func(_ context.Context, d *stream.Delivery) stream.Attempt {
			if k := string(d.Records[0].Key); k == "a" || k == "d" {
				return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryFailed, Status: 500}
			}
			return stream.Attempt{At: time.Now(), Outcome: stream.DeliveryDone, Status: 204}
		})
		e := w.engine()
		e.Own(subscription())
		pass(time.Second)
		w.broker.truncate("orders", 0, 2)
		pass(time.Second)
		w.answers(always(stream.DeliveryDone, 204))
		w.broker.publish("orders", 0, key("e"), 0)
		pass(time.Hour)
		var got []string
		for _, d := range w.deliveries() {
			got = append(got, string(d.Records[0].Key))
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"a", "b", "c", "e"}, got); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
	})
}
