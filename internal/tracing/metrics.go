package tracing

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// metrics count spans: what has ended and is neither sent nor failed waits, or
// was dropped because too many waited.
type metrics struct {
	ended    prometheus.Counter
	exported prometheus.Counter
	failed   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "sluice", Subsystem: "tracing", Name: name, Help: help})
	}
	return &metrics{
		ended:    counter("spans_total", "Spans that were sampled and have ended."),
		exported: counter("exported_spans_total", "Spans that the collector took."),
		failed:   counter("failed_spans_total", "Spans that could not be sent to the collector."),
	}
}

// counted counts the spans that a processor is given.
type counted struct {
	sdktrace.SpanProcessor
	metrics *metrics
}

// OnEnd takes a span that has ended.
func (c counted) OnEnd(s sdktrace.ReadOnlySpan) {
	c.metrics.ended.Inc()
	c.SpanProcessor.OnEnd(s)
}
