package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// fakeSubscriptions answers every call that a test does not expect with an
// error.
type fakeSubscriptions struct {
	list   func() ([]*stream.Subscription, error)
	get    func(id string) (*stream.Subscription, error)
	create func(body []byte) (*stream.Subscription, error)
	put    func(id string, body []byte, c stream.Condition) (*stream.Subscription, bool, error)
	remove func(id string, c stream.Condition) error
	act    func(action, id string, body []byte, c stream.Condition) (*stream.Subscription, error)
	status func(id string) (stream.SubscriptionStatus, error)
	test   func(id string) (stream.Attempt, error)
	groups map[string]string
}

func (f *fakeSubscriptions) List(context.Context) ([]*stream.Subscription, error) {
	if f.list == nil {
		return nil, nil
	}
	return f.list()
}

func (f *fakeSubscriptions) Get(_ context.Context, id string) (*stream.Subscription, error) {
	if f.get == nil {
		return nil, errUnexpected
	}
	return f.get(id)
}

func (f *fakeSubscriptions) Create(_ context.Context, body []byte) (*stream.Subscription, error) {
	if f.create == nil {
		return nil, errUnexpected
	}
	return f.create(body)
}

func (f *fakeSubscriptions) Put(_ context.Context, id string, body []byte, c stream.Condition) (*stream.Subscription, bool, error) {
	if f.put == nil {
		return nil, false, errUnexpected
	}
	return f.put(id, body, c)
}

func (f *fakeSubscriptions) Delete(_ context.Context, id string, c stream.Condition) error {
	if f.remove == nil {
		return errUnexpected
	}
	return f.remove(id, c)
}

func (f *fakeSubscriptions) do(action, id string, body []byte, c stream.Condition) (*stream.Subscription, error) {
	if f.act == nil {
		return nil, errUnexpected
	}
	return f.act(action, id, body, c)
}

func (f *fakeSubscriptions) Pause(_ context.Context, id string, c stream.Condition) (*stream.Subscription, error) {
	return f.do("pause", id, nil, c)
}

func (f *fakeSubscriptions) Resume(_ context.Context, id string, c stream.Condition) (*stream.Subscription, error) {
	return f.do("resume", id, nil, c)
}

func (f *fakeSubscriptions) Rotate(_ context.Context, id string, body []byte, c stream.Condition) (*stream.Subscription, error) {
	return f.do("secret", id, body, c)
}

func (f *fakeSubscriptions) Move(_ context.Context, id string, body []byte, c stream.Condition) (*stream.Subscription, error) {
	return f.do("position", id, body, c)
}

func (f *fakeSubscriptions) Redrive(_ context.Context, id string, c stream.Condition) (*stream.Subscription, int64, error) {
	sub, err := f.do("redrive", id, nil, c)
	return sub, 7, err
}

func (f *fakeSubscriptions) Status(_ context.Context, id string) (stream.SubscriptionStatus, error) {
	if f.status == nil {
		return stream.SubscriptionStatus{}, errUnexpected
	}
	return f.status(id)
}

func (f *fakeSubscriptions) Test(_ context.Context, id string) (stream.Attempt, error) {
	if f.test == nil {
		return stream.Attempt{}, errUnexpected
	}
	return f.test(id)
}

func (f *fakeSubscriptions) Group(group string) string { return f.groups[group] }

// topSecret is what only the answers to a creation and a rotation may hold.
var topSecret = []byte("0123456789abcdef01234567topsecret")

func billing(tb testing.TB) *stream.Subscription {
	tb.Helper()
	p, err := stream.ParsePattern("orders.*")
	if err != nil {
		tb.Fatal(err)
	}
	return &stream.Subscription{
		ID: "billing", Revision: 3, Group: "billing", Streams: p, From: "latest",
		Endpoint: stream.Endpoint{
			URL:     "https://app.example/hooks",
			Headers: []stream.Header{{Name: "Authorization", Value: []byte("Bearer hidden")}},
			Secrets: []stream.Secret{{Key: topSecret}, {Key: []byte("older"), Until: time.Now().Add(time.Hour)}},
		},
		View: "record", Batch: stream.Batch{MaxRecords: 1}, Ordering: "key", MaxInFlight: 10, Timeout: 15 * time.Second,
		Retry:       stream.Retry{Initial: 5 * time.Second, Max: 24 * time.Hour, Multiplier: 4, Jitter: 0.2, MaxAttempts: 10},
		OnExhausted: "dead_letter", DeadLetter: "billing.dead-letter", State: "active", Created: noon, Changed: noon,
	}
}

