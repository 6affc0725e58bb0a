package kafka_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
	"sluice/internal/tlsconf"
	"sluice/internal/tlsconf/tlstest"
)

// namedWithin is how long a user waits, at most, to be told what is wrong.
const namedWithin = 10 * time.Second

// secured gives the options for one listener of the real Kafka, all right.
func secured(k *kafkatest.Secured, protocol, mechanism string) kafka.Options {
	o := kafka.Options{SecurityProtocol: protocol}
	switch protocol {
	case "SSL":
		o.BootstrapServers = []string{k.SSL}
		o.SSL = &tlsconf.Context{CAFile: k.File("ca.crt"), CertFile: k.File("client.crt"), KeyFile: k.File("client.key")}
	case "SASL_PLAINTEXT":
		o.BootstrapServers = []string{k.SASLPlaintext}
	case "SASL_SSL":
		o.BootstrapServers = []string{k.SASLSSL}
		o.SSL = &tlsconf.Context{CAFile: k.File("ca.crt")}
	default:
		o.BootstrapServers = []string{k.Addr}
	}
	if user := map[string]string{"PLAIN": "plain", "SCRAM-SHA-256": "scram256", "SCRAM-SHA-512": "scram512"}[mechanism]; user != "" {
		o.SASL = kafka.SASL{Mechanism: mechanism, Username: user, Password: user + "-secret"}
	}
	return o
}

// token makes an unsigned JWT, which the broker of these tests takes.
func token(t testing.TB, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(map[string]string{"alg": "none"}) + "." + part(claims) + "."
}

func validFor(t testing.TB, d time.Duration) string {
	t.Helper()
	now := time.Now()
	return token(t, map[string]any{"sub": "gateway", "iat": float64(now.UnixMilli())/1000 - 1, "exp": float64(now.Add(d).UnixMilli()) / 1000})
}

// tokenOf makes the token of a user, for an hour.
func tokenOf(t testing.TB, user string) string {
	t.Helper()
	now := time.Now()
	return token(t, map[string]any{"sub": user, "iat": now.Add(-time.Second).Unix(), "exp": now.Add(time.Hour).Unix()})
}

func withToken(o kafka.Options, file string) kafka.Options {
	o.SASL = kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: kafka.OAuth{TokenFile: file}}
	return o
}

func TestSecurityPublishesAndReads(t *testing.T) {
	k := kafkatest.KafkaSecured(t)
	encrypted := secured(k, "SSL", "")
	encrypted.SSL.KeyFile, encrypted.SSL.Password = k.File("client.enc.key"), "client-key-secret"
	listed := secured(k, "SASL_SSL", "PLAIN")
	listed.SSL.CRLFile = brokersCA(t, k).revoke(t, new(big.Int).SetInt64(42))
	tests := map[string]kafka.Options{
		"PLAINTEXT":                       secured(k, "PLAINTEXT", ""),
		"SSL":                             secured(k, "SSL", ""),
		"SSL with an encrypted key":       encrypted,
		"SASL_SSL with a revocation list": listed,
	}
	for _, protocol := range []string{"SASL_PLAINTEXT", "SASL_SSL"} {
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			tests[protocol+" "+mechanism] = secured(k, protocol, mechanism)
		}
		tests[protocol+" OAUTHBEARER file"] = withToken(secured(k, protocol, ""), tlstest.File(t, "token", validFor(t, time.Hour)))
	}
	for name, options := range tests {
		t.Run(name, func(t *testing.T) {
			if problems := options.Validate(); len(problems) > 0 {
				t.Fatal(problems)
			}
			publishAndRead(t, k, startWith(t, k.Broker, options), "hello")
		})
	}
}

// publishAndRead sends a record through the gateway's producer, and reads it
// with the gateway's reader.
func publishAndRead(t *testing.T, k *kafkatest.Secured, g *gateway, name string) {
	t.Helper()
	topic := k.Topic(t, name, 1, nil)
	got := await(t, g.send(stream.Message{Topic: topic, Partition: stream.AnyPartition, Value: []byte(`{"a":1}`)}))
	if got.err != nil {
		t.Fatal(got.err)
	}
	reader := kafka.NewReader(g.Cluster, stream.Topics{Prefix: k.Prefix()})
	defer reader.Close()
	r, err := reader.Read(t.Context(), name, got.report.Partition, got.report.Offset)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Value) != `{"a":1}` {
		t.Errorf("read %s", r.Value)
	}
}

