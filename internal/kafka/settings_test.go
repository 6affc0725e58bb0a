package kafka

import (
	"maps"
	"strings"
	"testing"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"
)

// base are the properties that every configuration here has.
func base(more ckafka.ConfigMap) ckafka.ConfigMap {
	cfg := ckafka.ConfigMap{
		"bootstrap.servers":        "a.example:9092,[::1]:9093",
		"security.protocol":        "plaintext",
		"allow.auto.create.topics": false,
		"enable.metrics.push":      false,
		"client.id":                "sluice",
	}
	maps.Copy(cfg, more)
	return cfg
}

func TestClientKeys(t *testing.T) {
	o := Options{BootstrapServers: brokers, Client: Client{
		ID: "me", ReconnectBackoffMs: new(1), ReconnectBackoffMaxMs: new(2), RequestTimeoutMs: new(3000),
		ConnectionsMaxIdleMs: new(4), RetryBackoffMs: new(5), MaxInFlight: new(5), ReceiveBufferBytes: new(7),
		SendBufferBytes: new(8), MetadataMaxAgeMs: new(9), APIVersion: "2.8", APIVersionAutoTimeoutMs: new(11),
	}}
	want := base(ckafka.ConfigMap{
		"client.id": "me", "reconnect.backoff.ms": "1", "reconnect.backoff.max.ms": "2", "socket.timeout.ms": "3000",
		"connections.max.idle.ms": "4", "retry.backoff.ms": "5", "max.in.flight.requests.per.connection": "5",
		"socket.receive.buffer.bytes": "7", "socket.send.buffer.bytes": "8", "topic.metadata.refresh.interval.ms": "9",
		"broker.version.fallback": "2.8", "api.version.request.timeout.ms": "11",
	})
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	got, err := o.clientConfig()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestSettingsUnderEveryName(t *testing.T) {
	for written, want := range map[string]string{
		"linger.ms":                   "linger.ms",
		"linger_ms":                   "linger.ms",
		"queue.buffering.max.ms":      "linger.ms",
		"client_id":                   "client.id",
		"client.id":                   "client.id",
		"request_timeout_ms":          "socket.timeout.ms",
		"request.timeout.ms":          "request.timeout.ms", // librdkafka's own: how long the broker may wait
		"receive_buffer_bytes":        "socket.receive.buffer.bytes",
		"send_buffer_bytes":           "socket.send.buffer.bytes",
		"metadata_max_age_ms":         "topic.metadata.refresh.interval.ms",
		"metadata.max.age.ms":         "metadata.max.age.ms",
		"api_version_auto_timeout_ms": "api.version.request.timeout.ms",
		"compression.codec":           "compression.type",
		"max.in.flight":               "max.in.flight.requests.per.connection",
		"statistics.interval.ms":      "statistics.interval.ms",
		"log_level":                   "log_level",
		"message.send.max.retries":    "retries",
	} {
		value := "5000"
		switch {
		case strings.Contains(written, "flight"), written == "log_level":
			value = "5"
		case strings.Contains(written, "codec"):
			value = "zstd"
		}
		o := Options{BootstrapServers: brokers, Settings: map[string]string{written: value}}
		if problems := o.Validate(); len(problems) > 0 {
			t.Errorf("%s: %v", written, problems)
		}
		got, err := o.clientConfig()
		if diff := cmp.Diff(base(ckafka.ConfigMap{want: value}), got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", written, err, diff)
		}
	}
}

func TestProtectedSettings(t *testing.T) {
	for _, name := range []string{
		"acks", "request.required.acks", "request_required_acks", "enable.idempotence", "enable_idempotence",
		"isolation.level", "group.id", "group_id", "group.instance.id", "group.protocol",
		"enable.auto.commit", "enable_auto_commit", "auto.commit.enable", "enable.auto.offset.store",
		"auto.offset.reset", "partitioner", "transactional.id", "allow.auto.create.topics",
		"plugin.library.paths", "go.delivery.reports", "go.events.channel.size", "bootstrap.servers",
		"bootstrap_servers", "metadata.broker.list", "message.timeout.ms", "delivery.timeout.ms",
		"delivery.report.only.error", "partition.assignment.strategy", "test.mock.num.brokers",
		"enable.partition.eof", "ssl_context", "default.topic.config", "log.queue", "enabled_events",
		"auto_commit_interval_ms", "ssl.engine.location", "dr_cb", "ut_handle_ProduceResponse",
	} {
		o := Options{BootstrapServers: brokers, Settings: map[string]string{name: "1"}}
		problems := o.Validate()
		if len(problems) != 1 || problems[0].Key != "kafka_settings."+name || !strings.HasPrefix(problems[0].Message, "it may not be set: ") {
			t.Errorf("%s: %v", name, problems)
		}
		if cfg, err := o.clientConfig(); err == nil {
			t.Errorf("%s went through: %v", name, cfg)
		}
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		key     string
		message string // part of it
	}{
		"unknown":         {Options{Settings: map[string]string{"no.such": "1"}}, "kafka_settings.no.such", "librdkafka has no such property"},
		"unknown, spelt":  {Options{Settings: map[string]string{"no_such": "1"}}, "kafka_settings.no_such", "librdkafka has no such property"},
		"callback":        {Options{Settings: map[string]string{"error_cb": "1"}}, "kafka_settings.error_cb", "dedicated"},
		"out of range":    {Options{Settings: map[string]string{"linger.ms": "-1"}}, "kafka_settings.linger.ms", "outside allowed range"},
		"no number":       {Options{Settings: map[string]string{"linger.ms": "x"}}, "kafka_settings.linger.ms", "Invalid value"},
		"seven in flight": {Options{Settings: map[string]string{"max_in_flight": "7"}}, "kafka_settings.max_in_flight", "at most 5"},
		"six in flight":   {Options{Client: Client{MaxInFlight: new(6)}}, "max_in_flight_requests_per_connection", "at most 5"},
		"no retries":      {Options{Settings: map[string]string{"retries": "0"}}, "kafka_settings.retries", ">= 1"},
		"negative":        {Options{Client: Client{RetryBackoffMs: new(-1)}}, "retry_backoff_ms", "outside allowed range"},
		"two names":       {Options{Settings: map[string]string{"linger.ms": "1", "queue.buffering.max.ms": "2"}}, "kafka_settings.queue.buffering.max.ms", "the same property as linger.ms"},
		"key too":         {Options{Client: Client{ID: "a"}, Settings: map[string]string{"client.id": "b"}}, "kafka_settings.client.id", "client_id is set too"},
		"old broker":      {Options{Client: Client{APIVersion: "0.10"}}, "api_version", `from "0.11"`},
		"no version":      {Options{Client: Client{APIVersion: "two"}}, "api_version", `from "0.11"`},
		"version, spelt":  {Options{Settings: map[string]string{"api_version": "0.9"}}, "api_version", `from "0.11"`},
		"secret value":    {Options{Settings: map[string]string{"sasl.kerberos.min.time.before.relogin": "hush"}}, "kafka_settings.sasl.kerberos.min.time.before.relogin", "librdkafka refuses its value"},
		"together":        {Options{Settings: map[string]string{"reconnect.backoff.ms": "500", "reconnect.backoff.max.ms": "100"}}, "kafka_settings.reconnect.backoff.max.ms", "reconnect.backoff"},
		"protocol twice":  {Options{SecurityProtocol: "PLAINTEXT", Settings: map[string]string{"security.protocol": "ssl"}}, "kafka_settings.security.protocol", "security_protocol is set too"},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.BootstrapServers = brokers
			got := test.options.Validate()
			if len(got) != 1 || got[0].Key != test.key || !strings.Contains(got[0].Message, test.message) {
				t.Errorf("problems: %v; want one of %s with %q", got, test.key, test.message)
			}
		})
	}
}

