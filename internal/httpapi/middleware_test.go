package httpapi_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

func TestRequestID(t *testing.T) {
	g := newGateway(t, nil)
	for id, kept := range map[string]bool{
		"abc-1.2_3:4/5+6=7~8@9":  true,
		strings.Repeat("a", 128): true,
		strings.Repeat("a", 129): false,
		"a b":                    false,
		"a\"b":                   false,
		"ä":                      false,
		"":                       false,
	} {
		res := g.do(t, "GET /health/ready", "", "X-Request-Id: "+id)
		got := res.Header.Get("X-Request-Id")
		if (got == id) != kept || len(got) < 16 && !kept {
			t.Errorf("%q: answered %q", id, got)
		}
		if len(g.log.lines(`"request_id":"`+got+`"`)) != 1 {
			t.Errorf("%q is not in the log", got)
		}
	}
	if a, b := g.do(t, "GET /", ""), g.do(t, "GET /", ""); a.Header.Get("X-Request-Id") == b.Header.Get("X-Request-Id") {
		t.Error("the same id twice")
	}
}

func TestAccessLog(t *testing.T) {
	g := newGateway(t, nil).storing()
	g.do(t, "POST /streams/orders?key=secret-key", `"secret-data"`, "X-Request-Id: r1")
	g.do(t, "GET /health/live", "")
	g.do(t, "GET /metrics", "")
	g.do(t, "POST /streams/_", "1", "X-Request-Id: r2")
	lines := g.log.lines(`"msg":"request"`)
	if len(lines) != 4 {
		t.Fatal(lines)
	}
	var line struct {
		Level    string  `json:"level"`
		Method   string  `json:"method"`
		Route    string  `json:"route"`
		Status   int     `json:"status"`
		In       int     `json:"bytes_in"`
		Out      int     `json:"bytes_out"`
		Duration float64 `json:"duration_ms"`
		ID       string  `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "DEBUG" || line.Method != "POST" || line.Route != "/streams/{stream}" || line.Status != 201 ||
		line.In != 13 || line.Out < 50 || line.Duration <= 0 || line.Duration > 60_000 || line.ID != "r1" {
		t.Errorf("%+v", line)
	}
	if strings.Contains(strings.Join(lines, ""), "secret") {
		t.Error("keys or data are in the log")
	}
	for _, i := range []int{1, 2} {
		if !strings.Contains(lines[i], "DEBUG") {
			t.Errorf("not at debug level: %s", lines[i])
		}
	}
	if !strings.Contains(lines[3], "INFO") || !strings.Contains(lines[3], `"code":"invalid-request"`) {
		t.Errorf("no code: %s", lines[3])
	}
}

func TestSecurityHeaders(t *testing.T) {
	g := newGateway(t, nil).storing()
	g.records.read = func(context.Context, string, int32, int64) (stream.Record, error) { return stream.Record{}, nil }
	for _, request := range []string{"GET /", "GET /nope", "GET /streams/s/records/0/0", "POST /streams/s", "GET /problems/internal", "GET /openapi.yaml"} {
		res := g.do(t, request, "")
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", request, res.Header)
		}
		if strings.HasPrefix(request, "GET") && res.Header.Get("Cache-Control") == "" {
			t.Errorf("%s: no Cache-Control", request)
		}
	}
	if got := g.do(t, "GET /streams/s/records/0/0", "").Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("records: Cache-Control %q", got)
	}
}

func TestHostIsChecked(t *testing.T) {
	hosts := map[string]bool{
		"localhost": true, "localhost:8080": true, "LOCALHOST:1": true, "127.0.0.1": true, "127.0.0.1:8080": true,
		"[::1]": true, "[::1]:8080": true, "gateway.lan:80": true, "Gateway.LAN": true,
		"evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example:8080": false, "": false,
		"[::2]": false, "127.0.0.2": false, "localhost:80:80": false, "10.0.0.1:8080": false,
	}
	for host, served := range hosts {
		g := newGateway(t, func(o *httpapi.Options) { o.LoopbackOnly, o.AllowedHosts = true, []string{"Gateway.lan"} })
		for _, path := range []string{"/health/live", "/metrics", "/nope"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			res := g.send(t, r)
			if refused := res.StatusCode == 403; refused == served {
				t.Errorf("%s of host %q: %d", path, host, res.StatusCode)
			}
			if !served {
				res.wantProblem(t, stream.OriginNotAllowed, 403)
			}
		}
		r := httptest.NewRequest("GET", "/health/live", nil)
		r.Host = host
		if res := newGateway(t, nil).send(t, r); res.StatusCode != 200 {
			t.Errorf("not on loopback, host %q: %d", host, res.StatusCode)
		}
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	tests := []struct {
		request, header string
		status          int
	}{
		{"POST /streams/s", "Sec-Fetch-Site: cross-site", 403},
		{"POST /streams/s", "Sec-Fetch-Site: same-site", 403},
		{"POST /streams/s", "Origin: https://evil.example", 403},
		{"POST /streams/s", "Origin: null", 403},
		{"DELETE /streams/s", "Origin: https://evil.example", 403},
		{"POST /streams/s", "Origin: http://example.com", 201}, // httptest's own host
		{"POST /streams/s", "Sec-Fetch-Site: same-origin", 201},
		{"POST /streams/s", "X-Nothing: x", 201},
		{"GET /health/live", "Sec-Fetch-Site: cross-site", 200},
	}
	for _, test := range tests {
		g := newGateway(t, nil)
		kept := g.keep()
		res := g.do(t, test.request, "1", test.header)
		if res.StatusCode != test.status {
			t.Errorf("%s, %s: %d", test.request, test.header, res.StatusCode)
		}
		if test.status == 403 {
			p := res.wantProblem(t, stream.OriginNotAllowed, 403)
			if strings.HasPrefix(test.request, "POST") && p.Outcome != "not_stored" {
				t.Errorf("outcome %q", p.Outcome)
			}
			if len(*kept) > 0 {
				t.Error("it was stored")
			}
		}
	}
}

func TestHealth(t *testing.T) {
	g := newGateway(t, nil)
	g.checks = fakeReadiness{{Name: "kafka", OK: true}, {Name: "schemas", OK: true}}
	if res := g.do(t, "GET /health/live", ""); res.StatusCode != 200 || res.body != `{"status":"ok"}`+"\n" {
		t.Error(res.StatusCode, res.body)
	}
	if res := g.do(t, "GET /health/ready", ""); res.StatusCode != 200 {
		t.Error(res.StatusCode, res.body)
	}
	g.checks[1] = httpapi.Check{Name: "schemas", Detail: "not read to its end yet"}
	res := g.do(t, "GET /health/ready", "")
	golden(t, "notready.json", res.body)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Error(res.StatusCode, res.Header)
	}
	if res := g.do(t, "GET /health/live", ""); res.StatusCode != 200 {
		t.Error("not live because not ready")
	}
	for _, tt := range []struct {
		missing []httpapi.Ability
		status  int
		want    string
	}{
		{[]httpapi.Ability{httpapi.CanPublish, httpapi.CanManage}, 200, `{"status":"ready","publish":false,"read":true,"manage":false,"deliver":true,`},
		{[]httpapi.Ability{httpapi.CanRead, httpapi.CanDeliver}, 200, `{"status":"ready","publish":true,"read":false,"manage":true,"deliver":false,`},
		{[]httpapi.Ability{httpapi.CanRead, httpapi.CanPublish}, 503, `{"status":"not_ready","publish":false,"read":false,"manage":true,"deliver":true,`},
	} {
		g.checks[1] = httpapi.Check{Name: "schemas", Detail: "denied", For: tt.missing}
		if res := g.do(t, "GET /health/ready", ""); res.StatusCode != tt.status || !strings.HasPrefix(res.body, tt.want) {
			t.Errorf("without %v: %d %s", tt.missing, res.StatusCode, res.body)
		}
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	res := newGateway(t, nil).do(t, "GET /openapi.yaml", "")
	if res.Header.Get("Content-Type") != "application/yaml" || !strings.HasPrefix(res.body, "openapi: 3.1") {
		t.Error(res.Header, res.body[:min(len(res.body), 100)])
	}
}
