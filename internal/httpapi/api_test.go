package httpapi_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/httpapi"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// The fakes: what a test does not set answers with an error it did not expect.

var errUnexpected = errors.New("the fake was not told what to do")

type fakePublisher struct {
	publish func(context.Context, *stream.Outgoing) (stream.Report, error)
	enqueue func(context.Context, *stream.Outgoing, func(stream.Report, error)) error
}

func (f *fakePublisher) Publish(ctx context.Context, rec *stream.Outgoing) (stream.Report, error) {
	if f.publish == nil {
		return stream.Report{}, errUnexpected
	}
	return f.publish(ctx, rec)
}

func (f *fakePublisher) Enqueue(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
	if f.enqueue == nil {
		return errUnexpected
	}
	return f.enqueue(ctx, rec, done)
}

type fakeStreams struct {
	list     func(context.Context, stream.Pattern) ([]stream.Info, error)
	describe func(context.Context, string) (stream.Info, error)
	change   func(context.Context, string, stream.Change) (stream.Info, bool, error)
	remove   func(context.Context, string) error
	validate func(context.Context, string, stream.Change) (bool, error)
}

func (f *fakeStreams) Validate(ctx context.Context, id string, c stream.Change) (bool, error) {
	if f.validate == nil {
		return false, errUnexpected
	}
	return f.validate(ctx, id, c)
}

func (f *fakeStreams) List(ctx context.Context, p stream.Pattern) ([]stream.Info, error) {
	if f.list == nil {
		return nil, errUnexpected
	}
	return f.list(ctx, p)
}

func (f *fakeStreams) Describe(ctx context.Context, id string) (stream.Info, error) {
	if f.describe == nil {
		return stream.Info{}, errUnexpected
	}
	return f.describe(ctx, id)
}

func (f *fakeStreams) Change(ctx context.Context, id string, c stream.Change) (stream.Info, bool, error) {
	if f.change == nil {
		return stream.Info{}, false, errUnexpected
	}
	return f.change(ctx, id, c)
}

func (f *fakeStreams) Delete(ctx context.Context, id string) error {
	if f.remove == nil {
		return errUnexpected
	}
	return f.remove(ctx, id)
}

type fakeSchemas struct {
	register func(context.Context, stream.Registration) (stream.SchemaVersion, bool, error)
	remove   func(context.Context, stream.SchemaRef) error
	schema   func(context.Context, stream.SchemaRef) (stream.SchemaVersion, error)
	versions func(context.Context, string) ([]stream.SchemaVersion, error)
	list     func(context.Context) ([]stream.SchemaVersion, error)
	validate func(context.Context, stream.SchemaRef, []byte) error
}

func (f *fakeSchemas) Register(ctx context.Context, r stream.Registration) (stream.SchemaVersion, bool, error) {
	if f.register == nil {
		return stream.SchemaVersion{}, false, errUnexpected
	}
	return f.register(ctx, r)
}

func (f *fakeSchemas) Delete(ctx context.Context, ref stream.SchemaRef) error {
	if f.remove == nil {
		return errUnexpected
	}
	return f.remove(ctx, ref)
}

func (f *fakeSchemas) Schema(ctx context.Context, ref stream.SchemaRef) (stream.SchemaVersion, error) {
	if f.schema == nil {
		return stream.SchemaVersion{}, errUnexpected
	}
	return f.schema(ctx, ref)
}

func (f *fakeSchemas) Versions(ctx context.Context, name string) ([]stream.SchemaVersion, error) {
	if f.versions == nil {
		return nil, errUnexpected
	}
	return f.versions(ctx, name)
}

func (f *fakeSchemas) List(ctx context.Context) ([]stream.SchemaVersion, error) {
	if f.list == nil {
		return nil, errUnexpected
	}
	return f.list(ctx)
}

func (f *fakeSchemas) Validate(ctx context.Context, ref stream.SchemaRef, data []byte) error {
	if f.validate == nil {
		return errUnexpected
	}
	return f.validate(ctx, ref, data)
}

type fakeRecords struct {
	read func(context.Context, string, int32, int64) (stream.Record, error)
}

func (f *fakeRecords) Read(ctx context.Context, id string, partition int32, offset int64) (stream.Record, error) {
	if f.read == nil {
		return stream.Record{}, errUnexpected
	}
	return f.read(ctx, id, partition, offset)
}

type fakeReadiness []httpapi.Check

func (f *fakeReadiness) Ready() []httpapi.Check { return *f }