func TestWrongSecurityIsNamed(t *testing.T) {
	k := kafkatest.KafkaSecured(t)
	ca := brokersCA(t, k)
	expired, expiredKey := ca.client(t, time.Now().Add(-time.Hour))
	with := func(o kafka.Options, change func(*kafka.Options)) kafka.Options {
		change(&o)
		return o
	}
	password := func(mechanism, password string) kafka.Options {
		return with(secured(k, "SASL_PLAINTEXT", mechanism), func(o *kafka.Options) { o.SASL.Password = password })
	}
	ssl, saslSSL := secured(k, "SSL", ""), secured(k, "SASL_SSL", "PLAIN")
	inSSL := func(o kafka.Options, change func(*tlsconf.Context)) kafka.Options {
		c := *o.SSL
		change(&c)
		o.SSL = &c
		return o
	}
	refused := []string{"`sasl_plain_username`", "`sasl_plain_password`"}
	for name, test := range map[string]struct {
		options kafka.Options
		want    []string // parts of the reason
	}{
		"unknown CA": {
			inSSL(saslSSL, func(c *tlsconf.Context) { c.CAFile = k.File("other-ca.crt") }),
			[]string{"not signed by a CA in `ssl_context.cafile`", k.SASLSSL},
		},
		"no client certificate": {
			inSSL(ssl, func(c *tlsconf.Context) { c.CertFile, c.KeyFile = "", "" }),
			[]string{"wants a client certificate", "`ssl_context.certfile`"},
		},
		"foreign client certificate": {
			inSSL(ssl, func(c *tlsconf.Context) {
				c.CertFile, c.KeyFile = k.File("other-client.crt"), k.File("other-client.key")
			}),
			[]string{"refuses the client certificate in `ssl_context.certfile`", "CN=sluice-test-ca"},
		},
		"expired client certificate": {
			inSSL(ssl, func(c *tlsconf.Context) { c.CertFile, c.KeyFile = expired, expiredKey }),
			[]string{"`ssl_context.certfile`", "expired on"},
		},
		"revoked broker certificate": {
			inSSL(saslSSL, func(c *tlsconf.Context) { c.CRLFile = ca.revoke(t, certificate(t, k.File("broker.crt")).SerialNumber) }),
			[]string{"`ssl_context.crlfile`", "revoked"},
		},
		"expired broker certificate": {
			with(saslSSL, func(o *kafka.Options) { o.BootstrapServers = []string{ca.expiredServer(t)} }),
			[]string{"is valid from", "a new one"},
		},
		"another host": {
			with(saslSSL, func(o *kafka.Options) { o.BootstrapServers = []string{forward(t, "127.0.0.2:0", k.SASLSSL)} }),
			[]string{"is for localhost and 127.0.0.1", "`ssl_context.check_hostname`", "127.0.0.2"},
		},
		"wrong password, PLAIN":         {password("PLAIN", "wrong"), append(refused, "PLAIN")},
		"wrong password, SCRAM-SHA-256": {password("SCRAM-SHA-256", "wrong"), append(refused, "SCRAM-SHA-256")},
		"wrong password, SCRAM-SHA-512": {password("SCRAM-SHA-512", "wrong"), append(refused, "SCRAM-SHA-512")},
		"wrong password over TLS":       {with(saslSSL, func(o *kafka.Options) { o.SASL.Password = "wrong" }), refused},
		"unknown user":                  {with(secured(k, "SASL_PLAINTEXT", "SCRAM-SHA-512"), func(o *kafka.Options) { o.SASL.Username = "nobody" }), refused},
		"mechanism not enabled": {
			with(secured(k, "SASL_PLAINTEXT", "SCRAM-SHA-256"), func(o *kafka.Options) { o.BootstrapServers = []string{onlyOffers(t, "PLAIN", "SCRAM-SHA-512")} }),
			[]string{"offers PLAIN and SCRAM-SHA-512, not `sasl_mechanism` SCRAM-SHA-256"},
		},
		"plaintext to TLS": {
			with(secured(k, "PLAINTEXT", ""), func(o *kafka.Options) { o.BootstrapServers = []string{k.SSL} }),
			[]string{"`security_protocol` is PLAINTEXT, but " + k.SSL + " speaks TLS: set it to SSL or SASL_SSL"},
		},
		"SASL_PLAINTEXT to TLS": {
			with(secured(k, "SASL_PLAINTEXT", "PLAIN"), func(o *kafka.Options) { o.BootstrapServers = []string{k.SASLSSL} }),
			[]string{"`security_protocol` is SASL_PLAINTEXT", "speaks TLS: set it to SASL_SSL"},
		},
		"plaintext to SASL": {
			with(secured(k, "PLAINTEXT", ""), func(o *kafka.Options) { o.BootstrapServers = []string{k.SASLPlaintext} }),
			[]string{"wants a login: set it to SASL_PLAINTEXT", "`sasl_mechanism`", "SCRAM-SHA-256"},
		},
		"SSL to SASL_SSL": {
			with(ssl, func(o *kafka.Options) { o.BootstrapServers = []string{k.SASLSSL} }),
			[]string{"`security_protocol` is SSL", "wants a login: set it to SASL_SSL"},
		},
		"TLS to plaintext": {
			with(ssl, func(o *kafka.Options) { o.BootstrapServers = []string{k.Addr} }),
			[]string{"`security_protocol` is SSL, but " + k.Addr + " speaks no TLS"},
		},
		"SASL to plaintext": {
			with(secured(k, "SASL_PLAINTEXT", "PLAIN"), func(o *kafka.Options) { o.BootstrapServers = []string{k.Addr} }),
			[]string{"asks for no login: set it to PLAINTEXT"},
		},
		"expired token": {
			withToken(secured(k, "SASL_PLAINTEXT", ""), tlstest.File(t, "token", validFor(t, -time.Minute))),
			[]string{"`sasl_oauth_token_provider.token_file`", "expired on"},
		},
		"refused token": {
			withToken(secured(k, "SASL_PLAINTEXT", ""), tlstest.File(t, "token", token(t, map[string]any{"exp": time.Now().Add(time.Hour).Unix()}))),
			[]string{"refuses the token in `sasl_oauth_token_provider.token_file`"},
		},
		"nothing listens": {
			with(secured(k, "PLAINTEXT", ""), func(o *kafka.Options) { o.BootstrapServers = []string{closedPort(t)} }),
			[]string{"`bootstrap_servers`", "nothing listens on"},
		},
		"unknown name": {
			with(secured(k, "PLAINTEXT", ""), func(o *kafka.Options) { o.BootstrapServers = []string{"kafka.invalid:9092"} }),
			[]string{"`bootstrap_servers`", "kafka.invalid"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, log := troubled(t, test.options)
			reason := named(t, c)
			t.Log(reason)
			for _, part := range test.want {
				if !strings.Contains(reason, part) {
					t.Errorf("the reason is %q, without %q", reason, part)
				}
			}
			toldOnce(t, c, log, reason)
			for _, secret := range []string{test.options.SASL.Password, "client-key-secret"} {
				if secret != "" && secret != "wrong" && strings.Contains(log.String()+reason, secret) {
					t.Errorf("a secret is told:\n%s", log)
				}
			}
		})
	}
}

