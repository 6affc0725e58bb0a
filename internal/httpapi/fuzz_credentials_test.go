package httpapi_test

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// FuzzCredentials sends whatever it makes up as credentials, in all places where
// they may be. It must never be answered by a panic, and nobody may get through
// without a whole token in a place that is for it.
func FuzzCredentials(f *testing.F) {
	for _, seed := range [][4]string{
		{"Bearer subscriber", "", "", ""},
		{"bearer  subscriber", "", "", ""},
		{"Bearer subscriber", "Bearer manager", "", ""},
		{"Bearer subscriber,manager", "", "", ""},
		{"subscriber", "", "", ""},
		{"", "", "sluice-events=short-subscriber", ""},
		{"", "", `sluice-events="short-subscriber"; sluice-events=x`, ""},
		{"", "", "", "short-subscriber"},
		{"", "", "", "short-subscriber&access_token=short-subscriber"},
		{"Basic c3Vic2NyaWJlcjo=", "", "sluice-events=short-subscriber", "subscriber"},
		{"Bearer subscriber\r\nX: y", "", ";;=;sluice-events", "%zz"},
		{"Bearer subscriber,manager", "", "sluice-events=subscriber", "%73hort-subscriber"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, first, second, cookie, query string) {
		tokens := &fakeTokens{fakeAuth: callers(t), end: time.Now().Add(time.Hour)}
		audit := &fakeAudit{}
		g := newGateway(t, func(o *httpapi.Options) { o.Auth, o.EventTokens, o.Audit = tokens, tokens, audit })
		g.feeds.follow = func(ctx context.Context, _ stream.Reading, _ stream.Frames) (httpapi.Follower, error) {
			if c := stream.CallerOf(ctx); c == nil || !proven(c, cmp.Or(first, second), cookie, query) {
				t.Errorf("%+v got through", c)
			}
			return nil, stream.Errorf(stream.UnknownStream, "it went through")
		}
		r := httptest.NewRequest(http.MethodGet, "/streams/mine/events", http.NoBody)
		r.URL.RawQuery = "access_token=" + query
		if query == "" {
			r.URL.RawQuery = ""
		}
		for _, value := range []string{first, second} {
			if value != "" {
				r.Header.Add("Authorization", value)
			}
		}
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		w := httptest.NewRecorder()
		g.handler.ServeHTTP(w, r)
		if w.Code/100 != 4 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		for _, d := range audit.take(t) {
			if w.Code == http.StatusUnauthorized && d.Principal != "" {
				t.Errorf("who was refused is %s", d.Principal)
			}
		}
	})
}

// proven says whether a caller's token is there as a whole, in one of the places
// that are for it.
func proven(c *stream.Caller, header, cookie, query string) bool {
	name := strings.TrimPrefix(c.Name, "token:")
	if c.Short {
		return strings.Contains(cookie, "sluice-events=") && strings.Contains(cookie, "short-"+name) || (&url.URL{RawQuery: "access_token=" + query}).Query().Get("access_token") == "short-"+name
	}
	scheme, token, _ := strings.Cut(header, " ")
	return strings.EqualFold(scheme, "Bearer") && strings.Trim(token, " ") == name
}
