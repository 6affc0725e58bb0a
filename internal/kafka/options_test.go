package kafka

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/tlsconf"
)

var brokers = []string{"a.example:9092", "[::1]:9093"}

func TestBaseProperties(t *testing.T) {
	got, err := Options{BootstrapServers: brokers}.clientConfig()
	want := ckafka.ConfigMap{
		"bootstrap.servers":        "a.example:9092,[::1]:9093",
		"security.protocol":        "plaintext",
		"allow.auto.create.topics": false,
		"enable.metrics.push":      false,
		"client.id":                "sluice",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestClientConfigIsTheCallersOwn(t *testing.T) {
	o := Options{BootstrapServers: brokers, Settings: map[string]string{"linger_ms": "3"}}
	first, _ := o.clientConfig()
	first["linger.ms"] = "9"
	second, _ := o.clientConfig()
	if second["linger.ms"] != "3" || o.Settings["linger_ms"] != "3" {
		t.Errorf("%v, %v", second, o.Settings)
	}
}

func TestBrokers(t *testing.T) {
	for _, server := range []string{"a", "a:", ":9092", "a:0", "a:70000", "a:x", "kafka://a:9092", "u@a:9092", "a:1,b:2", "::1:9092", " a:9092"} {
		problems := Options{BootstrapServers: []string{server}}.Validate()
		if len(problems) != 1 || problems[0].Key != "bootstrap_servers" {
			t.Errorf("%s: %v", server, problems)
		}
	}
	if problems := (Options{}).Validate(); len(problems) != 1 || problems[0].Key != "bootstrap_servers" {
		t.Errorf("none: %v", problems)
	}
	if problems := (Options{BootstrapServers: brokers}).Validate(); len(problems) > 0 {
		t.Error(problems)
	}
}

func TestEverythingIsValidatedAtOnce(t *testing.T) {
	o := Options{
		SecurityProtocol: "SASL_SSL",
		SASL:             SASL{Mechanism: "SCRAM-SHA-256"},
		Client:           Client{MaxInFlight: new(6)},
		Settings:         map[string]string{"acks": "1", "no.such": "1"},
	}
	var got []string
	for _, p := range o.Validate() {
		got = append(got, p.Key)
	}
	want := []string{
		"kafka_settings.acks", "bootstrap_servers", "ssl_context", "sasl_plain_username", "sasl_plain_password",
		"max_in_flight_requests_per_connection", "kafka_settings.no.such",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	o := Options{
		BootstrapServers: brokers,
		SSL:              &tlsconf.Context{Password: "hush"},
		SASL:             SASL{Password: "hush"},
		Settings:         map[string]string{"sasl.password": "hush"},
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "options", o, "sasl", o.SASL)
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s", o, o, o, &o), fmt.Sprintf("%v %#v", o.SASL, &o.SASL), log.String()} {
		if strings.Contains(s, "hush") {
			t.Errorf("printed: %s", s)
		}
	}
	if !strings.Contains(log.String(), "a.example:9092") {
		t.Errorf("nothing is left to recognise: %s", log.String())
	}
}
