package publish_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/publish"
	"sluice/internal/stream"
)

// BenchmarkPublish is what a publisher itself takes for a record, without Kafka
// and without a tracer: the tracer that is not there must cost nothing.
func BenchmarkPublish(b *testing.B) {
	p, rec := &parts{}, record()
	publisher := publish.New(publish.Options{Catalog: p, Schemas: p, Producer: p, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := publisher.Publish(context.Background(), rec); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnqueue is the same for a record that nobody waits for.
func BenchmarkEnqueue(b *testing.B) {
	p, rec := &parts{}, record()
	publisher := publish.New(publish.Options{Catalog: p, Schemas: p, Producer: p, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	done := func(stream.Report, error) {}
	b.ReportAllocs()
	for b.Loop() {
		if err := publisher.Enqueue(context.Background(), rec, done); err != nil {
			b.Fatal(err)
		}
	}
}