// wantHidden fails when an answer shows what is secret.
func (r reply) wantHidden(tb testing.TB) {
	tb.Helper()
	if strings.Contains(r.body, "whsec_") || strings.Contains(r.body, "hidden") {
		tb.Errorf("the answer shows a secret: %s", r.body)
	}
}

func TestSubscriptionIsShownWithoutSecrets(t *testing.T) {
	g := newGateway(t, nil)
	sub := billing(t)
	g.subs.list = func() ([]*stream.Subscription, error) { return []*stream.Subscription{sub}, nil }
	g.subs.get = func(id string) (*stream.Subscription, error) { return sub, nil }
	g.subs.act = func(string, string, []byte, stream.Condition) (*stream.Subscription, error) { return sub, nil }
	g.subs.put = func(string, []byte, stream.Condition) (*stream.Subscription, bool, error) { return sub, false, nil }

	one := g.do(t, "GET /subscriptions/billing", "")
	if one.StatusCode != 200 || one.Header.Get("ETag") != `"3"` {
		t.Errorf("%d, ETag %q", one.StatusCode, one.Header.Get("ETag"))
	}
	golden(t, "subscription.json", strings.ReplaceAll(one.body, sub.Endpoint.Secrets[1].Until.UTC().Format("2006-01-02T15:04:05.000Z07:00"), "UNTIL"))
	for _, request := range []string{
		"GET /subscriptions", "GET /subscriptions/billing", "PUT /subscriptions/billing", "POST /subscriptions/billing/pause",
		"POST /subscriptions/billing/resume", "POST /subscriptions/billing/redrive",
	} {
		body := ""
		if strings.HasPrefix(request, "PUT") {
			body = "{}"
		}
		res := g.do(t, request, body)
		if res.StatusCode >= 300 {
			t.Errorf("%s: %d %s", request, res.StatusCode, res.body)
		}
		res.wantHidden(t)
	}
	if len(g.log.lines("whsec_"))+len(g.log.lines("hidden"))+len(g.log.lines("topsecret")) > 0 {
		t.Error("the log has a secret")
	}
}

func TestSecretIsShownOnce(t *testing.T) {
	g := newGateway(t, nil)
	sub := billing(t)
	g.subs.create = func([]byte) (*stream.Subscription, error) { return sub, nil }
	g.subs.put = func(string, []byte, stream.Condition) (*stream.Subscription, bool, error) { return sub, true, nil }
	g.subs.act = func(string, string, []byte, stream.Condition) (*stream.Subscription, error) { return sub, nil }
	for request, status := range map[string]int{
		"POST /subscriptions": 201, "PUT /subscriptions/billing": 201, "POST /subscriptions/billing/secret": 200,
	} {
		res := g.do(t, request, `{"streams":"orders.*"}`)
		if res.StatusCode != status || !strings.Contains(res.body, `"secret":"whsec_MDEyMzQ1`) {
			t.Errorf("%s: %d %s", request, res.StatusCode, res.body)
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the answer may be kept by caches", request)
		}
		if status == 201 && res.Header.Get("Location") != "/subscriptions/billing" {
			t.Errorf("%s: Location %q", request, res.Header.Get("Location"))
		}
	}
}

// A body that may be left out is refused all the same where it cannot be read:
// who sent a secret must not be given another one.
func TestOptionalBodyThatCannotBeRead(t *testing.T) {
	g := newGateway(t, nil)
	g.subs.act = func(request, _ string, _ []byte, _ stream.Condition) (*stream.Subscription, error) {
		t.Errorf("%s was carried out", request)
		return billing(t), nil
	}
	secret := `{"secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}`
	for _, header := range []string{"Content-Type: text/html", "Content-Encoding: br"} {
		res := g.do(t, "POST /subscriptions/billing/secret", secret, header)
		if res.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%s: %d %s", header, res.StatusCode, res.body)
		}
	}
}

