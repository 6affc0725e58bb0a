package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// fakeAudit keeps decisions.
type fakeAudit struct {
	mu       sync.Mutex
	unwanted []stream.AuditKind
	refuses  bool // what must be audited
	admitted int  // and not recorded
	list     []stream.Decision
}

func (f *fakeAudit) Wants(kind stream.AuditKind) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return kind != "" && !slices.Contains(f.unwanted, kind)
}

func (f *fakeAudit) Admit(kind stream.AuditKind) (bool, error) {
	wanted := f.Wants(kind)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses && wanted {
		return false, stream.Errorf(stream.AuditUnavailable, "it cannot be audited")
	}
	f.admitted++
	return true, nil
}

func (f *fakeAudit) Record(d stream.Decision, admitted bool) {
	wanted := f.Wants(d.Kind)
	f.mu.Lock()
	defer f.mu.Unlock()
	if admitted {
		f.admitted--
	}
	if wanted {
		f.list = append(f.list, d)
	}
}

// take gives the decisions since the last call.
func (f *fakeAudit) take(t *testing.T) []stream.Decision {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.admitted != 0 {
		t.Errorf("room is kept for %d decisions that do not come", f.admitted)
		f.admitted = 0
	}
	list := f.list
	f.list = nil
	return list
}

func audited(tb testing.TB, change func(*httpapi.Options)) (*gateway, *fakeAudit) {
	f := &fakeAudit{}
	g := newGateway(tb, func(o *httpapi.Options) {
		o.Auth, o.EventTokens, o.Audit = callers(tb), &fakeTokens{fakeAuth: callers(tb), end: time.Now().Add(time.Hour)}, f
		if change != nil {
			change(o)
		}
	})
	g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) {
		f := newFollower()
		f.fail <- io.EOF
		return f, nil
	}
	return g.storing(), f
}

