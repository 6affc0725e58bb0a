package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// Publisher checks records against their schemas and stores them.
type Publisher interface {
	// Publish checks and stores the record and waits for Kafka's report. It
	// does not keep the record or its slices after it returned.
	Publish(ctx context.Context, rec *stream.Outgoing) (stream.Report, error)

	// Enqueue checks the record and queues it; while the queue is full it may
	// wait a little. When it returns nil, done is called exactly once, later
	// and on another goroutine, and must not block; when it returns an error,
	// done is not called. The record and its slices belong to the publisher
	// until done.
	Enqueue(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error
}

// Streams manages streams.
type Streams interface {
	// List gives the streams that the pattern selects, sorted by id, without
	// their Config.
	List(ctx context.Context, pattern stream.Pattern) ([]stream.Info, error)
	// Describe gives one stream; the code is stream.UnknownStream when it does
	// not exist.
	Describe(ctx context.Context, id string) (stream.Info, error)
	// Change creates the stream, or changes what the change names.
	Change(ctx context.Context, id string, change stream.Change) (info stream.Info, created bool, err error)
	// Delete returns when the stream is gone.
	Delete(ctx context.Context, id string) error
}

// Schemas changes the registered schemas.
type Schemas interface {
	// Register adds a version; created is false when it was there already.
	Register(ctx context.Context, reg stream.Registration) (v stream.SchemaVersion, created bool, err error)
	// Delete removes a version no stream is bound to; a reference without a
	// version means the newest.
	Delete(ctx context.Context, ref stream.SchemaRef) error
}

// SchemaReader looks up the registered schemas.
type SchemaReader interface {
	// Schema gives a version; a reference without one means the newest.
	Schema(ctx context.Context, ref stream.SchemaRef) (stream.SchemaVersion, error)
	// Versions gives all versions of a schema, in order.
	Versions(ctx context.Context, name string) ([]stream.SchemaVersion, error)
	// List gives all versions of all schemas, sorted by name and version.
	List(ctx context.Context) ([]stream.SchemaVersion, error)
	// Validate checks data, which may be anything, against a schema.
	Validate(ctx context.Context, ref stream.SchemaRef, data []byte) error
}

// Records reads what is stored.
type Records interface {
	// Read gives the record at an offset; the code is stream.UnknownRecord
	// when there is none.
	Read(ctx context.Context, id string, partition int32, offset int64) (stream.Record, error)
}

// Check is one condition that must hold for the gateway to be ready.
type Check struct {
	Name   string // a short word: "kafka", "schemas"
	OK     bool
	Detail string // one sentence for people; may be empty when OK
}

// Readiness says whether the gateway can do its work.
type Readiness interface {
	// Ready gives all checks, at once: it asks nobody over the network.
	Ready() []Check
}

// Options is what New needs. All fields without a note are required.
type Options struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer // for this package's own metrics
	Gatherer   prometheus.Gatherer   // what GET /metrics shows
	Limits     Limits                // zero fields take the defaults
	Topics     stream.Topics         // the topic prefix, for checking stream ids

	// LoopbackOnly says that the gateway listens on loopback without
	// authentication: it then serves only the Hosts of this machine and
	// AllowedHosts, so that no page of another site reaches it by DNS.
	LoopbackOnly bool
	AllowedHosts []string // host names, without port; optional
	Version      string   // shown by GET /

	Publisher    Publisher
	Streams      Streams
	Schemas      Schemas
	SchemaReader SchemaReader
	Records      Records
	Readiness    Readiness
}

// api holds what the handlers share.
type api struct {
	Options

	metrics      *metrics
	hosts        map[string]bool
	publications sync.Pool // of *publication
	readers      sync.Pool // of *bufio.Reader, for NDJSON
	slots        sync.Pool // of *slot
	gzips, zstds sync.Pool // of expander
}

// New makes the handler of the whole HTTP API. It may serve any number of
// requests at once, behind any server; NewServer makes a suitable one.
func New(o Options) http.Handler { return newAPI(o).routes() }

func newAPI(o Options) *api {
	o.Limits = o.Limits.withDefaults()
	o.Log = o.Log.With(slog.String("component", "http"))
	a := &api{
		Options: o,
		metrics: newMetrics(o.Registerer),
		hosts:   servedHosts(o.AllowedHosts),
	}
	a.publications.New = func() any { return new(publication) }
	a.readers.New = func() any { return newLineBuffer() }
	a.slots.New = func() any { return newSlot() }
	a.gzips.New = func() any { return newGzipExpander() }
	a.zstds.New = func() any { return newZstdExpander() }
	return a
}
