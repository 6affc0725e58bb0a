package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
)

// A broker that asks to wait, for a quota of its own is used up, is seen: how
// often, and for how long.
func TestThrottlingIsSeen(t *testing.T) {
	b := kafkatest.Kafka(t)
	client, rate := b.Prefix()+"client", "producer_byte_rate"
	entity := kadm.ClientQuotaEntity{{Type: "client-id", Name: &client}}
	alter := func(op kadm.AlterClientQuotaOp) {
		op.Key = rate
		changed, err := kadm.NewClient(b.Client(t)).AlterClientQuotas(t.Context(), []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: []kadm.AlterClientQuotaOp{op}}})
		if err != nil || len(changed) != 1 || changed[0].Err != nil {
			t.Fatalf("the quota could not be changed: %v %+v", err, changed)
		}
	}
	alter(kadm.AlterClientQuotaOp{Value: 1000})
	defer alter(kadm.AlterClientQuotaOp{Remove: true})

	options := kafka.Options{BootstrapServers: []string{b.Addr}, Client: kafka.Client{ID: client}, Settings: map[string]string{"statistics.interval.ms": "100"}}
	g := startWith(t, b, options)
	topic, value := b.Topic(t, "throttled", 1, nil), make([]byte, 2000)
	kafkatest.Eventually(t, patience, func() error {
		g.store(t, message(topic, "k", string(value)))
		return moved(t, g.metrics, "sluice_kafka_broker_throttle_seconds", "producer")
	})
}
