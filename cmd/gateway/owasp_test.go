package main_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/internal/kafkatest"
)

// attacked is a gateway with three callers: alice and mallory may each read and
// write streams of their own, and the admin may do everything.
type attacked struct {
	*gateway
	alice, mallory, admin string // their tokens
}

func newAttacked(t *testing.T) attacked {
	t.Helper()
	b := kafkatest.Embedded(t)
	t.Setenv("SLUICE_WEBHOOKS_ALLOW_NETWORKS", "127.0.0.1/32") // of the tests' receivers, and nothing else
	var a attacked
	var lines [3]string
	a.alice, lines[0] = makeToken(t, "alice")
	a.mallory, lines[1] = makeToken(t, "mallory")
	a.admin, lines[2] = makeToken(t, "admin")
	a.gateway = start(t, b, "--config", configure(t, `
auth:
  tokens: [`+strings.Join(lines[:], ", ")+`]
  rules:
    - {principals: ["token:alice"], actions: [publish, subscribe], streams: ["alice", "alice.*"]}
    - {principals: ["token:mallory"], actions: [publish, subscribe], streams: ["mallory"]}
    - {principals: ["token:admin"], actions: [publish, subscribe, manage], streams: ["*"], schemas: ["*"]}
`))
	a.as(t, a.admin, "POST /schemas/Any/versions", `{"schema":{},"streams":["alice","alice.out","mallory","secret"]}`).want(t, 201)
	a.as(t, a.alice, "POST /streams/alice", `{"id":1}`).want(t, 201)
	return a
}

// as sends a request "METHOD path" with a caller's token, "" for none.
func (a attacked) as(t *testing.T, token, what, body string, headers ...string) answer {
	t.Helper()
	r := request{body: body, header: map[string]string{"Content-Type": "application/json"}}
	r.method, r.path, _ = strings.Cut(what, " ")
	if token != "" {
		r.header["Authorization"] = "Bearer " + token
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.header[name] = value
	}
	return a.do(t, r)
}

// The OWASP API Security Top 10 of 2023, as far as it applies: SECURITY.md says
// what else is tested of each.
func TestOWASP(t *testing.T) {
	a := newAttacked(t)
	for _, item := range []struct {
		name string
		try  func(*testing.T, attacked)
	}{
		{"API1 Broken Object Level Authorization", owaspObjects},
		{"API2 Broken Authentication", owaspAuthentication},
		{"API3 Broken Object Property Level Authorization", owaspProperties},
		{"API4 Unrestricted Resource Consumption", owaspResources},
		{"API5 Broken Function Level Authorization", owaspFunctions},
		{"API7 Server Side Request Forgery", owaspForgery},
		{"API8 Security Misconfiguration", owaspConfiguration},
		{"API9 Improper Inventory Management", owaspInventory},
		{"API10 Unsafe Consumption of APIs", owaspConsumption},
	} {
		t.Run(item.name, func(t *testing.T) { item.try(t, a) })
	}
	if text := a.log.String(); strings.Contains(text, a.alice) || strings.Contains(text, a.mallory) || strings.Contains(text, a.admin) {
		t.Error("a token is in the log")
	}
}

// owaspObjects: nobody reads, changes or takes what is somebody else's.
func owaspObjects(t *testing.T, a attacked) {
	r := newReceiver(t)
	a.as(t, a.alice, "PUT /subscriptions/hers", `{"streams":"alice.out","endpoint":{"url":"`+r.URL+`"}}`).want(t, 201)
	for _, what := range []string{
		"GET /subscriptions/hers", "GET /subscriptions/hers/status", "DELETE /subscriptions/hers", "POST /subscriptions/hers/pause",
		"POST /subscriptions/hers/resume", "POST /subscriptions/hers/secret", "POST /subscriptions/hers/test", "POST /subscriptions/hers/redrive",
	} {
		a.as(t, a.mallory, what, "").problem(t, 404, "unknown-subscription")
	}
	a.as(t, a.mallory, "POST /subscriptions/hers/position", `{"from":"earliest"}`).problem(t, 404, "unknown-subscription")
	if got := a.as(t, a.mallory, "PUT /subscriptions/hers", `{"streams":"mallory","endpoint":{"url":"`+r.URL+`"}}`); got.status/100 != 4 {
		t.Errorf("another's subscription is replaced: %d %s", got.status, got.body)
	}
	if sub := a.as(t, a.alice, "GET /subscriptions/hers", "").want(t, 200); sub["streams"] != "alice.out" || sub["state"] != "active" || sub["owner"] != "token:alice" {
		t.Errorf("it is %v now", sub)
	}
	for _, what := range []string{
		"GET /streams/alice", "GET /streams/alice/records", "GET /streams/alice/records/0/0", "GET /streams/alice/events", "GET /streams/mallory,alice/records",
	} {
		a.as(t, a.mallory, what, "").problem(t, 403, "forbidden")
	}
	if list := a.as(t, a.mallory, "GET /streams", ""); list.status != 200 || strings.Contains(list.body, "alice") {
		t.Errorf("the list tells of others' streams: %s", list.body)
	}
	if page := a.as(t, a.mallory, "GET /streams/*/records", ""); page.status != 200 || strings.Contains(page.body, "alice") {
		t.Errorf("a pattern reads others' streams: %s", page.body)
	}
	a.as(t, a.mallory, "POST /streams/alice", "1").problem(t, 403, "forbidden")
}