// gateway is the API on fakes.
type gateway struct {
	publisher fakePublisher
	streams   fakeStreams
	schemas   fakeSchemas
	records   fakeRecords
	feeds     fakeFeeds
	groups    fakeGroups
	admin     fakeGroupAdmin
	filters   fakeFilters
	checks    fakeReadiness
	subs      fakeSubscriptions
	brokers   fakeBrokers
	storage   fakeStorage
	registry  *prometheus.Registry
	log       logBuffer
	handler   http.Handler
}

// newGateway makes one; change, when not nil, changes its options.
func newGateway(tb testing.TB, change func(*httpapi.Options)) *gateway {
	tb.Helper()
	g := &gateway{registry: prometheus.NewRegistry()}
	o := httpapi.Options{
		Log:        slog.New(slog.NewJSONHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registerer: g.registry, Gatherer: g.registry,
		Version:   "1.2.3",
		Publisher: &g.publisher, Streams: &g.streams, Schemas: &g.schemas,
		SchemaReader: &g.schemas, Records: &g.records, Readiness: &g.checks,
		Feeds: &g.feeds, Groups: &g.groups, GroupAdmin: &g.admin, Filters: &g.filters, AutoCommit: true,
		Subscriptions: &g.subs, Console: files(tb), Brokers: &g.brokers, Storage: &g.storage,
	}
	if change != nil {
		change(&o)
	}
	g.handler = httpapi.New(o)
	return g
}

// storing makes the publisher store everything in partition 0, from offset 42.
func (g *gateway) storing() *gateway {
	var mu sync.Mutex
	offset := int64(41)
	report := func(rec *stream.Outgoing) stream.Report {
		mu.Lock()
		defer mu.Unlock()
		offset++
		rep := stream.Report{Offset: offset, Timestamp: noon, Schema: "Order:1"}
		if rec.Partition != stream.AnyPartition {
			rep.Partition = rec.Partition
		}
		if rec.Tombstone {
			rep.Schema = ""
		}
		return rep
	}
	g.publisher.publish = func(_ context.Context, rec *stream.Outgoing) (stream.Report, error) {
		return report(rec), nil
	}
	g.publisher.enqueue = func(_ context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
		rep := report(rec)
		go done(rep, nil)
		return nil
	}
	return g
}

var noon = time.Date(2026, 1, 31, 12, 0, 0, 123e6, time.UTC)

// logBuffer keeps log lines.
type logBuffer struct{ kafkatest.Transcript }

func (l *logBuffer) lines(containing string) []string {
	var found []string
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, containing) {
			found = append(found, line)
		}
	}
	return found
}

// reply is an answer, read whole.
type reply struct {
	*http.Response

	body string
}

func (r reply) json(tb testing.TB, v any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		tb.Fatalf("answer %q: %v", r.body, err)
	}
}

// problem is a problem as a client sees it.
type problem struct {
	Type    string             `json:"type"`
	Title   string             `json:"title"`
	Status  int                `json:"status"`
	Detail  string             `json:"detail"`
	Errors  []stream.Violation `json:"errors"`
	Outcome string             `json:"outcome"`
	Line    int                `json:"line"`
}

// wantProblem fails unless the reply is a problem of that code.
func (r reply) wantProblem(tb testing.TB, code stream.Code, status int) problem {
	tb.Helper()
	var p problem
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		tb.Fatalf("content type %q, status %d, body %q", got, r.StatusCode, r.body)
	}
	r.json(tb, &p)
	if r.StatusCode != status || p.Status != status || p.Type != "/problems/"+string(code) {
		tb.Fatalf("got status %d, want %d %s; body %s", r.StatusCode, status, code, r.body)
	}
	if p.Title == "" || p.Detail == "" {
		tb.Errorf("a problem needs title and detail: %s", r.body)
	}
	return p
}

// do sends a request "METHOD target" through the handler, with headers as
// "Name: value", and holds the answer against the description of the API.
func (g *gateway) do(tb testing.TB, request, body string, headers ...string) reply {
	tb.Helper()
	method, target, _ := strings.Cut(request, " ")
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, content)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return g.send(tb, r)
}

func (g *gateway) send(tb testing.TB, r *http.Request) reply {
	tb.Helper()
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	res := w.Result()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	answer := reply{res, string(text)}
	if r.Method != http.MethodHead {
		checkAgainstDescription(tb, r, answer)
	}
	return answer
}
