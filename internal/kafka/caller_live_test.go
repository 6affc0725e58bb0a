package kafka_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// callerOf is a caller of that test alone, and what logs it in.
func callerOf(t *testing.T, k *kafkatest.Secured, g *gateway, name string) *stream.Login {
	t.Helper()
	user := k.Prefix() + name
	k.User(t, user, user+"-secret")
	l := stream.Login{Mechanism: "SCRAM-SHA-256", User: user}.WithSecret(user + "-secret")
	kafkatest.Eventually(t, patience, func() error { return g.Confirm(t.Context(), l) })
	return l
}

// publisher makes the caller's own producer.
func (g *gateway) publisher(t *testing.T, l *stream.Login, suspect func()) *gateway {
	t.Helper()
	p, err := g.As(l, suspect)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, p) })
	return &gateway{Cluster: g.Cluster, Producer: p, admin: g.admin}
}

// closeNow gives up what a producer holds.
func closeNow(t *testing.T, p *kafka.Producer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = p.Close(ctx) // how much that was
}

func unexpected(t *testing.T) func() {
	return func() { t.Error("a good login is suspected") }
}

// Two callers publish, each what Kafka allows them and no more; the gateway's own
// rights do not help.
func TestCallersPublishAsThemselves(t *testing.T) {
	t.Parallel()
	k := kafkatest.KafkaSecured(t)
	g := startWith(t, k.Broker, secured(k, "SASL_PLAINTEXT", "PLAIN"))
	orders, bills := k.Topic(t, "orders", 1, nil), k.Topic(t, "bills", 1, nil)
	alice, bob := callerOf(t, k, g, "alice"), callerOf(t, k, g, "bob")
	k.Allow(t, alice.User, orders, kadm.OpWrite)
	k.Allow(t, bob.User, bills, kadm.OpWrite)
	hers, his := g.publisher(t, alice, unexpected(t)), g.publisher(t, bob, unexpected(t))
	kafkatest.Eventually(t, patience, func() error { return await(t, hers.send(message(orders, "k", "v"))).err })
	kafkatest.Eventually(t, patience, func() error { return await(t, his.send(message(bills, "k", "v"))).err })
	for _, test := range []struct {
		who   *gateway
		user  string
		topic string
	}{{hers, alice.User, bills}, {his, bob.User, orders}} {
		e := wantCode(t, await(t, test.who.send(message(test.topic, "k", "v"))).err, stream.Forbidden)
		if want := "Kafka denies the user " + test.user + " WRITE on the topic " + test.topic + ";"; !strings.Contains(e.Message, want) || e.Outcome != stream.NotStored {
			t.Errorf("got %q, %s, want %q", e.Message, e.Outcome, want)
		}
	}
	hers.store(t, message(orders, "k", "v"))
	g.store(t, message(bills, "k", "v"))
	if g.Reachable() != nil || g.Diagnosis() != "" {
		t.Errorf("what Kafka denies a caller is held against the gateway: %v, %s", g.Reachable(), g.Diagnosis())
	}
}

// Every mechanism says of a login whether it is good, on a connection with TLS
// and on one without.
func TestConfirm(t *testing.T) {
	t.Parallel()
	k := kafkatest.KafkaSecured(t)
	token := func(text string) *stream.Login {
		return stream.Login{Mechanism: "OAUTHBEARER", User: "gateway", Expires: time.Now().Add(time.Hour)}.WithSecret(text)
	}
	login := func(mechanism, user, password string) *stream.Login {
		return stream.Login{Mechanism: mechanism, User: user}.WithSecret(password)
	}
	for _, protocol := range []string{"SASL_PLAINTEXT", "SASL_SSL"} {
		g := startWith(t, k.Broker, secured(k, protocol, "SCRAM-SHA-512"))
		for _, test := range []struct {
			login *stream.Login
			want  stream.Code
		}{
			{login("PLAIN", "alice", "alice-secret"), ""},
			{login("PLAIN", "alice", "plain-secret"), stream.Unauthenticated},
			{login("SCRAM-SHA-256", "alice", "alice-secret"), ""},
			{login("SCRAM-SHA-256", "alice", "alice-secret "), stream.Unauthenticated},
			{login("SCRAM-SHA-512", "alice", "alice-secret"), ""},
			{login("SCRAM-SHA-512", "nobody", "alice-secret"), stream.Unauthenticated},
			{token(validFor(t, time.Hour)), ""},
			{token(validFor(t, -time.Hour)), stream.Unauthenticated},
			{token("not.a.token"), stream.Unauthenticated},
		} {
			err := g.Confirm(t.Context(), test.login)
			if stream.CodeOf(err) != test.want {
				t.Errorf("%s, %v: got %v, want %q", protocol, test.login, err, test.want)
			}
		}
		if g.Reachable() != nil {
			t.Error(g.Reachable())
		}
	}
}