// owaspAuthentication: only whole credentials, in the place that is theirs,
// make somebody of a request.
func owaspAuthentication(t *testing.T, a attacked) {
	for _, header := range []string{
		"", "Bearer", "Bearer ", "Basic " + a.alice, "Bearer " + a.alice[:len(a.alice)-1], "Bearer " + a.alice + "A", "Bearer " + a.alice + "," + a.alice,
		a.alice, "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", "Bearer null", "Bearer *", "Bearer token:alice",
	} {
		got := a.as(t, "", "GET /streams", "", "Authorization: "+header)
		if got.problem(t, 401, "unauthenticated"); !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%q: no challenge", header)
		}
	}
	a.as(t, "", "GET /streams?access_token="+a.alice, "").problem(t, 401, "unauthenticated")
	a.as(t, "", "GET /streams/alice/events?access_token="+a.alice, "").problem(t, 401, "unauthenticated") // a token of the header, not of addresses
	a.as(t, "", "GET /streams", "", "Cookie: sluice-events="+a.alice).problem(t, 401, "unauthenticated")
	a.as(t, "", "GET /streams", "", "X-Forwarded-User: alice", "X-Remote-User: admin").problem(t, 401, "unauthenticated")
	events, _ := a.as(t, a.alice, "POST /event-tokens", `{"streams":"alice"}`).want(t, 201)["token"].(string)
	for _, what := range []string{"POST /streams/alice", "GET /streams/alice/records", "POST /event-tokens"} { // good for nothing but events
		a.as(t, events, what, `{"streams":"alice"}`).problem(t, 401, "unauthenticated")
	}
	a.as(t, "", "GET /streams/alice.out/events?access_token="+events, "").problem(t, 403, "forbidden")
}

// owaspProperties: what may only be written is not read, and what is not a
// client's to set is not set.
func owaspProperties(t *testing.T, a attacked) {
	r := newReceiver(t)
	made := a.as(t, a.alice, "PUT /subscriptions/props", `{"streams":"alice.out","endpoint":{"url":"`+r.URL+`","headers":{"X-Key":"hush-hush"}}}`)
	secret, _ := made.want(t, 201)["endpoint"].(map[string]any)["secret"].(string)
	if len(secret) < 20 {
		t.Fatalf("there is no secret to hide: %s", made.body)
	}
	for _, what := range []string{"GET /subscriptions/props", "GET /subscriptions", "GET /subscriptions/props/status", "POST /subscriptions/props/pause"} {
		for _, who := range []string{a.alice, a.admin} {
			if got := a.as(t, who, what, ""); strings.Contains(got.body, secret) || strings.Contains(got.body, "hush-hush") {
				t.Errorf("%s tells the secrets: %s", what, got.body)
			}
		}
	}
	got := a.as(t, a.mallory, "PUT /subscriptions/mine", `{"streams":"mallory","owner":"token:admin","endpoint":{"url":"`+r.URL+`"}}`)
	if got.status == 201 && got.json(t)["owner"] != "token:mallory" || got.status/100 == 5 {
		t.Errorf("the owner can be chosen: %d %s", got.status, got.body)
	}
	a.as(t, a.admin, "PUT /streams/alice", `{"owner":"mallory"}`).problem(t, 400, "invalid-request")
	if page := a.as(t, a.admin, "GET /schemas/Any/versions/1", ""); strings.Contains(page.body, "token:") {
		t.Errorf("a schema tells who made it: %s", page.body)
	}
}

