package httpapi

import (
	"context"
	"net/http"
	"strings"

	"sluice/internal/stream"
)

// Tracer makes spans; what ends one is the function that begins it gives.
type Tracer interface {
	// Serve begins the span of a request, on the trace that its headers name.
	Serve(ctx context.Context, h http.Header, method string) (context.Context, func(route string, status int, code stream.Code))
	// Batch begins the span of many records that are sent to a stream.
	Batch(ctx context.Context, id string) (context.Context, func(error))
}

// trace makes a span of each request but those of probes and scrapes. Of an
// event stream it ends when the stream is open.
func (a *api) trace(next http.Handler) http.Handler {
	if a.Tracer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/health/") || r.URL.Path == "/metrics" {
			next.ServeHTTP(w, r)
			return
		}
		ctx, end := a.Tracer.Serve(r.Context(), r.Header, knownMethod(r.Method))
		defer func() { // also when the handler panics
			x := exchangeOf(w)
			end(routeOf(r), statusOf(x), x.code)
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// publishBatch stores the records of an NDJSON body, or of a batch of events.
func (a *api) publishBatch(x *exchange, r *http.Request, id string, format bodyFormat) (err error) {
	if a.Tracer != nil {
		ctx, end := a.Tracer.Batch(r.Context(), id)
		defer func() { end(err) }()
		r = r.WithContext(ctx)
	}
	if format == formatNDJSON {
		return a.publishLines(x, r, id)
	}
	return a.publishEvents(x, r, id)
}
