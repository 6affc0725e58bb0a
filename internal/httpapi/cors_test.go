package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

const app = "https://app.example"

func allowing(origins ...string) func(*httpapi.Options) {
	return func(o *httpapi.Options) { o.AllowOrigins = origins }
}

// ask sends a request of a page, without holding it against the description.
func (g *gateway) ask(method, target string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader("1"))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w.Result()
}

func TestPreflights(t *testing.T) {
	for _, path := range []string{"/streams/s", "/streams/s/events", "/groups/g/commit", "/nope"} {
		res := newGateway(t, allowing(app)).ask("OPTIONS", path, "Origin: "+app, "Access-Control-Request-Method: POST",
			"Access-Control-Request-Headers: last-event-id, Kafka-Header-Source,ce-id , x-evil")
		h := res.Header
		allowed := h.Get("Access-Control-Allow-Headers")
		if res.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != app || h.Get("Access-Control-Allow-Credentials") != "true" ||
			h.Get("Access-Control-Max-Age") != "3600" || h.Get("Access-Control-Allow-Methods") != "GET, HEAD, POST, PUT, DELETE" {
			t.Errorf("%s: %d %v", path, res.StatusCode, h)
		}
		for _, name := range []string{"last-event-id", "content-type", "prefer", "if-match", "idempotency-key", "kafka-header-source", "ce-id"} {
			if !strings.Contains(", "+allowed+",", ", "+name+",") {
				t.Errorf("%s is not allowed: %s", name, allowed)
			}
		}
		if strings.Contains(allowed, "evil") || !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
			t.Errorf("%v", h)
		}
	}
}

func TestPreflightsOfOtherOrigins(t *testing.T) {
	for _, origin := range []string{"https://evil.example", "null", "https://app.example:8443", "http://app.example", "https://app.example.evil.example", ""} {
		res := newGateway(t, allowing(app)).ask("OPTIONS", "/streams/s", "Origin: "+origin, "Access-Control-Request-Method: POST")
		if res.StatusCode != 405 || res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("Vary") != "Origin" {
			t.Errorf("%q: %d %v", origin, res.StatusCode, res.Header)
		}
	}
	res := newGateway(t, nil).ask("OPTIONS", "/streams/s", "Origin: "+app, "Access-Control-Request-Method: POST")
	if res.StatusCode != 405 || res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("Vary") != "" {
		t.Errorf("nobody allowed: %d %v", res.StatusCode, res.Header)
	}
	if res := newGateway(t, allowing(app)).ask("OPTIONS", "/streams/s", "Origin: "+app); res.StatusCode != 405 {
		t.Errorf("no preflight: %d", res.StatusCode)
	}
}

func TestPagesOfAllowedOrigins(t *testing.T) {
	tests := []struct {
		origins []string
		request string
		headers []string
		status  int
		allow   string
	}{
		{[]string{app}, "POST /streams/s", []string{"Origin: " + app, "Sec-Fetch-Site: cross-site", "Cookie: a=b"}, 201, app},
		{[]string{app}, "POST /streams/s", []string{"Origin: https://evil.example"}, 403, ""},
		{[]string{app}, "POST /streams/s", []string{"Sec-Fetch-Site: cross-site"}, 403, ""},
		{[]string{app}, "GET /health/live", []string{"Origin: https://evil.example"}, 200, ""},
		{[]string{"HTTPS://App.example", "http://b"}, "GET /health/live", []string{"Origin: " + app}, 200, app},
		{[]string{app}, "POST /streams/s", nil, 201, ""},
		{[]string{"*"}, "POST /streams/s", []string{"Origin: https://any.example", "Sec-Fetch-Site: cross-site"}, 201, "*"},
		{[]string{"*"}, "GET /health/live", []string{"Origin: null"}, 200, "*"},
		{[]string{"*"}, "POST /streams/s", []string{"Origin: https://any.example", "Cookie: a=b"}, 403, "*"},
		{[]string{"*"}, "POST /streams/s", []string{"Origin: http://example.com", "Cookie: a=b"}, 201, "*"}, // the gateway's own
		{nil, "POST /streams/s", []string{"Origin: " + app}, 403, ""},
	}
	for _, test := range tests {
		method, path, _ := strings.Cut(test.request, " ")
		res := newGateway(t, allowing(test.origins...)).storing().ask(method, path, test.headers...)
		h := res.Header
		if res.StatusCode != test.status || h.Get("Access-Control-Allow-Origin") != test.allow {
			t.Errorf("%v, %s %v: %d %v", test.origins, test.request, test.headers, res.StatusCode, h)
		}
		if credentials := h.Get("Access-Control-Allow-Credentials"); (credentials == "true") != (test.allow == app) {
			t.Errorf("%v, %v: credentials %q", test.origins, test.headers, credentials)
		}
		for _, name := range []string{"Location", "Preference-Applied", "ETag", "Retry-After", "RateLimit"} {
			if seen := strings.Contains(h.Get("Access-Control-Expose-Headers"), name); seen != (test.allow != "") {
				t.Errorf("%v, %v: %s is seen: %v", test.origins, test.headers, name, seen)
			}
		}
	}
}

func TestPagesSeeProblems(t *testing.T) {
	g := newGateway(t, allowing(app))
	res := g.do(t, "GET /streams/_", "", "Origin: "+app)
	res.wantProblem(t, stream.InvalidRequest, 400)
	if res.Header.Get("Access-Control-Allow-Origin") != app {
		t.Error(res.Header)
	}
}

// A page whose origin is allowed still has to call the gateway by a name that
// it serves.
func TestAllowedOriginsDoNotOpenOtherHosts(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) { o.AllowOrigins, o.LoopbackOnly = []string{"*"}, true })
	res := g.ask("GET", "http://evil.example/health/live", "Origin: http://evil.example")
	if res.StatusCode != 403 || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}
