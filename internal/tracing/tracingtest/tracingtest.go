// Package tracingtest is a collector of traces for tests: it takes what OTLP
// sends over HTTP, and shows it in few words. It is for nothing else.
package tracingtest

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as tests look at it. Ids are hexadecimal.
type Span struct {
	Name, Kind        string // the kind as in "SERVER"
	Trace, ID, Parent string
	Links             []string          // the ids of the spans that it refers to
	Attributes        map[string]string // as text
	Failed            bool
	Service, Version  string // of the resource
}

// Collector takes spans.
type Collector struct {
	URL string // where spans go

	mu       sync.Mutex
	status   int
	requests []*http.Request
	spans    []Span
}

// New starts a collector, which ends with the test.
func New(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{status: http.StatusOK}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(server.Close)
	c.URL = server.URL + "/v1/traces"
	return c
}

// Answer makes the collector answer with that status from now on.
func (c *Collector) Answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// Spans gives all spans that came, in the order of their names.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.spans)
	slices.SortStableFunc(all, func(a, b Span) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Span gives the only span of that name; the zero Span when there is none, or
// more than one.
func (c *Collector) Span(name string) Span {
	var found []Span
	for _, s := range c.Spans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		return Span{}
	}
	return found[0]
}

// Requests gives the requests that came, without their bodies.
func (c *Collector) Requests() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var batch collect.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &batch)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if err != nil || r.URL.Path != "/v1/traces" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if c.status == http.StatusOK {
		c.keep(&batch)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(c.status)
}

func (c *Collector) keep(batch *collect.ExportTraceServiceRequest) {
	for _, of := range batch.GetResourceSpans() {
		about := texts(of.GetResource().GetAttributes())
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				seen := Span{
					Name: s.GetName(), Kind: strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"),
					Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
					Attributes: texts(s.GetAttributes()), Failed: s.GetStatus().GetCode() == traces.Status_STATUS_CODE_ERROR,
					Service: about["service.name"], Version: about["service.version"],
				}
				for _, l := range s.GetLinks() {
					seen.Links = append(seen.Links, hex.EncodeToString(l.GetSpanId()))
				}
				c.spans = append(c.spans, seen)
			}
		}
	}
}

// texts gives attributes as text.
func texts(attributes []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		v := strings.TrimSpace(a.GetValue().String())
		_, v, _ = strings.Cut(v, ":")
		all[a.GetKey()] = strings.Trim(v, `"`)
	}
	return all
}
