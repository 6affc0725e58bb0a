package webhook_test

import (
	"io"
	"log/slog"
	"testing"

	"sluice/internal/stream"
	"sluice/internal/webhook"
)

// One delivery to a receiver in the same process, which takes its part of the
// time and the allocations.
func BenchmarkSend(b *testing.B) {
	s, _ := newSender(b, func(o *webhook.Options) { o.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil)) })
	r := newReceiver(b, nil, nil)
	d := deliver(r.URL, nil)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a := s.Send(b.Context(), d); a.Outcome != stream.DeliveryDone {
				b.Errorf("%+v", a)
			}
		}
	})
}
