package main_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/kafkatest"
)

// makeToken makes a token as a user does, and gives its text and its line of
// the configuration.
func makeToken(t *testing.T, name string) (text, line string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "token", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ = strings.Cut(string(out), "\n")
	line = regexp.MustCompile(`\{name: .*}`).FindString(string(out))
	if !strings.HasPrefix(text, "sluice_") || line == "" {
		t.Fatalf("gateway token prints %s", out)
	}
	return text, line
}

// A gateway that asks who its callers are: what one may publish, another may
// read, and neither more.
func TestCallersAndTheirRights(t *testing.T) {
	b := kafkatest.Embedded(t)
	writer, writerLine := makeToken(t, "writer")
	reader, readerLine := makeToken(t, "reader")
	admin, adminLine := makeToken(t, "admin")
	g := launch(t, "--kafka-servers", b.Addr, "--topic-prefix", b.Prefix(), "--config", configure(t, `
auth:
  tokens: [`+writerLine+", "+readerLine+", "+adminLine+`]
  rules:
    - {principals: ["token:writer"], actions: [publish], streams: [orders]}
    - {principals: ["token:reader"], actions: [subscribe], streams: ["orders*"]}
    - {principals: ["token:admin"], actions: [manage, publish], streams: ["*"], schemas: ["*"]}
`))
	g.awaitReady(t)
	as := func(token, method, path, body string) answer {
		header := map[string]string{}
		if token != "" {
			header["Authorization"] = "Bearer " + token
		}
		return g.do(t, request{method: method, path: path, body: body, header: header})
	}
	as("", "POST", "/streams/orders", "{}").problem(t, 401, "unauthenticated")
	as(writer+"x", "POST", "/streams/orders", "{}").problem(t, 401, "unauthenticated")
	as(writer, "POST", "/schemas/Order/versions", `{"schema":{}}`).problem(t, 403, "forbidden")
	as(admin, "POST", "/schemas/Order/versions", `{"schema":{},"streams":["orders","secret"]}`).want(t, 201)
	as(writer, "POST", "/streams/orders", `{"id":1}`).want(t, 201)
	as(admin, "POST", "/streams/secret", `{"id":2}`).want(t, 201)
	as(writer, "POST", "/streams/secret", `{"id":1}`).problem(t, 403, "forbidden")
	as(writer, "GET", "/streams/orders/records", "").problem(t, 403, "forbidden")
	as(reader, "GET", "/streams/secret/records", "").problem(t, 403, "forbidden")
	as(reader, "GET", "/streams/orders,secret/records", "").problem(t, 403, "forbidden")
	page := as(reader, "GET", "/streams/*/records", "")
	page.want(t, 200)
	if !strings.Contains(page.body, `"orders"`) || strings.Contains(page.body, `"secret"`) {
		t.Errorf("the pattern reads %s", page.body)
	}
	list := as(reader, "GET", "/streams", "")
	if !strings.Contains(list.body, `"orders"`) || strings.Contains(list.body, "secret") {
		t.Errorf("the list has %s", list.body)
	}
	if text := g.log.String(); strings.Contains(text, writer) || strings.Contains(text, reader) {
		t.Error("a token is in the log")
	}
}

// Who commits for a group has to be allowed to read all streams of the position.
func TestCommitsNeedTheRightToRead(t *testing.T) {
	b := kafkatest.Embedded(t)
	reader, readerLine := makeToken(t, "reader")
	admin, adminLine := makeToken(t, "admin")
	g := launch(t, "--kafka-servers", b.Addr, "--topic-prefix", b.Prefix(), "--config", configure(t, `
auth:
  tokens: [`+readerLine+", "+adminLine+`]
  rules:
    - {principals: ["token:reader"], actions: [subscribe], streams: [orders], groups: [g]}
    - {principals: ["token:admin"], actions: [manage, publish, subscribe], streams: ["*"], schemas: ["*"], groups: ["*"]}
`))
	g.awaitReady(t)
	as := func(token, method, path, body string) answer {
		return g.do(t, request{method: method, path: path, body: body, header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
	}
	as(admin, "POST", "/schemas/Order/versions", `{"schema":{},"streams":["orders","secret"]}`).want(t, 201)
	as(admin, "POST", "/streams/orders", `{"id":1}`).want(t, 201)
	as(admin, "POST", "/streams/secret", `{"id":2}`).want(t, 201)
	position := func(token, streams string) string {
		return fmt.Sprintf(`{"position":%q}`, as(token, "GET", "/streams/"+streams+"/records", "").want(t, 200)["next"])
	}
	both, secret, own := position(admin, "orders,secret"), position(admin, "secret"), position(reader, "orders")
	as(reader, "POST", "/groups/g/commit", both).problem(t, 403, "forbidden")
	as(reader, "POST", "/groups/g/commit", secret).problem(t, 403, "forbidden")
	for who, body := range map[string]string{reader: own, admin: both} {
		if a := as(who, "POST", "/groups/g/commit", body); a.status != 204 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// A subscription has its owner's rights: its pattern delivers only streams that
// the owner may read, and when the owner may nothing any more it is paused.
func TestASubscriptionHasItsOwnersRights(t *testing.T) {
	b := kafkatest.Embedded(t)
	t.Setenv("SLUICE_WEBHOOKS_ALLOW_NETWORKS", "127.0.0.0/8")
	reader, readerLine := makeToken(t, "reader")
	admin, adminLine := makeToken(t, "admin")
	begin := func(who string) *gateway {
		g := launch(t, "--kafka-servers", b.Addr, "--topic-prefix", b.Prefix(), "--replication-factor", "1", "--config", configure(t, `
auth:
  tokens: [`+readerLine+", "+adminLine+`]
  rules:
    - {principals: ["token:admin"], actions: [manage, publish], streams: ["*"], schemas: ["*"]}
    - {principals: ["token:`+who+`"], actions: [subscribe], streams: [orders]}
`))
		g.awaitReady(t)
		return g
	}
	g := begin("reader")
	as := func(token, method, path, body string) answer {
		return g.do(t, request{method: method, path: path, body: body, header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
	}
	as(admin, "POST", "/schemas/Order/versions", `{"schema":{},"streams":["orders","secret"]}`).want(t, 201)
	r := newReceiver(t)
	sub := as(reader, "POST", "/subscriptions", `{"id":"push","streams":"*","from":"earliest","endpoint":{"url":"`+r.URL+`"}}`).want(t, 201)
	if sub["owner"] != "token:reader" {
		t.Errorf("got %v", sub)
	}
	as(admin, "POST", "/streams/secret", `{"id":1}`).want(t, 201)
	as(admin, "POST", "/streams/orders", `{"id":2}`).want(t, 201)
	r.wantAll(t, []int{2})
	g.signal(t, syscall.SIGTERM)

	g = begin("somebody") // the reader may nothing any more
	kafkatest.Eventually(t, patience, func() error {
		sub := as(admin, "GET", "/subscriptions/push", "").want(t, 200)
		if sub["state"] != "paused" || sub["reason"] != "forbidden" {
			return fmt.Errorf("it is %v, %v", sub["state"], sub["reason"])
		}
		return nil
	})
	as(admin, "POST", "/streams/orders", `{"id":3}`).want(t, 201)
	as(reader, "GET", "/subscriptions/push", "").problem(t, 403, "forbidden")
	g.signal(t, syscall.SIGTERM)

	g = begin("reader")
	as(reader, "POST", "/subscriptions/push/resume", "").want(t, 200)
	r.wantAll(t, []int{2, 3})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken[1] > 0 {
		t.Error("a record was delivered that its owner may not read")
	}
}
