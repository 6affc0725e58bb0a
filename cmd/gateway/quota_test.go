package main_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/kafkatest"
)

// Two principals at two addresses behind a proxy: each quota is of one of them,
// and what one used up the others have still. A quota of one byte a second makes
// it independent of how long the test takes.
func TestQuotasOfPrincipalsAndAddresses(t *testing.T) {
	b := kafkatest.Embedded(t)
	t.Setenv("SLUICE_WEBHOOKS_ALLOW_NETWORKS", "127.0.0.0/8")
	alice, aliceLine := makeToken(t, "alice")
	bob, bobLine := makeToken(t, "bob")
	g := launch(t, "--kafka-servers", b.Addr, "--topic-prefix", b.Prefix(), "--config", configure(t, `
trusted_proxies: [127.0.0.1]
quotas:
  principal: {bytes_per_second: 1}
  principals: [{match: "token:bob", subscriptions: 1}]
  address: {bytes_per_second: 1}
auth:
  tokens: [`+aliceLine+", "+bobLine+`]
  rules: [{principals: ["*"], actions: [publish, subscribe, manage], streams: ["*"], schemas: ["*"]}]
`))
	g.awaitReady(t)
	const home, office, lab = "203.0.113.1", "2001:db8::1", "2001:db8:0:1::1"
	send := func(token, from, body string) answer {
		header := map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}
		if from != "" {
			header["X-Forwarded-For"] = "198.51.100.9, " + from // the first is the client's own invention
		}
		return g.do(t, request{method: "POST", path: "/streams/orders", body: body, header: header})
	}
	as := func(token, method, path, body string) answer {
		return g.do(t, request{method: method, path: path, body: body, header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
	}
	as(bob, "POST", "/schemas/Order/versions", `{"schema":{},"streams":["orders"]}`).want(t, 201)
	large := `{"id":"` + strings.Repeat("x", 200_000) + `"}`
	send(alice, home, large).want(t, 201) // more than its quota, and stored whole
	refused := send(alice, office, `{"id":2}`)
	p := refused.problem(t, 429, "rate-limited")
	if fmt.Sprint(p["violated-policies"]) != "[principal-bytes]" || p["outcome"] != "not_stored" {
		t.Errorf("got %v", p)
	}
	wait, err := strconv.Atoi(refused.header.Get("Retry-After"))
	if err != nil || wait < 100_000 || refused.header.Get("RateLimit") != fmt.Sprintf(`"principal-bytes";r=0;t=%d`, wait) {
		t.Errorf("got %v", refused.header)
	}
	stored := send(bob, office, `{"id":3}`)
	stored.want(t, 201)
	if !strings.HasPrefix(stored.header.Get("RateLimit"), `"address-bytes";r=`) || stored.header.Get("RateLimit-Policy") != `"address-bytes";q=65536;qu="content-bytes";w=65536` {
		t.Errorf("got %v", stored.header)
	}
	p = send(bob, home, `{"id":4}`).problem(t, 429, "rate-limited")
	if fmt.Sprint(p["violated-policies"]) != "[address-bytes]" {
		t.Errorf("got %v", p)
	}
	send(bob, lab, `{"id":5}`).want(t, 201)
	send(bob, "", `{"id":6}`).want(t, 201) // the proxy itself
	page := as(alice, "GET", "/streams/orders/records", "").want(t, 200)
	if n := len(page["records"].([]any)); n != 4 {
		t.Errorf("%d records are stored, want 4", n)
	}
	for i, status := range []int{201, 403} {
		as(bob, "POST", "/subscriptions", fmt.Sprintf(`{"id":"s%d","streams":"orders","state":"paused","endpoint":{"url":"http://127.0.0.1:9/"}}`, i)).want(t, status)
	}
	metrics := as(bob, "GET", "/metrics", "").body
	for _, line := range []string{`sluice_quota_refusals_total{quota="principal-bytes"} 1`, `sluice_quota_refusals_total{quota="address-bytes"} 1`, `sluice_quota_accounts{kind="principal"} 1`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if log := g.log.String(); !strings.Contains(log, `"client":"`+home+`"`) || strings.Contains(log, "198.51.100.9") {
		t.Error("the log does not have the clients")
	}
}
