package delivery_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/delivery"
	"sluice/internal/stream"
)

// benchOptions are those of an endpoint that answers at once.
func benchOptions(b *broker, send delivery.Sender) delivery.Options {
	return delivery.Options{
		Sender: send, Pages: b, Offsets: b, Allowed: func() bool { return true },
		Pause: func(r stream.Retry, _ int) time.Duration { return r.Initial },
		ID:    func(d *stream.Delivery) string { return d.TopicID },
		Log:   slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
}

type counter struct {
	n    atomic.Int64
	want int64
	done chan struct{}
}

func (c *counter) Send(context.Context, *stream.Delivery) stream.Attempt {
	if c.n.Add(1) == c.want {
		close(c.done)
	}
	return stream.Attempt{Outcome: stream.DeliveryDone, Status: 200}
}

// BenchmarkDeliver measures what the engine itself takes for a record.
func BenchmarkDeliver(b *testing.B) {
	for _, ordering := range []string{stream.OrderingKey, stream.OrderingNone} {
		b.Run(ordering, func(b *testing.B) {
			k := newBroker()
			k.create("orders", 6)
			for i := range b.N {
				k.publish("orders", i%6, key(fmt.Sprint(i%1000)), 0)
			}
			c := &counter{want: int64(b.N), done: make(chan struct{})}
			e := delivery.New(benchOptions(k, c))
			defer e.Close()
			b.ReportAllocs()
			b.ResetTimer()
			e.Own(subscription(func(s *stream.Subscription) { s.Ordering = ordering }))
			<-c.done
		})
	}
}

// BenchmarkIdle reports what an idle subscription takes.
func BenchmarkIdle(b *testing.B) {
	const subs = 5000
	for b.Loop() {
		k := newBroker()
		k.create("orders", 6)
		before, goroutines := heap(), runtime.NumGoroutine()
		e := delivery.New(benchOptions(k, &counter{}))
		for i := range subs {
			e.Own(subscription(func(s *stream.Subscription) {
				s.ID = fmt.Sprint("s", i)
				s.Group = s.ID
			}))
		}
		for k.count() < subs || runtime.NumGoroutine() > goroutines+subs+20 {
			runtime.Gosched()
		}
		b.ReportMetric(float64(heap()-before)/subs, "bytes/sub")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/subs, "goroutines/sub")
		e.Close()
	}
}

// heap gives the bytes in use, stacks included.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
