package tracing

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"sluice/internal/stream"
)

// batchKey marks a context within the span of a batch.
type batchKey struct{}

// Batch begins one span for many records that are sent to a stream: a request
// may have a million of them. Each gets its context. The function ends it, with
// what the whole request failed with.
func (t *Tracer) Batch(ctx context.Context, id string) (context.Context, func(error)) {
	ctx, span := t.send(ctx, id)
	return context.WithValue(ctx, batchKey{}, true), func(err error) { fail(span, err); span.End() }
}

// Send begins the span of a record on its way, and gives the record its context,
// unless it has one of its own: then the span refers to that. The function ends
// the span; it is nil within a batch, which has a span for all. The record's
// slice of headers is replaced.
func (t *Tracer) Send(ctx context.Context, rec *stream.Outgoing) func(stream.Report, error) {
	own := slices.ContainsFunc(rec.Headers, func(h stream.Header) bool { return h.Name == traceparent })
	if ctx.Value(batchKey{}) != nil {
		if !own {
			t.mark(ctx, rec)
		}
		return nil
	}
	var options []trace.SpanStartOption
	if origin := t.contextOf(rec.Headers); origin.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: origin}))
	}
	ctx, span := t.send(ctx, rec.Stream, options...)
	if !own {
		t.mark(ctx, rec)
	}
	return func(r stream.Report, err error) {
		if err == nil && span.IsRecording() {
			span.SetAttributes(place(r.Partition, r.Offset)...)
		}
		fail(span, err)
		span.End()
	}
}

// send begins the span of what is sent to a stream.
func (t *Tracer) send(ctx context.Context, id string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	options = append(options, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "send"),
		attribute.String("messaging.operation.type", "send"),
		attribute.String("messaging.destination.name", t.topics.Topic(id)),
	))
	return t.tracer.Start(ctx, "send "+id, options...)
}

// mark gives a record the context as headers.
func (t *Tracer) mark(ctx context.Context, rec *stream.Outgoing) {
	c := carrier{rec.Headers}
	t.context.Inject(ctx, &c)
	rec.Headers = c.headers
}

// contextOf gives the context that a record's headers name.
func (t *Tracer) contextOf(headers []stream.Header) trace.SpanContext {
	return trace.SpanContextFromContext(t.context.Extract(context.Background(), &carrier{headers}))
}

// place says where a record lies.
func place(partition int32, offset int64) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.destination.partition.id", strconv.Itoa(int(partition))),
		attribute.Int64("messaging.kafka.offset", offset),
	}
}

// fail says on a span that it failed, by the code alone: messages may quote what
// a client sent.
func fail(span trace.Span, err error) {
	if err == nil || !span.IsRecording() {
		return
	}
	code := stream.CodeOf(err)
	span.SetStatus(codes.Error, string(code))
	span.SetAttributes(attribute.String("error.type", string(code)))
	if e, ok := errors.AsType[*stream.Error](err); ok && e.Outcome != "" {
		span.SetAttributes(attribute.String("sluice.outcome", string(e.Outcome)))
	}
}

// traceparent is the header that names a span.
const traceparent = "traceparent"

// carrier is a record's headers as OpenTelemetry reads and writes them.
type carrier struct{ headers []stream.Header }

// Get gives the first header of that name.
func (c *carrier) Get(name string) string {
	for _, h := range c.headers {
		if h.Name == name {
			return string(h.Value)
		}
	}
	return ""
}

// Set adds a header, or replaces those of that name.
func (c *carrier) Set(name, value string) {
	c.headers = slices.DeleteFunc(slices.Clone(c.headers), func(h stream.Header) bool { return h.Name == name })
	c.headers = append(c.headers, stream.Header{Name: name, Value: []byte(value)})
}

// Keys gives the names.
func (c *carrier) Keys() []string {
	names := make([]string, len(c.headers))
	for i, h := range c.headers {
		names[i] = h.Name
	}
	return names
}
