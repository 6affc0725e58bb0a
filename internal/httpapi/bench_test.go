package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/internal/httpapi"
	"sluice/internal/quota"
	"sluice/internal/stream"
)

// discardWriter is a ResponseWriter that costs nothing.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) WriteHeader(int)             {}
func (w *discardWriter) Write(b []byte) (int, error) { return len(b), nil }

func benchGateway(b *testing.B, change ...func(*httpapi.Options)) *gateway {
	g := newGateway(b, func(o *httpapi.Options) {
		o.Log = slog.New(slog.DiscardHandler)
		for _, c := range change {
			c(o)
		}
	})
	g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) {
		return stream.Report{Partition: 1, Offset: 42, Timestamp: noon, Schema: "Order:1"}, nil
	}
	g.publisher.enqueue = func(_ context.Context, _ *stream.Outgoing, done func(stream.Report, error)) error {
		done(stream.Report{Partition: 1, Offset: 42, Timestamp: noon, Schema: "Order:1"}, nil)
		return nil
	}
	return g
}

// BenchmarkPublish is the gateway's own part of a publish of one record.
func BenchmarkPublish(b *testing.B) {
	benchPublish(b, benchGateway(b))
}

func benchPublish(b *testing.B, g *gateway) {
	data := []byte(`{"id":4711,"total":12.5,"lines":[{"sku":"a","n":1},{"sku":"b","n":2}],"note":"` + strings.Repeat("x", 120) + `"}`)
	body := bytes.NewReader(data)
	r := httptest.NewRequest("POST", "/streams/orders.eu?key=k1&schema=Order:1", nil)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", "r1")
	r.ContentLength, r.Body = int64(len(data)), io.NopCloser(body)
	w := &discardWriter{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(data)
		clear(w.header)
		g.handler.ServeHTTP(w, r)
	}
}

// BenchmarkPublishWithQuotas is BenchmarkPublish where the address has quotas of
// requests and of bytes.
func BenchmarkPublishWithQuotas(b *testing.B) {
	g := benchGateway(b, func(o *httpapi.Options) {
		o.Quotas = quota.New(quota.Options{Address: quota.Limits{Requests: 1 << 30, Bytes: 1 << 40}, Registerer: o.Registerer})
	})
	benchPublish(b, g)
}

// BenchmarkLines is the gateway's own part of a record of an NDJSON body.
func BenchmarkLines(b *testing.B) {
	const lines = 10_000
	g := benchGateway(b)
	data := []byte(strings.Repeat(`{"key":"k1","schema":"Order:1","headers":{"source":"shop"},"data":{"id":4711,"total":12.5,"note":"`+strings.Repeat("x", 120)+`"}}`+"\n", lines))
	body := bytes.NewReader(data)
	r := httptest.NewRequest("POST", "/streams/orders.eu", nil)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("X-Request-Id", "r1")
	r.ContentLength, r.Body = -1, io.NopCloser(body)
	w := &discardWriter{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(data)
		clear(w.header)
		g.handler.ServeHTTP(w, r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/record")
}
