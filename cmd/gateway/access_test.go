package main_test

import (
	"os/exec"
	"regexp"
	"strings"
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
