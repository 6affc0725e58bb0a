package main_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sluice/internal/kafkatest"
)

// passing is a gateway whose callers publish as themselves, and somebody who may
// do everything there.
type passing struct {
	*gateway
	k     *kafkatest.Secured
	admin string // whose token it is
}

// startPassing runs one, with more lines of `auth`.
func startPassing(t *testing.T, lines string) passing {
	t.Helper()
	k := kafkatest.KafkaSecured(t)
	admin, adminLine := makeToken(t, "admin")
	g := launch(t, "--topic-prefix", k.Prefix(), "--replication-factor", "1", "--config", configure(t, fmt.Sprintf(`
bootstrap_servers: [%s]
security_protocol: SASL_SSL
sasl_plain_username: plain
sasl_plain_password: plain-secret
ssl_context: {cafile: %s}
auth:
  tokens: [%s]
  rules:
    - {principals: ["token:admin"], actions: [manage, publish, subscribe], streams: ["*"], schemas: ["*"]}
    - {principals: ["user:*"], actions: [publish], streams: [orders, bills, orders.events]}
    - {principals: ["user:%sreader"], actions: [subscribe], streams: [orders]}
%s`, k.SASLSSL, k.File("ca.crt"), adminLine, k.Prefix(), lines)))
	g.awaitReady(t)
	p := passing{g, k, admin}
	p.as("Bearer "+admin, "/schemas/Order/versions", `{"schema":{},"streams":["orders","bills"]}`, "").do(t, g).want(t, 201)
	return p
}

// call is a request of somebody.
type call request

func (passing) as(authorization, path, body, mediaType string) call {
	r := call{method: "POST", path: path, body: body, header: map[string]string{"Authorization": authorization}}
	if body == "" {
		r.method = "GET"
	}
	if mediaType != "" {
		r.header["Content-Type"] = mediaType
	}
	return r
}

