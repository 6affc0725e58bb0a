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

// scramUser makes a user of the real Kafka, or changes the password of one.
func scramUser(t *testing.T, k *kafkatest.Secured, user, password string) {
	t.Helper()
	admin := kadm.NewClient(k.Client(t))
	_, err := admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: password}})
	if err != nil {
		t.Fatal(err)
	}
}

// A password that was changed at the broker and on disk is used, before old
// connections end, by all that log in anew; one that the broker refuses is not.
func TestPasswordOnDiskIsTakenOver(t *testing.T) {
	t.Parallel()
	k := kafkatest.KafkaSecured(t)
	user, path := strings.TrimSuffix(k.Prefix(), "."), t.TempDir()+"/password"
	scramUser(t, k, user, "one")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, _ = kadm.NewClient(k.Client(t)).AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: user, Mechanism: kadm.ScramSha256}}, nil)
	})
	allow(t, k, user, kadm.OpAll, onTopics, onGroups)
	write(t, path, "one\n")
	o := quickToIdle(secured(k, "SASL_SSL", ""))
	o.SASL = kafka.SASL{Mechanism: "SCRAM-SHA-256", Username: user, PasswordFile: path}
	g := startWith(t, k.Broker, o)
	reader := kafka.NewReader(g.Cluster, stream.Topics{Prefix: k.Prefix()})
	defer reader.Close()
	topic := k.Topic(t, "orders", 1, nil)
	publishOne(t, g, reader, topic)

	write(t, path, "two\n")
	eventually(t, g.metrics, "sluice_kafka_credentials_refused", "", func(v float64) bool { return v == 1 })
	if why := g.Credentials(); !strings.Contains(why, "`sasl_plain_password_file`") || strings.Contains(why, "two") {
		t.Errorf("it is said that %q", why)
	}
	publishOne(t, g, reader, topic)

	scramUser(t, k, user, "two")
	eventually(t, g.metrics, "sluice_kafka_credentials_renewals_total", "", func(v float64) bool { return v == 1 })
	eventually(t, g.metrics, "sluice_kafka_producer_replacements_total", "", func(v float64) bool { return v == 1 })
	until(t, time.Now().Add(2*time.Second)) // connections that are not used end, and log in anew
	kafkatest.Eventually(t, patience, func() error {
		// The control connection follows last, and what was in use between the
		// two changes may just have been refused.
		got := await(t, g.send(stream.Message{Topic: topic, Value: []byte("1")}))
		if got.err != nil {
			return got.err
		}
		_, err := reader.Read(t.Context(), "orders", 0, got.report.Offset)
		return err
	})
	if why := g.Credentials(); why != "" {
		t.Errorf("it is still said that %q", why)
	}
}