// owaspResources: what costs too much is refused, not tried.
func owaspResources(t *testing.T, a attacked) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 2<<20)) // twice the limit
	z.Close()
	a.as(t, a.alice, "POST /streams/alice", bomb.String(), "Content-Encoding: gzip").problem(t, 413, "too-large")
	a.as(t, a.alice, "POST /streams/alice", `"`+strings.Repeat("x", 2<<20)+`"`).problem(t, 413, "too-large")
	a.as(t, a.alice, "GET /streams/"+strings.Repeat("a*", 3000)+"/records", "").problem(t, 400, "invalid-request")
	a.as(t, a.alice, "GET /streams/alice/records?limit=1000000000", "").problem(t, 400, "invalid-request")
	a.as(t, a.alice, "GET /streams/alice/records?wait=1h", "").problem(t, 400, "invalid-request")
	if got := a.as(t, a.alice, "POST /streams/alice", strings.Repeat("[", 500_000)); got.status/100 != 4 {
		t.Errorf("a deep text: %d %s", got.status, got.body)
	}
	if got := a.as(t, a.admin, "POST /schemas/Costly/versions", `{"schema":`+strings.Repeat(`{"anyOf":[`, 40)+"{}"+strings.Repeat(`]}`, 40)+"}"); got.status/100 == 5 {
		t.Errorf("a costly schema: %d %s", got.status, got.body)
	}
}

// owaspFunctions: what is for others to do is refused, however it is asked for.
func owaspFunctions(t *testing.T, a attacked) {
	for _, what := range []string{
		"DELETE /streams/alice", "PUT /streams/alice", "POST /schemas/Any/versions", "DELETE /schemas/Any/versions/1", "GET /metrics",
	} {
		a.as(t, a.alice, what, "{}").problem(t, 403, "forbidden")
	}
	for _, header := range []string{"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"} {
		a.as(t, a.admin, "GET /streams/alice", "", header).want(t, 200)
	}
	for _, what := range []string{"GET /streams/mallory/../alice", "GET /streams/mallory%2f..%2falice", "GET //streams/alice", "GET /STREAMS/alice", "GET /streams/alice/", "GET /streams/alice;x=1"} {
		if got := a.as(t, a.mallory, what, ""); got.status == 200 {
			t.Errorf("%s: %s", what, got.body)
		}
	}
	a.as(t, a.admin, "GET /streams/alice", "").want(t, 200) // it is still there
}

// owaspForgery: the gateway sends nothing where it should not, whatever address
// it is given to send to or to fetch from.
func owaspForgery(t *testing.T, a attacked) {
	var asked atomic.Int32
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1) }))
	defer inner.Close()
	for _, url := range []string{
		"http://127.0.0.2/", "http://[::1]/", "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.0.1/", "http://172.16.0.1/",
		"http://0.0.0.0/", "http://[::ffff:127.0.0.2]/", "http://[fd00::1]/", "http://[fe80::1]/", "http://[64:ff9b::a00:1]/", "http://2130706434/",
		"http://0x7f.0.0.2/", "http://0177.0.0.2/", "http://100.64.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/",
		"http://user:password@127.0.0.1/", "//127.0.0.1/", "http:///", "http://127.0.0.1:99999/",
	} {
		if got := a.as(t, a.alice, "POST /subscriptions", fmt.Sprintf(`{"streams":"alice.out","endpoint":{"url":%q}}`, url)); got.status != 400 {
			t.Errorf("%s: %d %s", url, got.status, got.body)
		}
	}
	for _, schema := range []string{
		`{"$ref":"` + inner.URL + `/schema"}`, `{"$schema":"` + inner.URL + `/meta"}`, `{"$id":"` + inner.URL + `/","$ref":"other"}`, `{"$ref":"file:///etc/passwd"}`,
		`{"$dynamicRef":"` + inner.URL + `/schema"}`,
	} {
		a.as(t, a.admin, "POST /schemas/Ref/versions", `{"schema":`+schema+`}`).problem(t, 422, "invalid-schema")
	}
	redirect := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect))
	defer redirect.Close()
	a.as(t, a.alice, "PUT /subscriptions/redirected", `{"streams":"alice.out","endpoint":{"url":"`+redirect.URL+`"}}`).want(t, 201)
	if got := a.as(t, a.alice, "POST /subscriptions/redirected/test", ""); !strings.Contains(got.body, "redirect") && !strings.Contains(got.body, "307") {
		t.Errorf("the redirect is not told: %s", got.body)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the gateway asked %d times", n)
	}
}

// internals are what no client should see: stacks, files of the source,
// addresses in memory, directories of the machine.
var internals = regexp.MustCompile(`goroutine \d|\.go:\d|0x[0-9a-f]{6,}|/root/|/home/|/tmp/|runtime error|librdkafka|panic`)