func TestDecisionsAreAudited(t *testing.T) {
	g, f := audited(t, nil)
	g.streams.change = func(context.Context, string, stream.Change) (stream.Info, bool, error) {
		return stream.Info{ID: "mine", Partitions: 1, ReplicationFactor: 1}, true, nil
	}
	g.schemas.remove = func(context.Context, stream.SchemaRef) error {
		return stream.Errorf(stream.SchemaInUse, "it is in use")
	}
	g.subs.create = func([]byte) (*stream.Subscription, error) { return billing(t), nil }
	for _, tc := range []struct {
		request, body, who string
		want               stream.Decision
	}{
		{"PUT /streams/mine?partitions=1", "{}", "manager", stream.Decision{Kind: stream.AuditChange, Outcome: stream.AuditFailed, Action: "PUT /streams/{stream}", Resource: "stream", Name: "mine", Status: 400, Code: stream.InvalidRequest}},
		{"PUT /streams/mine", "{}", "manager", stream.Decision{Kind: stream.AuditChange, Outcome: stream.AuditAllowed, Action: "PUT /streams/{stream}", Resource: "stream", Name: "mine", Status: 201}},
		{"PUT /streams/theirs", "{}", "manager", stream.Decision{Kind: stream.AuditDenial, Outcome: stream.AuditDenied, Action: "PUT /streams/{stream}", Resource: "stream", Name: "theirs", Status: 403, Code: stream.Forbidden}},
		{"DELETE /streams/a%0A%2Fb", "", "manager", stream.Decision{Kind: stream.AuditDenial, Outcome: stream.AuditDenied, Action: "DELETE /streams/{stream}", Resource: "stream", Name: "a\n/b", Status: 403, Code: stream.Forbidden}},
		{"DELETE /schemas/Mine/versions/3", "", "registrar", stream.Decision{Kind: stream.AuditChange, Outcome: stream.AuditFailed, Action: "DELETE /schemas/{name}/versions/{version}", Resource: "schema", Name: "Mine:3", Status: 409, Code: stream.SchemaInUse}},
		{"POST /subscriptions", "{}", "subscriber", stream.Decision{Kind: stream.AuditChange, Outcome: stream.AuditAllowed, Action: "POST /subscriptions", Resource: "subscription", Name: "billing", Status: 201}},
		{"POST /event-tokens", `{"streams":"mine"}`, "subscriber", stream.Decision{Kind: stream.AuditChange, Outcome: stream.AuditAllowed, Action: "POST /event-tokens", Resource: "stream", Name: "mine", Status: 201}},
		{"POST /streams/mine?key=hush", "1", "publisher", stream.Decision{Kind: stream.AuditPublish, Outcome: stream.AuditAllowed, Action: "POST /streams/{stream}", Resource: "stream", Name: "mine", Status: 201}},
		{"GET /streams/mine*/events", "", "subscriber", stream.Decision{Kind: stream.AuditRead, Outcome: stream.AuditAllowed, Action: "GET /streams/{pattern}/events", Resource: "stream", Name: "mine*", Status: 200}},
		{"GET /streams/mine/events?access_token=hush", "", "", stream.Decision{Kind: stream.AuditDenial, Outcome: stream.AuditDenied, Action: "GET /streams/{pattern}/events", Resource: "stream", Name: "mine", Status: 401, Code: stream.Unauthenticated}},
		{"GET /subscriptions/a", "", "wrong", stream.Decision{Kind: stream.AuditDenial, Outcome: stream.AuditDenied, Action: "GET /subscriptions/{id}", Resource: "subscription", Name: "a", Status: 401, Code: stream.Unauthenticated}},
	} {
		var headers []string
		if tc.who != "" {
			headers = []string{"Authorization: Bearer " + tc.who}
		}
		g.do(t, tc.request, tc.body, append(headers, "X-Request-Id: r1")...)
		if tc.who != "" && tc.who != "wrong" {
			tc.want.Principal = "token:" + tc.who
		}
		tc.want.Address, tc.want.RequestID = "192.0.2.1", "r1"
		if diff := cmp.Diff([]stream.Decision{tc.want}, f.take(t), cmpopts.IgnoreFields(stream.Decision{}, "At")); diff != "" {
			t.Errorf("%s (-want, +got):\n%s", tc.request, diff)
		}
	}
	for _, public := range []string{"GET /", "GET /health/live", "GET /nothing", "GET /metrics"} {
		g.do(t, public, "", "Authorization: Bearer manager")
		if list := f.take(t); len(list) > 0 {
			t.Errorf("%s: %+v", public, list)
		}
	}
	g.do(t, "POST /streams/mine", "1", "Sec-Fetch-Site: cross-site", "Origin: https://evil.example") // refused before there is a route
	if list := f.take(t); len(list) != 1 || list[0].Code != stream.OriginNotAllowed || list[0].Kind != stream.AuditDenial {
		t.Errorf("another origin: %+v", list)
	}
}

