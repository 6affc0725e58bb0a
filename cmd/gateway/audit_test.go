package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/kafkatest"
)

// Who did what is in a stream, which tells it to those who may read it, and
// which nobody can write to or take away.
func TestAuditInAStream(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		b.Topic(t, "audit", 1, nil) // as an operator makes it who wants a retention of his own
		auditor, auditorLine := makeToken(t, "auditor")
		admin, adminLine := makeToken(t, "admin")
		g := launch(t, "--kafka-servers", b.Addr, "--topic-prefix", b.Prefix(), "--replication-factor", "1", "--config", configure(t, `
audit: {stream: audit, required: true, events: [changes, denials, publishes, reads]}
auth:
  tokens: [`+auditorLine+", "+adminLine+`]
  rules:
    - {principals: ["token:auditor"], actions: [subscribe], streams: ["audit"]}
    - {principals: ["token:admin"], actions: [manage, publish, subscribe], streams: ["*"], schemas: ["*"]}
`))
		g.awaitReady(t)
		as := func(token, method, path, body string) answer {
			return g.do(t, request{method: method, path: path, body: body, header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json", "X-Request-Id": "r-" + method}})
		}
		as(admin, "POST", "/schemas/Order/versions", `{"schema":{},"streams":["orders"]}`).want(t, 201)
		as(admin, "POST", "/streams/orders?key=hush", `{"id":"hush"}`).want(t, 201)
		as(auditor, "DELETE", "/streams/orders", "").problem(t, 403, "forbidden")
		as("bad-token", "GET", "/streams", "").problem(t, 401, "unauthenticated")
		for _, try := range []struct{ method, path, body string }{
			{"POST", "/streams/audit", `{"event":"change"}`},
			{"POST", "/streams/audit?schema=sluice.audit:1", `{"event":"change"}`},
			{"PUT", "/streams/audit", `{"cleanup_policy":"compact"}`},
			{"DELETE", "/streams/audit", ""},
			{"POST", "/schemas/sluice.audit/versions", `{"schema":{}}`},
			{"POST", "/schemas/Order/versions", `{"schema":{},"streams":["audit"]}`},
			{"DELETE", "/schemas/sluice.audit/versions/1", ""},
		} {
			as(admin, try.method, try.path, try.body).problem(t, 403, "forbidden")
		}
		if a := as(admin, "POST", "/subscriptions", `{"streams":"orders","dead_letter":"audit","endpoint":{"url":"https://receiver.example/"}}`); a.status != 400 || !strings.Contains(a.body, "dead_letter") {
			t.Errorf("dead letters into the audit log: %d %s", a.status, a.body)
		}
		want := []string{
			`change allowed token:admin POST /schemas/{name}/versions schema Order r-POST 201 `,
			`publish allowed token:admin POST /streams/{stream} stream orders r-POST 201 `,
			`denial denied token:auditor DELETE /streams/{stream} stream orders r-DELETE 403 forbidden`,
			`denial denied anonymous GET /streams   r-GET 401 unauthenticated`,
			`denial denied token:admin POST /streams/{stream} stream audit r-POST 403 forbidden`,
			`denial denied token:admin DELETE /streams/{stream} stream audit r-DELETE 403 forbidden`,
			`change failed token:admin POST /subscriptions subscription  r-POST 400 invalid-request`,
		}
		kafkatest.Eventually(t, patience, func() error {
			var text strings.Builder
			page := as(auditor, "GET", "/streams/audit/records?limit=1000", "")
			var answer struct {
				Records []struct {
					Schema string `json:"schema"`
					Data   struct {
						Event, Outcome, Principal, Address, Action, Resource, Name, Code string
						RequestID                                                        string `json:"request_id"`
						Status                                                           int
					} `json:"data"`
				} `json:"records"`
			}
			if err := json.Unmarshal([]byte(page.body), &answer); err != nil {
				return fmt.Errorf("%w: %s", err, page.body)
			}
			for _, r := range answer.Records {
				d := r.Data
				fmt.Fprintf(&text, "%s %s %s %s %s %s %s %d %s\n", d.Event, d.Outcome, d.Principal, d.Action, d.Resource, d.Name, d.RequestID, d.Status, d.Code)
				if r.Schema != "sluice.audit:1" || d.Address != "127.0.0.1" {
					t.Errorf("got %+v", r)
				}
			}
			for _, line := range want {
				if !strings.Contains(text.String(), line+"\n") {
					return fmt.Errorf("%q is missing in:\n%s", line, text.String())
				}
			}
			if strings.Contains(page.body, "hush") || strings.Contains(page.body, "bad-token") || strings.Contains(text.String(), "read allowed token:auditor") {
				t.Errorf("the events tell what they should not: %s", page.body)
			}
			return nil
		})
	})
}

