package httpapi

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

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
	// Validate says whether Change would create the stream, or what Change
	// would answer instead; nothing is changed.
	Validate(ctx context.Context, id string, change stream.Change) (creates bool, err error)
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

// Feeds reads streams live, and in pages.
type Feeds interface {
	// Follow gives the records of the reading as they come, written by frames.
	// Where the gateway has no room for one more follower, the code is
	// stream.Overloaded.
	Follow(ctx context.Context, reading stream.Reading, frames stream.Frames) (Follower, error)
	// Page gives the next records, waiting for a first one if it is asked to.
	Page(ctx context.Context, req stream.PageRequest) (stream.PageAnswer, error)
	// End gives the position after all records there are now; partition is one
	// of each stream, or stream.AnyPartition for all.
	End(ctx context.Context, pattern stream.Pattern, partition int32) (stream.Position, error)
}

// Follower is one live reader. It is used by one goroutine.
type Follower interface {
	// Next gives whole frames, which are valid until the next call; none when
	// there were none for as long as idle. To call it says that what the call
	// before gave was written to the client. The error is io.EOF when the
	// gateway stops, and a *stream.Error for what the client shall be told.
	Next(ctx context.Context, idle time.Duration) ([]byte, error)
	// Position gives the text form of the position after all that Next gave,
	// and after the records that the filter passed over since; it is valid
	// until the next call.
	Position() []byte
	// Close ends it. What the last call of Next gave may not have been written.
	Close()
}

// Groups reads as members of consumer groups.
type Groups interface {
	// Join makes a member, which leaves the group by its Close.
	Join(ctx context.Context, m stream.Membership, frames stream.Frames) (Follower, error)
	// Commit sets the group's offsets to those of the position.
	Commit(ctx context.Context, group string, p stream.Position) error
}

// Filters understands filters.
type Filters interface {
	// Compile reads a filter's text; the code is stream.InvalidRequest, and the
	// message says what is wrong and where.
	Compile(text string) (stream.Filter, error)
}

// Auth says who holds credentials, and what they may do. The code of its errors
// is stream.Unauthenticated where that is nobody.
type Auth interface {
	// Bearer gives who holds a token of the header Authorization.
	Bearer(ctx context.Context, token string) (*stream.Caller, error)
	// Certificate gives who showed a client certificate, which TLS verified.
	Certificate(cert *x509.Certificate) (*stream.Caller, error)
}

// Passwords says who has a user name and a password, which Kafka is asked about.
// The code of its errors is stream.Unauthenticated where that is nobody.
type Passwords interface {
	Basic(ctx context.Context, user, password string) (*stream.Caller, error)
}

// EventTokens makes and reads the short-lived tokens that are for reading events
// alone.
type EventTokens interface {
	// Issue makes one for the caller's streams that the pattern selects. Codes:
	// stream.Forbidden, stream.InvalidRequest.
	Issue(c *stream.Caller, streams stream.Pattern, lifetime time.Duration) (token string, expires time.Time, err error)
	// Open gives whose one is, with the rights of its streams; the code is
	// stream.Unauthenticated.
	Open(token string) (*stream.Caller, error)
}

// Ability is something that a gateway does for its clients.
type Ability string

// The abilities. A gateway is ready as long as it can publish or read.
const (
	CanPublish Ability = "publish"
	CanRead    Ability = "read"
	CanManage  Ability = "manage"  // streams and schemas
	CanDeliver Ability = "deliver" // to webhooks
)

// Revocations says what callers may do as that changes, for what lasts longer
// than a request is asked.
type Revocations interface {
	// Still gives what a caller may do now.
	Still(c *stream.Caller) stream.Rights
	// Watch has tell called after each change. It does not wait for anything.
	Watch(tell func())
}