// owaspConfiguration: answers have the headers that browsers need, no method
// does more than it is for, and errors tell nothing of the inside.
func owaspConfiguration(t *testing.T, a attacked) {
	for _, what := range []string{"GET /", "GET /streams", "GET /nothing", "POST /streams/alice", "GET /health/live", "DELETE /", "GET /streams/%00", "GET /streams/alice/records?from=x"} {
		got := a.as(t, a.admin, what, "{", "Origin: https://evil.example")
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Server": "", "X-Powered-By": "", "Access-Control-Allow-Origin": "", "Access-Control-Allow-Credentials": ""} {
			if is := got.header.Get(name); is != want {
				t.Errorf("%s: %s is %q", what, name, is)
			}
		}
		if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: the policy is %q", what, csp)
		}
		if what != "GET /" && internals.MatchString(got.body) {
			t.Errorf("%s tells of the inside: %s", what, got.body)
		}
	}
	for _, method := range []string{"TRACE", "TRACK", "CONNECT", "PATCH", "PROPFIND", "DEBUG"} {
		r := request{method: method, path: "/streams/alice", header: map[string]string{"Authorization": "Bearer " + a.admin, "X-Echo": "hush"}}
		if got := a.do(t, r); got.status/100 != 4 || strings.Contains(got.body, "hush") {
			t.Errorf("%s: %d %s", method, got.status, got.body)
		}
	}
	if got := a.as(t, a.admin, "OPTIONS /streams/alice", "", "Origin: https://evil.example", "Access-Control-Request-Method: DELETE"); got.header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("another origin may %s", got.header.Get("Access-Control-Allow-Methods"))
	}
	a.as(t, a.alice, "POST /streams/alice", "1", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site").problem(t, 403, "origin-not-allowed")
}

// owaspInventory: what is served is what is described: each path is there, and
// what is often left open is not.
func owaspInventory(t *testing.T, a attacked) {
	text, err := os.ReadFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if served := a.as(t, "", "GET /openapi.yaml", ""); served.body != string(text) {
		t.Error("another description is served")
	}
	paths := regexp.MustCompile(`(?m)^  (/[^ :]*):$`).FindAllStringSubmatch(string(text), -1)
	if len(paths) < 15 {
		t.Fatalf("only %d paths are described", len(paths))
	}
	for _, m := range paths {
		if strings.HasPrefix(m[1], "/problems/") {
			continue
		}
		path := regexp.MustCompile(`\{[^}]*}`).ReplaceAllString(m[1], "1")
		if got := a.as(t, a.admin, "BREW "+path, ""); got.status != 405 {
			t.Errorf("%s is described and not served: %d", m[1], got.status)
		}
	}
	for _, path := range []string{
		"/debug/pprof/", "/debug/vars", "/admin", "/actuator", "/swagger", "/swagger.json", "/.env", "/.git/config", "/v1/streams", "/v2/streams", "/api/streams", "/config",
		"/server-status", "/graphql", "/openapi.json", "/audit", "/tokens",
	} {
		a.as(t, a.admin, "GET "+path, "").problem(t, 404, "not-found")
	}
}

// owaspConsumption: what an endpoint answers is not trusted: it publishes only
// what the subscription says and its owner may, and only what is valid.
func owaspConsumption(t *testing.T, a attacked) {
	var asked atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-ndjson")
		answers := []string{
			`{"stream":"secret","data":{"id":1}}`, `{"stream":"mallory","data":{"id":1}}`, `{"stream":"_sluice.schemas","data":1}`, `{"stream":"alice.other","schema":"Any","data":1} {}`,
			strings.Repeat(`{"stream":"alice.out","data":1}`+"\n", 200_000), "\x00\xff", `{"data":1}`,
		}
		_, _ = io.WriteString(w, answers[int(asked.Add(1)-1)%len(answers)])
	}))
	defer evil.Close()
	a.as(t, a.alice, "PUT /subscriptions/evil", `{"streams":"alice","from":"earliest","publishes":"*","retry":{"initial":"100ms","max":"100ms","max_attempts":8},"endpoint":{"url":"`+evil.URL+`"}}`).want(t, 201)
	kafkatest.Eventually(t, patience, func() error {
		status := a.as(t, a.alice, "GET /subscriptions/evil/status", "")
		if asked.Load() < 8 {
			return fmt.Errorf("asked %d times: %s", asked.Load(), status.body)
		}
		return nil
	})
	for _, id := range []string{"secret", "mallory", "alice.out"} {
		if page := a.as(t, a.admin, "GET /streams/"+id+"/records", ""); strings.Contains(page.body, `"offset"`) {
			t.Errorf("%s has what the answer said: %s", id, page.body)
		}
	}
	a.get(t, "/health/live").want(t, 200)
}
