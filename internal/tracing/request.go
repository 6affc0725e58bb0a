package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"sluice/internal/stream"
)

// Serve begins the span of a request, which goes on the trace that its headers
// name. The context is that of the request from then on, and the function ends
// the span: with the pattern of the route, "unmatched" where there is none, the
// status of the answer, and the code of the problem that was answered, if it was
// one.
func (t *Tracer) Serve(ctx context.Context, h http.Header, method string) (context.Context, func(route string, status int, code stream.Code)) {
	if len(h["Traceparent"]) == 1 { // by the standard a second one makes the first void
		ctx = t.context.Extract(ctx, propagation.HeaderCarrier(h))
	}
	known, name := method, method
	if method == "other" {
		known, name = "_OTHER", "HTTP"
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.request.method", known)))
	return ctx, func(route string, status int, code stream.Code) {
		defer span.End()
		if !span.IsRecording() {
			return
		}
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if route != "unmatched" {
			span.SetName(name + " " + route)
			span.SetAttributes(attribute.String("http.route", route))
		}
		if code != "" {
			span.SetAttributes(attribute.String("error.type", string(code)))
		}
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
}