func TestConditions(t *testing.T) {
	g := newGateway(t, nil)
	var got stream.Condition
	g.subs.put = func(_ string, _ []byte, c stream.Condition) (*stream.Subscription, bool, error) {
		got = c
		return billing(t), false, nil
	}
	for _, c := range []struct {
		header string
		want   stream.Condition
	}{
		{"", stream.Condition{}},
		{"If-None-Match: *", stream.Condition{Absent: true}},
		{"If-Match: *", stream.Condition{Exists: true}},
		{`If-Match: "3"`, stream.Condition{Revisions: []int64{3}}},
		{`If-Match: "3", "5"`, stream.Condition{Revisions: []int64{3, 5}}},
		{`If-Match: W/"3"`, stream.Condition{Revisions: []int64{}}},
		{`If-Match: "x"`, stream.Condition{Revisions: []int64{}}},
		{`If-Match: "03"`, stream.Condition{Revisions: []int64{}}},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{c.header}
		}
		if res := g.do(t, "PUT /subscriptions/billing", "{}", headers...); res.StatusCode != 200 {
			t.Errorf("%s: %d %s", c.header, res.StatusCode, res.body)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.header, diff)
		}
	}
	for _, header := range []string{`If-None-Match: "3"`, "If-Match: 3", "If-Match: ", `If-Match: "3`} {
		g.do(t, "PUT /subscriptions/billing", "{}", header).wantProblem(t, stream.InvalidRequest, 400)
	}
}

