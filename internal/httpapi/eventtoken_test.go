package httpapi_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// fakeTokens makes tokens that are the name of their maker, and reads them.
type fakeTokens struct {
	fakeAuth

	asked time.Duration // the lifetime
	end   time.Time     // of those that are read
}

func (f *fakeTokens) Issue(c *stream.Caller, p stream.Pattern, d time.Duration) (string, time.Time, error) {
	f.asked = d
	return "short-" + strings.TrimPrefix(c.Name, "token:"), noon.Add(d), c.CheckPattern(stream.ActionSubscribe, p)
}

func (f *fakeTokens) Open(token string) (*stream.Caller, error) {
	name, short := strings.CutPrefix(token, "short-")
	c, err := f.Bearer(context.Background(), name)
	if !short || err != nil {
		return nil, stream.Errorf(stream.Unauthenticated, "the token is unknown")
	}
	return &stream.Caller{Principal: c.Principal, Rights: stream.Rights{Subscribe: c.Subscribe}, Expires: f.end, Short: true}, nil
}

// withTokens is a gateway whose event streams end at once.
func withTokens(t *testing.T, change func(*httpapi.Options)) (*gateway, *fakeTokens) {
	t.Helper()
	f := &fakeTokens{fakeAuth: callers(t), end: time.Now().Add(time.Hour)}
	g := newGateway(t, func(o *httpapi.Options) {
		o.Auth, o.EventTokens = f, f
		if change != nil {
			change(o)
		}
	})
	g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) {
		f := newFollower()
		f.fail <- io.EOF
		return f, nil
	}
	return g, f
}

const asSubscriber = "Authorization: Bearer subscriber"

