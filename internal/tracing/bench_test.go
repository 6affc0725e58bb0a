package tracing_test

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
	"sluice/internal/tracing"
	"sluice/internal/tracing/tracingtest"
)

// BenchmarkRecord is what tracing adds to a publish: the spans of the request
// and of the record, sampled and not.
func BenchmarkRecord(b *testing.B) {
	for name, ratio := range map[string]float64{"sampled": 1, "not": 0} {
		b.Run(name, func(b *testing.B) {
			tracer, err := tracing.New(tracing.Options{
				Endpoint: tracingtest.New(b).URL, SampleRatio: &ratio, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
			})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = tracer.Close(b.Context()) }()
			b.ReportAllocs()
			for b.Loop() {
				ctx, answered := tracer.Serve(b.Context(), http.Header{}, http.MethodPost)
				tracer.Send(ctx, &stream.Outgoing{Stream: "orders"})(stream.Report{Partition: 1, Offset: 42}, nil)
				answered("/streams/{stream}", http.StatusCreated, "")
			}
		})
	}
}
