package tracing

import (
	"context"
	"log/slog"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// maxReason bounds what is logged of a failure, in bytes: the collector's answer
// is part of it.
const maxReason = 500

// exporter sends spans, and says in the log when that begins to fail and when it
// works again, not each time.
type exporter struct {
	sdktrace.SpanExporter
	log     *slog.Logger
	metrics *metrics
	down    atomic.Bool
}

// ExportSpans sends spans. It never gives an error: it has told it, and
// OpenTelemetry would tell each one.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.metrics.failed.Add(float64(len(spans)))
		if !e.down.Swap(true) {
			reason := err.Error()
			e.log.Warn("traces cannot be sent to the collector, and are lost until it takes them", slog.String("error", reason[:min(len(reason), maxReason)]))
		}
		return nil
	}
	e.metrics.exported.Add(float64(len(spans)))
	if e.down.Swap(false) {
		e.log.Info("the collector takes traces again")
	}
	return nil
}