func TestEventTokenIsMade(t *testing.T) {
	g, f := withTokens(t, nil)
	res := g.do(t, "POST /event-tokens", `{"streams":"mine"}`, asSubscriber)
	if want := `{"token":"short-subscriber","streams":"mine","expires":"2026-01-31T12:05:00.123Z"}`; res.StatusCode != 201 || strings.TrimSpace(res.body) != want {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
	if f.asked != 5*time.Minute || res.Header.Get("Cache-Control") != "no-store" || len(res.Cookies()) != 0 {
		t.Errorf("%s, %v", f.asked, res.Header)
	}
	for body, code := range map[string]stream.Code{
		`{}`: stream.InvalidRequest, `{"streams":","}`: stream.InvalidRequest, `{"streams":"theirs"}`: stream.Forbidden,
		`{"streams":"mine","expires_in":"16m"}`: stream.InvalidRequest, `{"streams":"mine","expires_in":0}`: stream.InvalidRequest,
		`{"streams":"mine","expires_in":[]}`: stream.InvalidRequest, `{"streams":"mine","x":1}`: stream.InvalidRequest,
	} {
		status := map[stream.Code]int{stream.InvalidRequest: 400, stream.Forbidden: 403}[code]
		g.do(t, "POST /event-tokens", body, asSubscriber).wantProblem(t, code, status)
	}
	newGateway(t, nil).do(t, "POST /event-tokens", `{"streams":"mine"}`).wantProblem(t, stream.NotFound, 404)
}

func TestEventTokenAsCookie(t *testing.T) {
	g, _ := withTokens(t, nil)
	for _, secure := range []bool{false, true} {
		r := httptest.NewRequest("POST", "/event-tokens", strings.NewReader(`{"streams":"mine","expires_in":60,"cookie":true}`))
		r.Header.Set("Authorization", "Bearer subscriber")
		if secure {
			r.TLS = &tls.ConnectionState{}
		}
		res := g.send(t, r)
		cookies := res.Cookies()
		if res.StatusCode != 201 || len(cookies) != 1 || strings.Contains(res.body, "short-") {
			t.Fatalf("%d %s %v", res.StatusCode, res.body, cookies)
		}
		raw := res.Header.Get("Set-Cookie")
		for _, part := range []string{"sluice-events=short-subscriber", "Path=/streams", "HttpOnly", "SameSite=Strict", "Max-Age="} {
			if !strings.Contains(raw, part) {
				t.Errorf("%s lacks %s", raw, part)
			}
		}
		if cookies[0].Secure != secure {
			t.Errorf("over TLS %v: %s", secure, raw)
		}
	}
}

// The token opens events of what its maker may read, and nothing else.
func TestEventTokenOpensEventsAlone(t *testing.T) {
	g, _ := withTokens(t, nil)
	cookie := "Cookie: other=1; sluice-events=short-subscriber"
	for _, tc := range []struct {
		request string
		headers []string
		status  int
	}{
		{"GET /streams/mine/events?access_token=short-subscriber", nil, 200},
		{"GET /streams/mine/events?view=data&access_token=short-subscriber", nil, 200},
		{"GET /streams/theirs/events?access_token=short-subscriber", nil, 403},
		{"GET /streams/mine/events?access_token=short-publisher", nil, 403},
		{"GET /streams/mine/events?access_token=subscriber", nil, 401},
		{"GET /streams/mine/events?access_token=", nil, 401},
		{"GET /streams/mine/events?access_token=short-subscriber&access_token=short-subscriber", nil, 401},
		{"GET /streams/mine/events?access_token=short-subscriber", []string{asSubscriber}, 400},
		{"GET /streams/mine/events", []string{cookie}, 200},
		{"GET /streams/mine/events", []string{"Cookie: sluice-events=wrong"}, 401},
		{"GET /streams/mine/events", []string{cookie, "Authorization: Bearer wrong"}, 401},
		{"GET /streams/mine/events", []string{cookie, "Authorization: Bearer publisher"}, 403},
		{"GET /streams/mine/records", []string{cookie}, 401},
		{"GET /streams/mine/records?access_token=short-subscriber", nil, 401},
		{"GET /streams?access_token=short-subscriber", nil, 401},
		{"POST /streams/mine?access_token=short-publisher", nil, 401},
		{"POST /event-tokens", []string{cookie}, 401},
		{"GET /streams", []string{"Authorization: Bearer short-subscriber"}, 401},
	} {
		if res := g.do(t, tc.request, "", tc.headers...); res.StatusCode != tc.status {
			t.Errorf("%s %v: %d, want %d: %s", tc.request, tc.headers, res.StatusCode, tc.status, res.body)
		} else if strings.Contains(res.body, "short-") {
			t.Errorf("%s: the token is in the answer: %s", tc.request, res.body)
		}
	}
	if lines := g.log.lines("short-"); len(lines) > 0 {
		t.Errorf("tokens are in the log: %v", lines)
	}
	newGateway(t, nil).do(t, "GET /streams/mine/events?access_token=x", "").wantProblem(t, stream.InvalidRequest, 400)
}

// A page of another origin cannot use its visitor's cookie, whatever it is that
// the browser says of it.
func TestEventCookieOfOtherPages(t *testing.T) {
	g, _ := withTokens(t, func(o *httpapi.Options) { o.AllowOrigins = []string{"https://app.example"} })
	for _, tc := range []struct {
		headers []string
		status  int
	}{
		{[]string{"Sec-Fetch-Site: same-origin"}, 200},
		{[]string{"Sec-Fetch-Site: none"}, 200},
		{[]string{"Sec-Fetch-Site: cross-site", "Origin: https://app.example"}, 200},
		{[]string{"Sec-Fetch-Site: cross-site"}, 403},
		{[]string{"Sec-Fetch-Site: same-site"}, 403},
		{[]string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403},
		{[]string{"Origin: https://evil.example"}, 403},
		{[]string{"Origin: null"}, 403},
	} {
		headers := append([]string{"Cookie: sluice-events=short-subscriber"}, tc.headers...)
		if res := g.do(t, "GET /streams/mine/events", "", headers...); res.StatusCode != tc.status {
			t.Errorf("%v: %d, want %d", tc.headers, res.StatusCode, tc.status)
		}
	}
	all, _ := withTokens(t, func(o *httpapi.Options) { o.AllowOrigins = []string{"*"} })
	all.do(t, "GET /streams/mine/events", "", "Cookie: sluice-events=short-subscriber", "Sec-Fetch-Site: cross-site", "Origin: https://evil.example").
		wantProblem(t, stream.OriginNotAllowed, 403)
}

// Streams end when the reader's credentials do, and say so.
func TestStreamsEndWithTheirToken(t *testing.T) {
	g, f := withTokens(t, func(o *httpapi.Options) { o.Limits.StreamLifetime = 20 * time.Second })
	f.end = time.Now().Add(100 * time.Millisecond)
	f.fakeAuth["subscriber"].Expires = f.end
	follower := newFollower()
	g.following(follower)
	for _, request := range [][]string{{"GET /streams/mine/events?access_token=short-subscriber"}, {"GET /streams/mine/events", asSubscriber}} {
		res := g.do(t, request[0], "", request[1:]...)
		if !strings.HasSuffix(res.body, "event: end\ndata: {\"reason\":\"expired\"}\n\n") {
			t.Errorf("got %q", res.body)
		}
	}
	if res := g.do(t, "GET /metrics", "", "Authorization: Bearer manager"); !strings.Contains(res.body, `sluice_http_event_streams_ended_total{reason="expired"} 2`) {
		t.Error("what ended is not counted")
	}
}

// Answers name no address to others, and what they hold is not kept.
func TestAnswersKeepTokensToThemselves(t *testing.T) {
	g, _ := withTokens(t, nil)
	res := g.do(t, "GET /streams/mine/events?access_token=short-subscriber", "")
	if res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v", res.Header)
	}
	var problem map[string]any
	bad := g.do(t, "GET /streams/mine/events?access_token=hush&acess_token=hush", asSubscriber)
	if err := json.Unmarshal([]byte(bad.body), &problem); err != nil || strings.Contains(bad.body, "hush") {
		t.Errorf("%v: %s", err, bad.body)
	}
	if lines := g.log.lines("hush"); len(lines) > 0 {
		t.Error(lines)
	}
}