// A token is handed to librdkafka when it asks, and a later one takes its place.
func TestCallerWithAToken(t *testing.T) {
	t.Parallel()
	k := kafkatest.KafkaSecured(t)
	g := startWith(t, k.Broker, quickToIdle(secured(k, "SASL_SSL", "PLAIN")))
	topic := k.Topic(t, "orders", 1, nil)
	user := strings.TrimSuffix(k.Prefix(), ".")
	k.Allow(t, user, topic, kadm.OpWrite)
	login := func(life time.Duration) *stream.Login {
		end := time.Now().Add(life)
		text := token(t, map[string]any{"sub": user, "iat": float64(time.Now().UnixMilli())/1000 - 1, "exp": float64(end.UnixMilli()) / 1000})
		return stream.Login{Mechanism: "OAUTHBEARER", User: user, Expires: end}.WithSecret(text)
	}
	const life = 6 * time.Second
	over := time.Now().Add(life + time.Second)
	own := g.publisher(t, login(life), func() {})
	kafkatest.Eventually(t, patience, func() error { return await(t, own.send(message(topic, "k", "v"))).err })
	own.Follow(login(time.Hour))
	until(t, over) // connections are idle after a second, so that it logs in anew
	own.store(t, message(topic, "k", "v"))
}

// A login that Kafka refuses is suspected soon, and what waits is given up
// when its producer is closed, as not stored.
func TestCallerThatKafkaRefuses(t *testing.T) {
	t.Parallel()
	k := kafkatest.KafkaSecured(t)
	g := startWith(t, k.Broker, secured(k, "SASL_PLAINTEXT", "PLAIN"))
	topic := k.Topic(t, "orders", 1, nil)
	suspected := make(chan struct{}, 1)
	own := g.publisher(t, stream.Login{Mechanism: "SCRAM-SHA-256", User: "alice"}.WithSecret("wrong"), func() {
		select {
		case suspected <- struct{}{}:
		default:
		}
	})
	waiting := own.send(message(topic, "k", "v"))
	select {
	case <-suspected:
	case <-time.After(patience):
		t.Fatal("a wrong password is not suspected")
	}
	closeNow(t, own.Producer)
	if e := wantCode(t, await(t, waiting).err, stream.KafkaUnavailable); e.Outcome != stream.NotStored {
		t.Errorf("the outcome is %s", e.Outcome)
	}
	g.store(t, message(topic, "k", "v"))
	if g.Reachable() != nil || g.Diagnosis() != "" {
		t.Errorf("a caller's password is held against the gateway: %v, %s", g.Reachable(), g.Diagnosis())
	}
}

// A caller's producer sees that a topic was made anew.
func TestCallerAndATopicMadeAnew(t *testing.T) {
	t.Parallel()
	k := kafkatest.KafkaSecured(t)
	g := startWith(t, k.Broker, secured(k, "SASL_PLAINTEXT", "PLAIN"))
	topic := k.Topic(t, "orders", 1, nil)
	alice := callerOf(t, k, g, "alice")
	k.Allow(t, alice.User, topic, kadm.OpWrite)
	own := g.publisher(t, alice, unexpected(t))
	kafkatest.Eventually(t, patience, func() error { return await(t, own.send(message(topic, "k", "v"))).err })
	if err := g.admin.Delete(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if _, err := g.admin.Create(t.Context(), stream.TopicSpec{Name: topic, Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	if err := g.Made(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	own.Anew(topic)
	kafkatest.Eventually(t, patience, func() error { return await(t, own.send(message(topic, "k", "v"))).err })
}

// Options by which callers cannot log in are refused, by the key to change.
func TestOptionsForCallers(t *testing.T) {
	for name, test := range map[string]struct {
		options kafka.Options
		want    string // the key
	}{
		"no login":         {kafka.Options{SecurityProtocol: "SSL"}, "security_protocol"},
		"nothing is set":   {kafka.Options{}, "security_protocol"},
		"librdkafka's TLS": {kafka.Options{SecurityProtocol: "SASL_SSL", Settings: map[string]string{"ssl.sigalgs.list": "x"}}, "kafka_settings"},
		"good":             {kafka.Options{SecurityProtocol: "SASL_SSL"}, ""},
	} {
		var key string
		for _, p := range test.options.CheckCallers("PLAIN") {
			key = p.Key
		}
		if key != test.want || len(test.options.CheckCallers()) > 0 {
			t.Errorf("%s: the problem is with %q, want %q", name, key, test.want)
		}
	}
}