// Audit keeps what was decided about requests.
type Audit interface {
	// Wants says whether decisions of a kind are kept.
	Wants(kind stream.AuditKind) bool
	// Admit says whether something of a kind may be done. Where it is true, room
	// is kept for its decision, which has to follow. The code is
	// stream.AuditUnavailable.
	Admit(kind stream.AuditKind) (admitted bool, err error)
	// Record takes a decision, and waits for nothing.
	Record(d stream.Decision, admitted bool)
}

// Check is one condition that must hold for the gateway to do its work.
type Check struct {
	Name   string // a short word: "kafka", "schemas"
	OK     bool
	Detail string // one sentence for people; may be empty when OK
	// Optional is for what others can do, or can wait: a check that does not
	// hold is shown, and the gateway is ready all the same.
	Optional bool
	// For are the abilities that need it, where these are not all.
	For []Ability
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

	// AccessContext gives the context with which the line of a request is logged;
	// streams are those that the path names, by their id or a pattern. nil: the
	// request's.
	AccessContext func(ctx context.Context, streams string) context.Context

	// Auth says who callers are; nil: nobody is asked, everybody may do
	// everything.
	Auth Auth
	// Passwords are taken beside what Auth takes; nil: they are not.
	Passwords Passwords
	// EventTokens are there where Auth is; nil: there are none.
	EventTokens EventTokens
	// Revocations ends event streams of those who may not read them any more;
	// nil: what callers may do never changes.
	Revocations Revocations
	// Audit keeps what was decided; nil: nothing is kept.
	Audit Audit
	// Reserved are streams that clients may read and not change; optional.
	Reserved []string
	// MetricsApart says that GET /metrics is served elsewhere, by NewAdmin.
	MetricsApart bool

	// Quotas limits what callers do; nil: nothing is counted.
	Quotas Quotas
	// TrustedProxies are those whose Forwarded and X-Forwarded-* are believed.
	TrustedProxies []netip.Prefix
	// WarnPlain has it logged, once, when a token comes in plain text.
	WarnPlain bool

	Version string // shown by GET /

	// AllowOrigins are the origins whose pages may use the API, as browsers
	// write them ("https://app.example"), or "*" for all; optional.
	AllowOrigins []string

	// AutoCommit and AutoCommitInterval are for readers in a group that do not
	// say whether and how often to commit. The interval is 5 s where it is 0.
	AutoCommit         bool
	AutoCommitInterval time.Duration

	Publisher    Publisher
	Streams      Streams
	Schemas      Schemas
	SchemaReader SchemaReader
	Records      Records
	Feeds        Feeds
	Groups       Groups
	GroupAdmin   GroupAdmin
	Filters      Filters
	Readiness    Readiness
	Brokers      Brokers
	Storage      Storage

	// Tracer traces requests; nil: nothing is traced.
	Tracer Tracer

	// Subscriptions are the webhooks; nil: there are none, nor their routes.
	Subscriptions Subscriptions
}

// api holds what the handlers share.
type api struct {
	Options

	began        time.Time
	metrics      *metrics
	events       *eventMetrics
	hosts        map[string]bool
	origins      allowedOrigins
	plain        sync.Once // the warning of tokens in plain text
	open         openStreams
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
	if o.AutoCommitInterval <= 0 {
		o.AutoCommitInterval = defaultCommitInterval
	}
	a := &api{
		Options: o,
		began:   time.Now(),
		metrics: newMetrics(o.Registerer),
		events:  newEventMetrics(o.Registerer),
		hosts:   servedHosts(o.AllowedHosts),
		origins: newAllowedOrigins(o.AllowOrigins),
	}
	if o.Revocations != nil {
		o.Revocations.Watch(a.open.ask)
	}
	a.publications.New = func() any { return new(publication) }
	a.readers.New = func() any { return newLineBuffer() }
	a.slots.New = func() any { return newSlot() }
	a.gzips.New = func() any { return newGzipExpander() }
	a.zstds.New = func() any { return newZstdExpander() }
	return a
}