// Where everything has to be audited, nothing is changed while Kafka, where the
// audit log is, takes nothing; and the gateway is not ready.
func TestNothingIsDoneThatCannotBeAudited(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	if err := os.Symlink("/dev/full", path); err != nil { // a disk that is full
		t.Fatal(err)
	}
	b := kafkatest.Embedded(t)
	g := start(t, b, "--config", configure(t, "audit: {log: "+path+", required: true}\n"))
	a := g.post(t, "/schemas/Order/versions", `{"schema":{},"streams":["orders"]}`) // nothing has failed yet
	a.want(t, 201)
	kafkatest.Eventually(t, patience, func() error {
		if a := g.get(t, "/health/ready"); a.status != 503 || !strings.Contains(a.body, "no space left") {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	g.put(t, "/streams/orders", `{"partitions":2}`).problem(t, 503, "audit-unavailable")
	g.post(t, "/streams/orders", `1`).want(t, 201) // is not audited
	if err := os.Remove(path); err != nil {        // there is room again
		t.Fatal(err)
	}
	kafkatest.Eventually(t, patience, func() error {
		if a := g.put(t, "/streams/orders", `{"partitions":2}`); a.status != 200 {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	kafkatest.Eventually(t, patience, func() error {
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), `"POST /schemas/{name}/versions"`) || !strings.Contains(string(text), `"PUT /streams/{stream}"`) {
			return fmt.Errorf("%s, %w", text, err)
		}
		return nil
	})
}

// Rules and tokens that change hold without a restart, for open streams and
// subscriptions, too; a file with mistakes changes nothing.
func TestRulesAreReadAgain(t *testing.T) {
	b := kafkatest.Embedded(t)
	t.Setenv("SLUICE_WEBHOOKS_ALLOW_NETWORKS", "127.0.0.0/8")
	reader, readerLine := makeToken(t, "reader")
	admin, adminLine := makeToken(t, "admin")
	log := filepath.Join(t.TempDir(), "audit.log")
	text := func(readers, more string) string {
		return `
audit: {log: ` + log + `}
auth:
  tokens: [` + readerLine + ", " + adminLine + `]
  rules:
    - {principals: ["token:admin"], actions: [manage, publish, subscribe], streams: ["*"], schemas: ["*"]}
    - {principals: ["token:reader"], actions: [subscribe], streams: [` + readers + `]}
` + more
	}
	file := configure(t, text("orders, own", ""))
	change := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := start(t, b, "--config", file)
	says := func(words ...string) {
		t.Helper()
		kafkatest.Eventually(t, patience, func() error {
			for _, w := range words {
				if !strings.Contains(g.log.String(), w) {
					return errors.New("the log does not say " + w)
				}
			}
			return nil
		})
	}
	as := func(token, method, path, body string) answer {
		return g.do(t, request{method: method, path: path, body: body, header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
	}
	as(admin, "POST", "/schemas/Order/versions", `{"schema":{},"streams":["orders","own"]}`).want(t, 201)
	r := newReceiver(t)
	as(reader, "POST", "/subscriptions", `{"id":"push","streams":"*","from":"earliest","endpoint":{"url":"`+r.URL+`"}}`).want(t, 201)
	as(admin, "POST", "/streams/orders", `{"id":1}`).want(t, 201)
	r.wantAll(t, []int{1})
	lost, kept := openEvents(t, g, reader, "orders"), openEvents(t, g, reader, "own")

	change(text("orders, own", "limits: {bodi: 1MiB}\n")) // a mistake, found by looking at the file
	says("limits.bodi", "stays in force, all of it")
	as(reader, "GET", "/streams/orders/records", "").want(t, 200)

	change(text("own", "limits: {body: 1MiB}\n"))
	says("need a restart", `"keys":["limits.body"]`, "what callers may do has changed")
	if end := <-lost; !strings.HasSuffix(end, "event: end\ndata: {\"reason\":\"expired\"}\n\n") {
		t.Errorf("the stream ends with %q", end)
	}
	as(reader, "GET", "/streams/orders/records", "").problem(t, 403, "forbidden")
	as(admin, "POST", "/streams/orders", `{"id":2}`).want(t, 201) // not for the subscription any more
	as(admin, "POST", "/streams/own", `{"id":3}`).want(t, 201)
	r.wantAll(t, []int{1, 3})

	change(strings.ReplaceAll(text("own", ""), readerLine+", ", "")) // the token is gone
	if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if end := <-kept; !strings.HasSuffix(end, "event: end\ndata: {\"reason\":\"expired\"}\n\n") {
		t.Errorf("the stream ends with %q", end)
	}
	as(reader, "GET", "/streams/own/records", "").problem(t, 401, "unauthenticated")
	kafkatest.Eventually(t, patience, func() error {
		if sub := as(admin, "GET", "/subscriptions/push", "").want(t, 200); sub["state"] != "paused" || sub["reason"] != "forbidden" {
			return fmt.Errorf("it is %v, %v", sub["state"], sub["reason"])
		}
		return nil
	})
	change("listen: 127.0.0.1:0\n") // nobody would be asked any more
	says("it would let everybody in")
	as(reader, "GET", "/streams", "").problem(t, 401, "unauthenticated")
	kafkatest.Eventually(t, patience, func() error {
		lines, err := os.ReadFile(log)
		for _, want := range []string{`"principal":"gateway"`, `changed: auth.rules; tokens added: []; tokens removed: []`, `tokens removed: [\"reader\"]`, `the one before stays in force`} {
			if err != nil || !strings.Contains(string(lines), want) {
				return fmt.Errorf("%s is missing: %s, %w", want, lines, err)
			}
		}
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken[2] > 0 {
		t.Error("a record was delivered that its owner may not read any more")
	}
}

// openEvents opens an event stream, and gives all of it when it has ended.
func openEvents(t *testing.T, g *gateway, token, pattern string) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", g.url+"/streams/"+pattern+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	all := make(chan string, 1)
	go func() {
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body) // ends with the test at the latest
		all <- string(text)
	}()
	return all
}