// A wrong password of the key is told before anything connects.
func TestWrongKeyPasswordIsNamedAtOnce(t *testing.T) {
	k := kafkatest.KafkaSecured(t)
	o := secured(k, "SSL", "")
	o.SSL.KeyFile, o.SSL.Password = k.File("client.enc.key"), "wrong"
	problems := o.Validate()
	if len(problems) != 1 || problems[0].Key != "ssl_context.password" {
		t.Errorf("got %v", problems)
	}
}

// A mechanism that this build of librdkafka lacks is named by the broker's own
// answer.
func TestMechanismThatTheBrokerLacks(t *testing.T) {
	k := kafkatest.KafkaSecured(t)
	o := secured(k, "SASL_SSL", "PLAIN")
	o.SASL = kafka.SASL{Mechanism: "GSSAPI"}
	got := kafka.Examine(t.Context(), o)
	if want := "offers OAUTHBEARER, PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, not `sasl_mechanism` GSSAPI"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// troubled starts a cluster, a producer and a log as the gateway has them, all
// of which meet the same trouble.
func troubled(t *testing.T, o kafka.Options) (*kafka.Cluster, *lines) {
	t.Helper()
	log := &lines{}
	c, err := kafka.NewCluster(kafka.ClusterOptions{
		Kafka: o, Group: "test", Log: slog.New(slog.NewTextHandler(log, nil)), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p, err := kafka.NewProducer(c, kafka.ProducerOptions{PublishTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	return c, log
}

// named waits for the reason.
func named(t *testing.T, c *kafka.Cluster) string {
	t.Helper()
	kafkatest.Eventually(t, namedWithin, func() error {
		if c.Diagnosis() == "" {
			return errors.New("no reason is given")
		}
		return nil
	})
	return c.Diagnosis()
}

// toldOnce checks who is told the reason: the log, once; whoever looks at the
// error's cause; and no client.
func toldOnce(t *testing.T, c *kafka.Cluster, log *lines, reason string) {
	t.Helper()
	var e *stream.Error
	if !errors.As(c.Reachable(), &e) || e.Code != stream.KafkaUnavailable {
		t.Fatalf("reachable says %v", c.Reachable())
	}
	if strings.Contains(e.Message, reason) {
		t.Errorf("clients are told %q", e.Message)
	}
	if !strings.Contains(e.Error(), reason) {
		t.Errorf("the error's cause is %q", e.Err)
	}
	const why = "kafka cannot be used"
	kafkatest.Eventually(t, patience, func() error { // it is logged just after it is known
		if log.count(why) == 0 {
			return errors.New("the log does not say why")
		}
		return nil
	})
	if n := log.count(why); n != 1 {
		t.Errorf("%d lines say why:\n%s", n, log)
	}
}