// Every route that is not for everybody is audited, those that are added later
// too: what may not be done without being audited is refused on each.
func TestNoRouteIsLeftOutOfTheAuditLog(t *testing.T) {
	all := patternOf(t, "*")
	g, f := audited(t, func(o *httpapi.Options) {
		o.Auth = fakeAuth{"root": {Principal: stream.Principal{Name: "token:root"}, Rights: stream.Rights{Publish: all, Subscribe: all, Manage: all, Schemas: all, JoinGroups: all, ManageGroups: all}}}
	})
	f.refuses = true
	err := chi.Walk(g.handler.(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		line := matrix[method+" "+route]
		if slices.Contains([]byte(line.who), 'a') || route == "/metrics" {
			return nil // for everybody, or of no use to anybody but machines
		}
		r := mustRequest(t, method, strings.ReplaceAll(line.path, "@", "mine"))
		r.Header.Set("Authorization", "Bearer root")
		g.handler.ServeHTTP(discard{http.Header{}}, r)
		list := f.take(t)
		if len(list) != 1 || list[0].Code != stream.AuditUnavailable || list[0].Action != method+" "+route || list[0].Principal != "token:root" {
			t.Errorf("%s %s: %+v", method, route, list)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// discard is a ResponseWriter that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func mustRequest(t *testing.T, method, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What must be audited and cannot be is not done.
func TestWhatCannotBeAuditedIsNotDone(t *testing.T) {
	g, f := audited(t, nil)
	f.refuses, f.unwanted = true, []stream.AuditKind{stream.AuditRead}
	g.streams.remove = func(context.Context, string) error { t.Error("it is done"); return nil }
	g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) {
		t.Error("it is published")
		return stream.Report{}, nil
	}
	res := g.do(t, "DELETE /streams/mine", "", "Authorization: Bearer manager")
	if res.wantProblem(t, stream.AuditUnavailable, 503); res.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	if p := g.do(t, "POST /streams/mine", "1", "Authorization: Bearer publisher").wantProblem(t, stream.AuditUnavailable, 503); p.Outcome != "not_stored" {
		t.Errorf("the outcome is %q", p.Outcome)
	}
	g.do(t, "DELETE /streams/theirs", "", "Authorization: Bearer manager").wantProblem(t, stream.Forbidden, 403) // not even asked
	if res := g.do(t, "GET /streams/mine/events", "", asSubscriber); res.StatusCode != 200 {
		t.Errorf("what is not audited: %d", res.StatusCode)
	}
	list := f.take(t)
	if len(list) != 3 || list[0].Outcome != stream.AuditFailed || list[0].Code != stream.AuditUnavailable {
		t.Errorf("got %+v", list)
	}
}

// Nobody changes a stream of the gateway's own, with or without authentication,
// and that it is read makes no events that would be read in turn.
func TestReservedStreamsAreReadOnly(t *testing.T) {
	g, f := audited(t, func(o *httpapi.Options) { o.Reserved = []string{"mine.audit"} })
	open := newGateway(t, func(o *httpapi.Options) { o.Reserved = []string{"mine.audit"} }).storing()
	for request, who := range map[string]string{"POST /streams/mine.audit": "publisher", "PUT /streams/mine.audit": "manager", "DELETE /streams/mine%2eaudit": "manager"} {
		for _, gw := range []*gateway{g, open} {
			gw.do(t, request, "{}", "Authorization: Bearer "+who, "Content-Type: application/json").wantProblem(t, stream.Forbidden, 403)
		}
		if list := f.take(t); len(list) != 1 || list[0].Kind != stream.AuditDenial {
			t.Errorf("%s: %+v", request, list)
		}
	}
	all := patternOf(t, "*") // each route there is, those of later too
	root, _ := audited(t, func(o *httpapi.Options) {
		o.Reserved = []string{"mine.audit"}
		o.Auth = fakeAuth{"root": {Principal: stream.Principal{Name: "token:root"}, Rights: stream.Rights{Publish: all, Subscribe: all, Manage: all}}}
	})
	for route, line := range matrix {
		method, pattern, _ := strings.Cut(route, " ")
		if method == http.MethodGet || !strings.HasPrefix(pattern, "/streams/") {
			continue
		}
		res := root.do(t, method+" "+strings.ReplaceAll(line.path, "@", "mine.audit"), line.body, "Authorization: Bearer root", "Content-Type: application/json")
		if p := res.wantProblem(t, stream.Forbidden, 403); !strings.Contains(p.Detail, "gateway's own") {
			t.Errorf("%s: %s", route, p.Detail)
		}
	}
	for pattern, want := range map[string]int{"mine.audit": 0, "*": 0, "mine.a": 1} {
		if res := g.do(t, "GET /streams/"+pattern+"/events", "", asSubscriber); res.StatusCode != 200 {
			t.Errorf("%d %s", res.StatusCode, res.body)
		}
		if list := f.take(t); len(list) != want {
			t.Errorf("reading %s: %+v", pattern, list)
		}
	}
}