func TestSubscriptionActions(t *testing.T) {
	g := newGateway(t, nil)
	var calls []string
	g.subs.act = func(action, id string, body []byte, c stream.Condition) (*stream.Subscription, error) {
		calls = append(calls, action+" "+id+" "+string(body))
		if err := c.Check(3); err != nil {
			return nil, err
		}
		return billing(t), nil
	}
	for _, request := range []string{"pause", "resume", "secret", "position", "redrive"} {
		if res := g.do(t, "POST /subscriptions/billing/"+request, "", `If-Match: "3"`); res.StatusCode > 202 || res.Header.Get("ETag") != `"3"` {
			t.Errorf("%s: %d %s", request, res.StatusCode, res.body)
		}
		g.do(t, "POST /subscriptions/billing/"+request, "{}", `If-Match: "2"`).wantProblem(t, stream.EtagMismatch, 412)
		g.do(t, "POST /subscriptions/billing/"+request, "[]").wantProblem(t, stream.InvalidRequest, 400)
		g.do(t, "POST /subscriptions/billing/"+request, "{").wantProblem(t, stream.MalformedJSON, 400)
		g.do(t, "POST /subscriptions/billing/"+request+"?x=1", "").wantProblem(t, stream.InvalidRequest, 400)
	}
	for _, request := range []string{"pause", "resume", "redrive", "test"} {
		g.do(t, "POST /subscriptions/billing/"+request, `{"x":1}`).wantProblem(t, stream.InvalidRequest, 400)
	}
	want := []string{
		"pause billing ", "pause billing ", "resume billing ", "resume billing ", "secret billing {}", "secret billing {}",
		"position billing {}", "position billing {}", "redrive billing ", "redrive billing ",
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
	if res := g.do(t, "POST /subscriptions/billing/redrive", ""); res.StatusCode != 202 || !strings.Contains(res.body, `"records":7`) {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
	res := g.do(t, "POST /subscriptions/billing/position", `{"from":"earliest"}`)
	if res.StatusCode != 200 || calls[len(calls)-1] != `position billing {"from":"earliest"}` {
		t.Errorf("%d %s, %q", res.StatusCode, res.body, calls[len(calls)-1])
	}
}

func TestSubscriptionStatusAndTest(t *testing.T) {
	g := newGateway(t, nil)
	failed := stream.Attempt{At: noon, Took: 45 * time.Millisecond, Status: 500, Outcome: stream.DeliveryFailed, Detail: "the endpoint answered 500"}
	none := stream.Attempt{At: noon, Took: 15 * time.Second, Outcome: stream.DeliverySlow}
	g.subs.status = func(id string) (stream.SubscriptionStatus, error) {
		return stream.SubscriptionStatus{
			ID: id, State: "paused", Reason: "gone", Lag: 5, DeadLetters: 2,
			Partitions: []stream.PartitionStatus{{Partition: stream.Partition{Stream: "orders.eu", Number: 1}, Next: 5, End: 10, Lag: 5}},
			Health:     stream.Health{At: noon, InFlight: 1, Waiting: 2, Slowed: true, LastSuccess: noon, LastError: failed, Attempts: []stream.Attempt{none, failed}},
		}, nil
	}
	golden(t, "subscription_status.json", g.do(t, "GET /subscriptions/billing/status", "").body)
	g.subs.status = func(id string) (stream.SubscriptionStatus, error) {
		return stream.SubscriptionStatus{ID: id, State: "active"}, nil
	}
	golden(t, "subscription_status_new.json", g.do(t, "GET /subscriptions/billing/status", "").body)
	g.subs.test = func(string) (stream.Attempt, error) { return failed, nil }
	golden(t, "subscription_test.json", g.do(t, "POST /subscriptions/billing/test", "").body)
}

func TestSubscriptionProblems(t *testing.T) {
	g := newGateway(t, nil)
	gone := stream.Errorf(stream.UnknownSubscription, "there is none")
	g.subs.get = func(string) (*stream.Subscription, error) { return nil, gone }
	g.subs.remove = func(_ string, c stream.Condition) error { return c.Check(3) }
	g.subs.create = func([]byte) (*stream.Subscription, error) {
		return nil, &stream.Error{Code: stream.InvalidRequest, Message: "two", Violations: []stream.Violation{{Pointer: "#/a", Detail: "one"}, {Pointer: "#/b", Detail: "two"}}}
	}
	g.do(t, "GET /subscriptions/x", "").wantProblem(t, stream.UnknownSubscription, 404)
	g.do(t, "DELETE /subscriptions/x", "", `If-Match: "2"`).wantProblem(t, stream.EtagMismatch, 412)
	if res := g.do(t, "DELETE /subscriptions/x", ""); res.StatusCode != 204 {
		t.Errorf("%d", res.StatusCode)
	}
	if p := g.do(t, "POST /subscriptions", "{}").wantProblem(t, stream.InvalidRequest, 400); len(p.Errors) != 2 {
		t.Errorf("%d errors, want both", len(p.Errors))
	}
	g.do(t, "POST /subscriptions", "").wantProblem(t, stream.MalformedJSON, 400)
	g.do(t, "POST /subscriptions", "[1]").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "POST /subscriptions", `{"a":1,"a":2}`).wantProblem(t, stream.MalformedJSON, 400)
	g.do(t, "POST /subscriptions", "{}", "Content-Type: application/x-ndjson").wantProblem(t, stream.UnsupportedType, 415)
}

func TestGroupOfASubscription(t *testing.T) {
	g := newGateway(t, nil)
	g.subs.groups = map[string]string{"billing-group": "billing"}
	g.do(t, "POST /groups/billing-group/commit", `{"position":"`+stream.Position{}.String()+`"}`).wantProblem(t, stream.GroupInUse, 409)
	g.do(t, "GET /streams/a/events?group=billing-group", "").wantProblem(t, stream.GroupInUse, 409)
}

func TestWithoutSubscriptions(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) { o.Subscriptions = nil })
	for _, target := range []string{"/subscriptions", "/subscriptions/x", "/subscriptions/x/status"} {
		w := httptest.NewRecorder() // not g.do, which holds the answer against a description that has these routes
		g.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	if res := g.do(t, "GET /", ""); strings.Contains(res.body, "subscriptions") {
		t.Error(res.body)
	}
}
