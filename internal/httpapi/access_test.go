package httpapi_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// fakeAuth takes the names of callers for their tokens.
type fakeAuth map[string]*stream.Caller

func (f fakeAuth) Bearer(_ context.Context, token string) (*stream.Caller, error) {
	if c := f[token]; c != nil {
		return c, nil
	}
	return nil, stream.Errorf(stream.Unauthenticated, "the token is unknown")
}

func (f fakeAuth) Certificate(cert *x509.Certificate) (*stream.Caller, error) {
	return f.Bearer(context.Background(), cert.Subject.CommonName)
}

func patternOf(tb testing.TB, text string) stream.Pattern {
	tb.Helper()
	p, err := stream.ParsePattern(text)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// The callers of the tests: each may do one thing on the streams "mine" and
// "mine.*", nobody nothing.
func callers(tb testing.TB) fakeAuth {
	mine := patternOf(tb, "mine,mine.*")
	all := fakeAuth{
		"publisher":  {Rights: stream.Rights{Publish: mine}},
		"subscriber": {Rights: stream.Rights{Subscribe: mine, JoinGroups: mine}},
		"manager":    {Rights: stream.Rights{Manage: mine, ManageGroups: mine}},
		"registrar":  {Rights: stream.Rights{Schemas: patternOf(tb, "Mine")}},
		"nobody":     {},
	}
	for name, c := range all {
		c.Name = "token:" + name
	}
	return all
}

func authenticated(tb testing.TB) *gateway {
	return newGateway(tb, func(o *httpapi.Options) { o.Auth = callers(tb) })
}

// matrix says for each route who gets through, by a letter each: p for the
// publisher, s for the subscriber, m for the manager, r for the registrar, n for
// who may do nothing, and a for callers
// without credentials. In the path, "@" stands for "mine" and "Mine"; with
// another name in its place nobody gets through.
var matrix = map[string]struct {
	path, body, who string
}{
	"GET /":                {"/", "", "psmrna"},
	"GET /console/{file}":  {"/console/style.css", "", "psmrna"},
	"GET /health/live":     {"/health/live", "", "psmrna"},
	"GET /health/ready":    {"/health/ready", "", "psmrna"},
	"GET /openapi.yaml":    {"/openapi.yaml", "", "psmrna"},
	"GET /problems/{slug}": {"/problems/forbidden", "", "psmrna"},
	"GET /metrics":         {"/metrics", "", "m"},

	"GET /caller":                                        {"/caller", "", "psmr"},
	"GET /streams":                                       {"/streams", "", "psmr"},
	"POST /streams/{stream}":                             {"/streams/@", "1", "p"},
	"PUT /streams/{stream}":                              {"/streams/@", "{}", "m"},
	"GET /streams/{stream}":                              {"/streams/@", "", "psm"},
	"DELETE /streams/{stream}":                           {"/streams/@", "", "m"},
	"GET /streams/{pattern}/records":                     {"/streams/@/records", "", "s"},
	"GET /streams/{stream}/records/{partition}/{offset}": {"/streams/@/records/0/0", "", "s"},
	"GET /streams/{pattern}/events":                      {"/streams/@/events", "", "s"},
	"GET /streams/{stream}/partitions":                   {"/streams/@/partitions", "", "psm"},
	"GET /streams/{stream}/config":                       {"/streams/@/config", "", "psm"},
	"DELETE /streams/{pattern}/records":                  {"/streams/@/records?before=latest", "", "m"},
	"POST /event-tokens":                                 {"/event-tokens", "{}", "s"},
	"GET /groups":                                        {"/groups", "", "psmr"},
	"GET /groups/{id}":                                   {"/groups/@", "", "sm"},
	"DELETE /groups/{id}":                                {"/groups/@", "", "m"},
	"POST /groups/{id}/position":                         {"/groups/@/position", `{"from":"latest"}`, "m"},
	"DELETE /groups/{id}/offsets":                        {"/groups/@/offsets?streams=x", "", "m"},
	"POST /groups/{id}/commit":                           {"/groups/@/commit", `{"position":"p1."}`, "s"},

	"GET /cluster":                           {"/cluster", "", "m"},
	"GET /cluster/brokers":                   {"/cluster/brokers", "", "m"},
	"GET /cluster/brokers/{id}":              {"/cluster/brokers/1", "", "m"},
	"GET /cluster/brokers/{id}/api-versions": {"/cluster/brokers/1/api-versions", "", "m"},

	"GET /schemas":                                     {"/schemas", "", "psmr"},
	"GET /schemas/{name}":                              {"/schemas/S", "", "psmr"},
	"POST /schemas/{name}/versions":                    {"/schemas/@/versions", `{"schema":{}}`, "r"},
	"GET /schemas/{name}/versions/{version}":           {"/schemas/S/versions/1", "", "psmr"},
	"DELETE /schemas/{name}/versions/{version}":        {"/schemas/@/versions/1", "", "r"},
	"POST /schemas/{name}/versions/{version}/validate": {"/schemas/S/versions/1/validate", "1", "psmr"},

	"GET /subscriptions":                {"/subscriptions", "", "psmr"},
	"POST /subscriptions":               {"/subscriptions", "{}", "s"},
	"GET /subscriptions/{id}":           {"/subscriptions/a", "", "psmr"},
	"PUT /subscriptions/{id}":           {"/subscriptions/a", "{}", "s"},
	"DELETE /subscriptions/{id}":        {"/subscriptions/a", "", "psmr"},
	"POST /subscriptions/{id}/pause":    {"/subscriptions/a/pause", "", "psmr"},
	"POST /subscriptions/{id}/resume":   {"/subscriptions/a/resume", "", "s"},
	"POST /subscriptions/{id}/secret":   {"/subscriptions/a/secret", "", "s"},
	"POST /subscriptions/{id}/position": {"/subscriptions/a/position", "{}", "s"},
	"POST /subscriptions/{id}/redrive":  {"/subscriptions/a/redrive", "", "s"},
	"POST /subscriptions/{id}/test":     {"/subscriptions/a/test", "", "s"},
	"GET /subscriptions/{id}/status":    {"/subscriptions/a/status", "", "psmr"},
}

// tokensOf gives the letters of the matrix their tokens.
var tokensOf = map[byte]string{'p': "publisher", 's': "subscriber", 'm': "manager", 'r': "registrar", 'n': "nobody", 'a': ""}

// Every route lets in whom it shall, and nobody else.
func TestAccessToEveryRoute(t *testing.T) {
	g := authenticated(t)
	g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) {
		f := newFollower()
		f.fail <- io.EOF
		return f, nil
	}
	var routed []string
	err := chi.Walk(g.handler.(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routed = append(routed, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range routed {
		want, ruled := matrix[route]
		if !ruled {
			t.Errorf("%s has no line in the matrix: who may use it?", route)
			continue
		}
		method, pattern, _ := strings.Cut(route, " ")
		own := "mine"
		if strings.HasPrefix(pattern, "/schemas/") {
			own = "Mine"
		}
		got := g.letIn(t, method, strings.ReplaceAll(want.path, "@", own), want.body)
		if diff := cmp.Diff(sorted(want.who), got); diff != "" {
			t.Errorf("%s lets in (-want, +got):\n%s", route, diff)
		}
		if strings.Contains(want.path, "@") {
			for _, other := range []string{"theirs", "min", "mined", "%2e%2e", "mine%2Fx"} {
				if got := g.letIn(t, method, strings.ReplaceAll(want.path, "@", other), want.body); got != "" {
					t.Errorf("%s lets in %s for %s", route, got, other)
				}
			}
		}
	}
	if len(routed) != len(matrix) {
		t.Errorf("there are %d routes and %d lines in the matrix", len(routed), len(matrix))
	}
}

func sorted(letters string) string {
	b := []byte(letters)
	slices.Sort(b)
	return string(b)
}

// letIn tries all callers, and gives the letters of those that are let in.
func (g *gateway) letIn(t *testing.T, method, path, body string) string {
	t.Helper()
	var in []byte
	for letter, token := range tokensOf {
		var headers []string
		if token != "" {
			headers = []string{"Authorization: Bearer " + token}
		}
		if method != "GET" && method != "DELETE" {
			headers = append(headers, "Content-Type: application/json")
		}
		res := g.do(t, method+" "+path, body, headers...)
		if res.StatusCode != 401 && res.StatusCode != 403 {
			in = append(in, letter)
			continue
		}
		if want := map[bool]int{true: 401, false: 403}[token == ""]; res.StatusCode != want {
			t.Errorf("%s %s by %q: %d, want %d", method, path, token, res.StatusCode, want)
		}
		if method == "POST" && strings.HasPrefix(path, "/streams/") && !strings.Contains(res.body, `"outcome":"not_stored"`) {
			t.Errorf("%s does not say that nothing was stored: %s", path, res.body)
		}
	}
	slices.Sort(in)
	return string(in)
}

func TestWithoutCredentials(t *testing.T) {
	g := authenticated(t)
	res := g.do(t, "GET /streams", "")
	p := res.wantProblem(t, stream.Unauthenticated, 401)
	if got := res.Header.Get("WWW-Authenticate"); got != `Bearer realm="sluice"` || !strings.Contains(p.Detail, "Authorization") {
		t.Errorf("challenge %q, %s", got, p.Detail)
	}
	for _, header := range []string{"", "Bearer", "Bearer ", "Basic YTpi", "Bearer wrong", "Bearer a b", "Bearer \x00", "bearer manager,x", "Bearer " + strings.Repeat("a", 1<<17)} {
		res := g.do(t, "GET /streams", "", "Authorization: "+header)
		res.wantProblem(t, stream.Unauthenticated, 401)
		if got := res.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
			t.Errorf("%.20q: challenge %q", header, got)
		}
	}
	g.do(t, "GET /streams", "", "Authorization: Bearer manager", "Authorization: Bearer manager").wantProblem(t, stream.InvalidRequest, 400)
	g.streams.list = func(context.Context, stream.Pattern) ([]stream.Info, error) { return nil, nil }
	if res := g.do(t, "GET /streams", "", "Authorization: bEARER  manager"); res.StatusCode != 200 {
		t.Errorf("got %d", res.StatusCode)
	}
}

// What rules deny is denied whether it exists or not: nothing is looked up.
func TestForbiddenTellsNothing(t *testing.T) {
	g := authenticated(t)
	for _, request := range []string{"GET /streams/theirs", "DELETE /streams/theirs", "GET /streams/theirs/records", "GET /streams/mine,theirs/events", "GET /streams/theirs/records/0/0"} {
		p := g.do(t, request, "", "Authorization: Bearer subscriber").wantProblem(t, stream.Forbidden, 403)
		if !strings.Contains(p.Detail, "theirs") || !strings.Contains(p.Detail, "token:subscriber") {
			t.Error(p.Detail)
		}
	}
	if lines := g.log.lines("fake"); len(lines) > 0 {
		t.Error(lines)
	}
}

func TestListsShowWhatIsAllowed(t *testing.T) {
	g := authenticated(t)
	g.streams.list = func(context.Context, stream.Pattern) ([]stream.Info, error) {
		var all []stream.Info
		for _, id := range []string{"a", "mine", "mine.1", "z"} {
			all = append(all, stream.Info{ID: id, Partitions: 1, ReplicationFactor: 1})
		}
		return all, nil
	}
	var got struct {
		Streams []struct {
			ID string `json:"id"`
		} `json:"streams"`
	}
	g.do(t, "GET /streams", "", "Authorization: Bearer publisher").json(t, &got)
	if len(got.Streams) != 2 || got.Streams[0].ID != "mine" || got.Streams[1].ID != "mine.1" {
		t.Errorf("got %+v", got)
	}
	g.do(t, "GET /streams", "", "Authorization: Bearer registrar").json(t, &got)
	if len(got.Streams) != 0 {
		t.Errorf("got %+v", got)
	}
}

// A pattern sees the streams that are allowed, those of later too.
func TestPatternsAreBounded(t *testing.T) {
	g := authenticated(t)
	var read []stream.Pattern
	g.feeds.page = func(_ context.Context, r stream.PageRequest) (stream.PageAnswer, error) {
		read = append(read, r.Pattern)
		return stream.PageAnswer{}, errors.New("enough")
	}
	g.feeds.follow = func(_ context.Context, r stream.Reading, _ stream.Frames) (httpapi.Follower, error) {
		read = append(read, r.Pattern)
		return nil, errors.New("enough")
	}
	g.groups.join = func(_ context.Context, m stream.Membership, _ stream.Frames) (httpapi.Follower, error) {
		read = append(read, m.Pattern)
		return nil, errors.New("enough")
	}
	for _, path := range []string{"records", "events", "events?group=mine"} {
		g.do(t, "GET /streams/*/"+path, "", "Authorization: Bearer subscriber")
	}
	if len(read) != 3 {
		t.Fatalf("%d readings", len(read))
	}
	for _, p := range read {
		if !p.Match("mine") || !p.Match("mine.later") || p.Match("theirs") || p.Match("mined") {
			t.Errorf("%s reads what is not allowed, or not what is", p.Key())
		}
	}
}

func TestStreamsOfARegistration(t *testing.T) {
	auth := callers(t)
	auth["registrar"].Manage = patternOf(t, "mine")
	g := newGateway(t, func(o *httpapi.Options) { o.Auth = auth })
	p := g.do(t, "POST /schemas/Mine/versions", `{"schema":{},"streams":["mine","theirs"]}`, "Authorization: Bearer registrar").
		wantProblem(t, stream.Forbidden, 403)
	if !strings.Contains(p.Detail, `"theirs"`) {
		t.Error(p.Detail)
	}
}

func TestThePrincipalIsLogged(t *testing.T) {
	g := authenticated(t)
	g.do(t, "GET /streams/theirs", "", "Authorization: Bearer manager")
	if lines := g.log.lines(`"principal":"token:manager"`); len(lines) != 1 {
		t.Errorf("%d lines", len(lines))
	}
	if lines := g.log.lines("Bearer"); len(lines) > 0 {
		t.Errorf("credentials are logged: %v", lines)
	}
}

// Health tells those who are nobody no more than whether.
func TestHealthTellsNoDetails(t *testing.T) {
	g := authenticated(t)
	g.checks = fakeReadiness{{Name: "kafka", Detail: "nothing listens on 10.0.0.1:9092"}}
	if res := g.do(t, "GET /health/ready", ""); res.StatusCode != 503 || strings.Contains(res.body, "10.0.0.1") {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
	g.checks = fakeReadiness{{Name: "kafka", OK: true, Detail: "the files in /etc/sluice are not used"}, {Name: "deliveries", Optional: true, Detail: "grant READ on the group _sluice.deliveries"}}
	res := g.do(t, "GET /health/ready", "")
	if res.StatusCode != 200 || !strings.Contains(res.body, `{"name":"deliveries","ok":false,"optional":true}`) || strings.Contains(res.body, "sluice") {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}

func TestMetricsOfTheirOwn(t *testing.T) {
	var o httpapi.Options
	g := newGateway(t, func(op *httpapi.Options) {
		op.Auth, op.MetricsApart = callers(t), true
		o = *op
	})
	g.checks = fakeReadiness{{Name: "kafka", Detail: "nothing listens on 10.0.0.1:9092"}}
	g.do(t, "GET /metrics", "", "Authorization: Bearer manager").wantProblem(t, stream.NotFound, 404)
	if res := g.do(t, "GET /", ""); strings.Contains(res.body, "/metrics") {
		t.Error("the home page links to what is not there")
	}
	admin := httpapi.NewAdmin(o)
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/metrics": {200, "sluice_http_requests_total"}, "/health/live": {200, "ok"}, "/health/ready": {503, "10.0.0.1"}, "/streams": {404, ""},
	} {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// Whatever the header holds, the answer is one of three, and bytes of it are
// in no log.
func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"", "Bearer manager", "bearer  x", "Basic YTpi", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer \xff", "Negotiate", "Bearer a,b"} {
		f.Add(seed)
	}
	g := authenticated(f)
	g.streams.list = func(context.Context, stream.Pattern) ([]stream.Info, error) { return nil, nil }
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/streams", nil)
		r.Header["Authorization"] = []string{header}
		w := httptest.NewRecorder()
		g.handler.ServeHTTP(w, r)
		_, token, _ := strings.Cut(header, " ")
		known := callers(t)[strings.TrimLeft(token, " ")]
		if ok := known != nil && !known.None(); w.Code != 401 && w.Code != 403 && (w.Code != 200 || !ok) {
			t.Errorf("%q: %d", header, w.Code)
		}
	})
}
