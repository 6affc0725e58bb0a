// Package tracing makes OpenTelemetry's spans of what the gateway does, and
// sends them to a collector by OTLP over HTTP: of a request, of a record on its
// way to Kafka, of an attempt to deliver it to a webhook. The context passes
// from one to the next as W3C traceparent, in HTTP and in the record's headers.
//
// It is the only package that knows OpenTelemetry. It makes no metrics and no
// logs of it, it makes no spans of readers, and where no collector is configured
// it is not there at all: then the client's headers pass through as they are.
// No span holds a key, a path, a query, a header or data.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"sluice/internal/stream"
)

// How long sending spans may take, how long it is tried while the collector is
// busy, and how long the last spans may take when the gateway stops. While that goes on up to 2,048 spans wait (OTEL_BSP_MAX_QUEUE_SIZE);
// what comes on top is dropped.
const (
	exportTimeout = 30 * time.Second
	retryTime     = 20 * time.Second
	flushTimeout  = 5 * time.Second
)

// Options is what a Tracer needs. Logger and Registerer are required.
type Options struct {
	Endpoint    string            // URL to send spans to, http or https, with its path; "": there is no tracing
	Headers     map[string]string // sent with them; nil: those of OTEL_EXPORTER_OTLP_HEADERS
	SampleRatio *float64          // of traces that begin here, 0 to 1; nil: as OTEL_TRACES_SAMPLER says, else all
	ServiceName string            // "": as OTEL_SERVICE_NAME says, else sluice
	Version     string            // of the gateway; "" leaves it out
	Topics      stream.Topics     // spans name topics, as those of Kafka's clients do

	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Tracer makes spans. It may be used by any number of goroutines, and no method
// waits for the collector but Close.
type Tracer struct {
	log      *slog.Logger
	topics   stream.Topics
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	context  propagation.TraceContext
}

// New makes a tracer, which sends nothing before there are spans; whether there
// is a collector shows then. Close ends it.
func New(o Options) (*Tracer, error) {
	log := o.Log.With(slog.String("component", "tracing"))
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(o.Endpoint),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: flushTimeout, MaxElapsedTime: retryTime}),
	}
	if o.Headers != nil {
		options = append(options, otlptracehttp.WithHeaders(o.Headers))
	}
	collector, err := otlptracehttp.New(context.Background(), options...)
	if err != nil {
		return nil, fmt.Errorf("configure the exporter of traces: %w", err)
	}
	about, err := describe(o)
	if err != nil {
		return nil, err
	}
	m := newMetrics(o.Registerer)
	spans := sdktrace.NewBatchSpanProcessor(&exporter{SpanExporter: collector, log: log, metrics: m}, sdktrace.WithExportTimeout(exportTimeout))
	settings := []sdktrace.TracerProviderOption{sdktrace.WithResource(about), sdktrace.WithSpanProcessor(counted{spans, m})}
	if o.SampleRatio != nil {
		settings = append(settings, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(*o.SampleRatio))))
	}
	provider := sdktrace.NewTracerProvider(settings...)
	return &Tracer{log: log, topics: o.Topics, provider: provider, tracer: provider.Tracer("sluice", trace.WithInstrumentationVersion(o.Version))}, nil
}

// describe says what the spans are of: what the configuration says before what
// the environment does.
func describe(o Options) (*resource.Resource, error) {
	var said []attribute.KeyValue
	if o.ServiceName != "" {
		said = append(said, attribute.String("service.name", o.ServiceName))
	}
	if o.Version != "" {
		said = append(said, attribute.String("service.version", o.Version))
	}
	r, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "sluice")),
		resource.WithFromEnv(),
		resource.WithAttributes(said...),
	)
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return r, nil
}

// Close sends what has not been sent yet, until ctx ends and for 5 s at most.
// What is lost then is logged, and no reason to end with an error.
func (t *Tracer) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last traces could not be sent to the collector", slog.Any("error", err))
	}
	return nil
}
