package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/quota"
	"sluice/internal/stream"
)

// provoked is a request that the gateway answers with a problem of some code.
type provoked struct {
	from          func(testing.TB) *gateway // nil: one whose Kafka answers with the code
	request, body string
	headers       []string
}

// provocations gives a request for each code that the HTTP side makes itself.
// All other codes come from behind it, and are put there.
func provocations() map[stream.Code]provoked {
	plain := func(tb testing.TB) *gateway { return newGateway(tb, nil).storing() }
	small := func(tb testing.TB) *gateway {
		return newGateway(tb, func(o *httpapi.Options) { o.Limits.Record, o.Limits.Body = 10, 10 }).storing()
	}
	poor := func(tb testing.TB) *gateway {
		g, _ := limited(tb, quota.Options{Principal: quota.Limits{Requests: 1, Burst: 1}}, nil)
		g.do(tb, "GET /streams/mine", "", as("publisher"))
		return g
	}
	unaudited := func(tb testing.TB) *gateway {
		g, f := audited(tb, nil)
		f.refuses = true
		return g
	}
	strict := func(tb testing.TB) *gateway {
		return newGateway(tb, func(o *httpapi.Options) { o.LoopbackOnly = true })
	}
	broken := func(tb testing.TB) *gateway {
		g := newGateway(tb, nil)
		g.streams.describe = func(context.Context, string) (stream.Info, error) { return stream.Info{}, errors.New("secret") }
		return g
	}
	return map[stream.Code]provoked{
		stream.InvalidRequest:   {plain, "GET /streams?unknown=1", "", nil},
		stream.MalformedJSON:    {plain, "POST /streams/s", "{", []string{structured}},
		stream.Unauthenticated:  {authenticated, "GET /streams/mine", "", nil},
		stream.Forbidden:        {authenticated, "GET /streams/mine", "", []string{as("nobody")}},
		stream.OriginNotAllowed: {strict, "GET /streams/s", "", []string{"Host: evil.example"}},
		stream.NotFound:         {plain, "GET /nowhere", "", nil},
		stream.MethodNotAllowed: {plain, "DELETE /streams", "", nil},
		stream.TooLarge:         {small, "POST /streams/s", `"0123456789"`, nil},
		stream.UnsupportedType:  {plain, "POST /streams/s", "1", []string{"Content-Type: image/png"}},
		stream.InvalidRecord:    {plain, "POST /streams/s?tombstone=true", "", nil},
		stream.RateLimited:      {poor, "GET /streams/mine", "", []string{as("publisher")}},
		stream.AuditUnavailable: {unaudited, "PUT /streams/mine", "{}", []string{as("manager")}},
		stream.Internal:         {broken, "GET /streams/s", "", nil},
	}
}

// failing is a gateway whose Kafka and stores answer everything with the code.
func failing(tb testing.TB, code stream.Code) *gateway {
	tb.Helper()
	g := newGateway(tb, nil)
	err := &stream.Error{Code: code, Message: "what to do next", Violations: []stream.Violation{{Pointer: "#/a~1b/0", Keyword: "type", Detail: "a string"}}}
	g.streams.describe = func(context.Context, string) (stream.Info, error) { return stream.Info{}, err }
	g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) { return stream.Report{}, err }
	g.publisher.enqueue = func(_ context.Context, _ *stream.Outgoing, done func(stream.Report, error)) error {
		go done(stream.Report{}, err)
		return nil
	}
	return g
}

// ask sends a request over a connection, and reads the answer.
func (p provoked) ask(t *testing.T, base string, more ...string) reply {
	t.Helper()
	method, target, _ := strings.Cut(p.request, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, base+target, strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range append(p.headers, more...) {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Add(name, value); name == "Host" {
			req.Host = value
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res, string(body)}
}

// Every problem that the gateway can answer is one by RFC 9457, whatever the
// client would rather have.
func TestEveryCodeIsAProblemByTheRFC(t *testing.T) {
	pages := newGateway(t, nil).serve(t)
	made := provocations()
	for _, name := range codes(t) {
		code := stream.Code(name)
		t.Run(name, func(t *testing.T) {
			p, native := made[code]
			if !native {
				p = provoked{func(tb testing.TB) *gateway { return failing(tb, code) }, "GET /streams/s", "", nil}
			}
			s := p.from(t).serve(t)
			for _, accept := range []string{"*/*", "application/problem+xml", "text/html, */*;q=0"} {
				res := p.ask(t, s.URL, "Accept: "+accept)
				if res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" {
					t.Fatalf("Accept %q: %d %v %s", accept, res.StatusCode, res.Header, res.body)
				}
				members := readMembers(t, res.body)
				if members["type"] != "/problems/"+name {
					t.Fatalf("Accept %q: %s", accept, res.body)
				}
				checkMembers(t, pages.URL, members, res.StatusCode)
			}
			p.checkHead(t, s.URL)
		})
	}
}

// checkHead holds the answer to HEAD against that to GET.
func (p provoked) checkHead(t *testing.T, base string) {
	t.Helper()
	_, target, get := strings.Cut(p.request, "GET ")
	if !get {
		return
	}
	want := p.ask(t, base)
	p.request = "HEAD " + target
	got := p.ask(t, base)
	for _, name := range []string{"Content-Type", "Content-Length", "Cache-Control", "Retry-After", "WWW-Authenticate"} {
		if got.Header.Get(name) != want.Header.Get(name) {
			t.Errorf("HEAD: %s is %q, GET's %q", name, got.Header.Get(name), want.Header.Get(name))
		}
	}
	if got.StatusCode != want.StatusCode || got.body != "" {
		t.Errorf("HEAD: %d %q, GET's %d", got.StatusCode, got.body, want.StatusCode)
	}
}

func readMembers(t *testing.T, text string) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return members
}

