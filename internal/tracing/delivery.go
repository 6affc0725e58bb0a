package tracing

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"sluice/internal/stream"
)

// Deliver begins the span of an attempt to deliver records. It refers to the
// records' spans; of a single record it goes on the trace, unless ctx has one.
// The function ends it.
func (t *Tracer) Deliver(ctx context.Context, d *stream.Delivery) (context.Context, func(stream.Attempt)) {
	var links []trace.Link
	for i := range d.Records {
		if origin := t.contextOf(d.Records[i].Headers); origin.IsValid() {
			links = append(links, trace.Link{SpanContext: origin})
		}
	}
	if len(d.Records) == 1 && len(links) == 1 && !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, links[0].SpanContext)
	}
	ctx, span := t.tracer.Start(ctx, "deliver "+d.Records[0].Stream, trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links...))
	if span.IsRecording() {
		span.SetAttributes(t.describe(d)...)
	}
	return ctx, func(a stream.Attempt) {
		defer span.End()
		if !span.IsRecording() {
			return
		}
		if a.Status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", a.Status))
		}
		span.SetAttributes(attribute.String("sluice.outcome", a.Outcome.String()))
		if a.Outcome != stream.DeliveryDone {
			span.SetStatus(codes.Error, a.Outcome.String())
			span.SetAttributes(attribute.String("error.type", errorType(a)))
		}
	}
}

// errorType is what the conventions want to know of a failure: the status, where
// there was one.
func errorType(a stream.Attempt) string {
	if a.Status != 0 {
		return strconv.Itoa(a.Status)
	}
	return a.Outcome.String()
}

// describe says what is delivered, and where to: of the URL, which may hold
// secrets, the host alone.
func (t *Tracer) describe(d *stream.Delivery) []attribute.KeyValue {
	first := &d.Records[0]
	about := append(place(first.Partition, first.Offset),
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "deliver"),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", t.topics.Topic(first.Stream)),
		attribute.String("http.request.method", http.MethodPost),
		attribute.String("sluice.subscription", d.Subscription.ID),
	)
	if len(d.Records) > 1 {
		about = append(about, attribute.Int("messaging.batch.message_count", len(d.Records)))
	}
	if d.Attempt > 1 {
		about = append(about, attribute.Int("http.request.resend_count", d.Attempt-1))
	}
	if u, err := url.Parse(d.Subscription.Endpoint.URL); err == nil {
		about = append(about, attribute.String("server.address", u.Hostname()))
		if port, err := strconv.Atoi(u.Port()); err == nil {
			about = append(about, attribute.Int("server.port", port))
		}
	}
	return about
}

// Inject makes the headers name the span of the context, and no other.
func (t *Tracer) Inject(ctx context.Context, h http.Header) {
	h.Del("Traceparent")
	h.Del("Tracestate")
	t.context.Inject(ctx, propagation.HeaderCarrier(h))
}