func (c call) do(t *testing.T, g *gateway) answer {
	t.Helper()
	return g.do(t, request(c))
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// user makes a user of Kafka who may publish orders, and waits until the gateway
// lets them.
func (p passing) user(t *testing.T, name string) (user, authorization string) {
	t.Helper()
	user = p.k.Prefix() + name
	p.k.User(t, user, name+"-secret")
	p.k.Allow(t, user, p.k.Prefix()+"orders", kadm.OpWrite)
	return user, basic(user, name+"-secret")
}

func (p passing) eventually(t *testing.T, c call, status int) answer {
	t.Helper()
	var got answer
	kafkatest.Eventually(t, patience, func() error {
		if got = c.do(t, p.gateway); got.status != status {
			return fmt.Errorf("%d %s", got.status, got.body)
		}
		return nil
	})
	return got
}

// Who has a password at Kafka publishes as themselves, in every form; Kafka's
// ACLs and the gateway's rules both hold; and nobody is anybody before Kafka says
// so.
func TestCallersPublishAsThemselves(t *testing.T) {
	p := startPassing(t, "  pass_through: {basic: SCRAM-SHA-256}")
	alice, hers := p.user(t, "alice")
	_, reader := p.user(t, "reader")
	p.eventually(t, p.as(hers, "/streams/orders", `{"id":1}`, ""), 201)
	p.eventually(t, p.as(reader, "/streams/orders", `{"id":2}`, ""), 201)

	p.eventually(t, p.as(hers, "/streams/orders", "{\"data\":3}\n{\"data\":4}\n", "application/x-ndjson"), 201)
	event := `{"specversion":"1.0","id":"1","source":"/t","type":"t","datacontenttype":"application/json","data":5}`
	p.do(t, request{method: "PUT", path: "/streams/orders.events", body: `{"schema":"Order","envelope":false}`, header: map[string]string{
		"Authorization": "Bearer " + p.admin, "Content-Type": "application/json",
	}}).want(t, 201)
	p.eventually(t, p.as(hers, "/streams/orders.events", "["+event+"]", "application/cloudevents-batch+json"), 201)

	denied := p.eventually(t, p.as(hers, "/streams/bills", `{"id":1}`, ""), 403).problem(t, 403, "forbidden")
	if want := "Kafka denies the user " + alice + " WRITE on the topic " + p.k.Prefix() + "bills;"; !strings.Contains(fmt.Sprint(denied["detail"]), want) || denied["outcome"] != "not_stored" {
		t.Errorf("got %v, want %q", denied, want)
	}
	lines := p.eventually(t, p.as(hers, "/streams/bills", "{\"data\":3}\n", "application/x-ndjson"), 403)
	if !strings.Contains(lines.body, "Kafka denies the user "+alice) {
		t.Errorf("got %d %s", lines.status, lines.body)
	}
	p.eventually(t, p.as("Bearer "+p.admin, "/streams/bills", `{"id":1}`, ""), 201)
	p.eventually(t, p.as(hers, "/streams/other", `{"id":1}`, ""), 403).problem(t, 403, "forbidden")
	p.eventually(t, p.as(hers, "/streams/orders/records", "", ""), 403).problem(t, 403, "forbidden")

	p.eventually(t, p.as(reader, "/streams/orders/records", "", ""), 200) // as the gateway: Kafka allows the reader no READ
	wrong := p.eventually(t, p.as(basic(p.k.Prefix()+"reader", "alice-secret"), "/streams/orders/records", "", ""), 401)
	wrong.problem(t, 401, "unauthenticated")
	if got := strings.Join(wrong.header.Values("WWW-Authenticate"), "\n"); !strings.Contains(got, "Bearer realm=") || !strings.Contains(got, `Basic realm="sluice", charset="UTF-8"`) {
		t.Errorf("the challenges are %q", got)
	}
	p.eventually(t, p.as(reader, "/streams/orders/records", "", ""), 200)
	for _, secret := range []string{"alice-secret", "reader-secret", p.admin, strings.TrimPrefix(hers, "Basic ")} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	p.metric(t, "sluice_identity_producers 2")
}

// metric fails the test unless the gateway shows that line.
func (p passing) metric(t *testing.T, line string) {
	t.Helper()
	p.eventually(t, p.as("Bearer "+p.admin, "/metrics", "", ""), 200)
	kafkatest.Eventually(t, patience, func() error {
		if text := p.as("Bearer "+p.admin, "/metrics", "", "").do(t, p.gateway).body; !strings.Contains(text, line+"\n") {
			return fmt.Errorf("the metrics have no %q", line)
		}
		return nil
	})
}

// After a change of the password the new one works as soon as Kafka has it, and
// from then on the old one does not.
func TestCallersPasswordThatChanges(t *testing.T) {
	p := startPassing(t, "  pass_through: {basic: SCRAM-SHA-256, producers: 2}")
	user, old := p.user(t, "alice")
	p.eventually(t, p.as(old, "/streams/orders", `{"id":1}`, ""), 201)
	p.k.User(t, user, "changed")
	changed := basic(user, "changed")
	p.eventually(t, p.as(changed, "/streams/orders", `{"id":2}`, ""), 201)
	p.eventually(t, p.as(old, "/streams/orders", `{"id":3}`, ""), 401)
	p.eventually(t, p.as(changed, "/streams/orders", `{"id":4}`, ""), 201)
	p.metric(t, "sluice_identity_producers 1")
	p.metric(t, `sluice_identity_producers_closed_total{reason="refused"} 1`)
}

// A token is Kafka's to judge where no issuer is configured; two tokens of one
// user share a producer.
func TestCallersTokens(t *testing.T) {
	p := startPassing(t, "  pass_through: {bearer: true}")
	user := p.k.Prefix() + "alice"
	p.k.Allow(t, user, p.k.Prefix()+"orders", kadm.OpWrite)
	p.eventually(t, p.as(jwtOf(t, user, time.Hour, "a"), "/streams/orders", `{"id":1}`, ""), 201)
	p.eventually(t, p.as(jwtOf(t, user, 2*time.Hour, "b"), "/streams/orders", `{"id":2}`, ""), 201)
	p.metric(t, "sluice_identity_producers 1")
	p.eventually(t, p.as(jwtOf(t, user, -time.Hour, "c"), "/streams/orders", `{"id":3}`, ""), 401).problem(t, 401, "unauthenticated")
	p.eventually(t, p.as("Bearer a.b.c", "/streams/orders", `{"id":3}`, ""), 401).problem(t, 401, "unauthenticated")
	denied := p.eventually(t, p.as(jwtOf(t, user, time.Hour, "d"), "/streams/bills", `{"id":1}`, ""), 403).problem(t, 403, "forbidden")
	if !strings.Contains(fmt.Sprint(denied["detail"]), "the user "+user+" WRITE") {
		t.Errorf("got %v", denied)
	}
}

// jwtOf is a token that is not signed, which the Kafka of tests takes.
func jwtOf(t *testing.T, user string, life time.Duration, id string) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{"sub": user, "jti": id, "iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(life).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return "Bearer " + encode([]byte(`{"alg":"none"}`)) + "." + encode(claims) + "."
}