// extensionName is what RFC 9457, section 3.2, asks of extensions' names, so
// that other formats than JSON can carry them, too.
var extensionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{2,}$`)

// checkMembers holds a problem's members against RFC 9457, section 3.1, and
// what they say against the page about its type.
func checkMembers(t *testing.T, base string, members map[string]any, status int) {
	t.Helper()
	for name, value := range members {
		text, isText := value.(string)
		switch name {
		case "type", "instance":
			if _, err := url.Parse(text); !isText || text == "" || err != nil {
				t.Errorf("%s is no URI reference: %v", name, value)
			}
		case "title", "detail":
			if !isText || text == "" {
				t.Errorf("%s is no text: %v", name, value)
			}
		case "status":
			if value != float64(status) {
				t.Errorf("status is %v, the answer's %d", value, status)
			}
		case "errors":
			checkErrors(t, value)
		case "violated-policies": // the RateLimit draft's name
		default:
			if !extensionName.MatchString(name) {
				t.Errorf("the extension %q has a name that XML cannot carry", name)
			}
		}
	}
	kind, _ := members["type"].(string)
	page := provoked{request: "GET " + kind}.ask(t, base, "Accept: application/json")
	if page.StatusCode != http.StatusOK {
		t.Fatalf("%s leads to %d %s", kind, page.StatusCode, page.body)
	}
	about, shown := readMembers(t, page.body), map[string]any{}
	for _, name := range []string{"type", "title", "status"} {
		shown[name] = members[name]
	}
	delete(about, "explanation")
	if diff := cmp.Diff(about, shown); diff != "" {
		t.Errorf("the page (-) and the problem (+):\n%s", diff)
	}
}

// checkErrors holds the member errors against RFC 9457's example of it.
func checkErrors(t *testing.T, value any) {
	t.Helper()
	list, _ := value.([]any)
	if len(list) == 0 {
		t.Errorf("errors is no list: %v", value)
	}
	for _, element := range list {
		v, _ := element.(map[string]any)
		pointer, _ := v["pointer"].(string)
		if detail, _ := v["detail"].(string); detail == "" || pointer != "#" && !strings.HasPrefix(pointer, "#/") {
			t.Errorf("errors has %v", element)
		}
	}
}

// The problems of single lines, and those that are told within an event stream,
// are problems like those that are whole answers.
func TestProblemsWithinAnswers(t *testing.T) {
	pages := newGateway(t, nil).serve(t)
	for _, name := range codes(t) {
		code := stream.Code(name)
		s := failing(t, code).serve(t)
		res := provoked{nil, "POST /streams/s", "{\"data\":1}\n{\"data\":2}\n", []string{ndjson}}.ask(t, s.URL)
		whole := readMembers(t, res.body)
		results, _ := whole["results"].([]any)
		if res.Header.Get("Content-Type") == "application/problem+json" { // not the fault of single lines
			checkMembers(t, pages.URL, whole, res.StatusCode)
		} else if len(results) != 2 {
			t.Errorf("%s: %d %s", name, res.StatusCode, res.body)
		}
		for _, result := range results {
			members, _ := result.(map[string]any)
			checkMembers(t, pages.URL, members, statusOf(t, pages.URL, code))
			if members["type"] != "/problems/"+name || members["line"] == nil || members["outcome"] == nil {
				t.Errorf("%s: %v", name, members)
			}
		}
		g, f := newGateway(t, nil), newFollower()
		f.fail <- &stream.Error{Code: code, Message: "what to do next"}
		g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) { return f, nil }
		told := provoked{request: "GET /streams/s/events"}.ask(t, g.serve(t).URL)
		events := parseEvents(told.body).events
		if len(events) != 2 || events[0].name != "problem" {
			t.Errorf("%s: %s", name, told.body)
			continue
		}
		checkMembers(t, pages.URL, readMembers(t, events[0].data), statusOf(t, pages.URL, code))
	}
}

// statusOf gives the status that the page about a code has.
func statusOf(t *testing.T, base string, code stream.Code) int {
	t.Helper()
	page := provoked{request: "GET /problems/" + string(code)}.ask(t, base, "Accept: application/json")
	status, _ := readMembers(t, page.body)["status"].(float64)
	return int(status)
}