func TestAPIVersion(t *testing.T) {
	both := Options{BootstrapServers: brokers, Client: Client{APIVersion: "auto"}, Settings: map[string]string{"api_version": "2.8"}}
	if cfg, err := both.clientConfig(); err != nil || cfg["broker.version.fallback"] != "2.8" {
		t.Errorf("%v, %v", cfg, err)
	}
	for _, v := range []string{"", "auto", "0.11", "0.11.0.2", "2.8", "4.1.0"} {
		o := Options{BootstrapServers: brokers, Client: Client{APIVersion: v}}
		if problems := o.Validate(); len(problems) > 0 {
			t.Errorf("%s: %v", v, problems)
		}
	}
}

// Every refused property has to exist, or the table guards a misspelt name.
func TestProtectedPropertiesExist(t *testing.T) {
	ours := map[string]bool{"ssl_context": true, "default.topic.config": true}
	for _, p := range protected {
		if ours[p.name] || strings.HasSuffix(p.name, "*") {
			continue
		}
		if err := try(p.name, "x"); strings.HasPrefix(err, "No such") {
			t.Errorf("%s: %s", p.name, err)
		}
	}
	for alias, name := range aliases {
		if !strings.Contains(alias, ".") {
			continue
		}
		for _, n := range []string{alias, name} {
			if err := try(n, "x"); strings.HasPrefix(err, "No such") {
				t.Errorf("%s: %s", n, err)
			}
		}
	}
}
