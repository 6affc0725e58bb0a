package kafka_test

import (
	"testing"
	"time"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// Whoever reads all the time tells how that goes: the tail, readers of pages
// and members of groups, by what they are for. Where no broker asks anybody to
// wait, nobody was throttled.
func TestStatisticsOfConsumers(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		options := kafka.Options{BootstrapServers: []string{b.Addr}, Settings: map[string]string{"statistics.interval.ms": "100"}}
		team := &team{gateway: startWith(t, b, options), t: t, b: b, group: b.Prefix() + "group"}
		b.Topic(t, "read", 1, nil)
		team.fill("read", 1, 3)
		reg := team.metrics

		members := []*member{team.join(team.layouts("read")), team.join(team.layouts("read"))}
		defer func() {
			for _, m := range members {
				m.leave()
			}
		}()
		tail := newTail(t, &library{t: t, g: team.Cluster, broker: b})
		tail.add("read", 0, 0)
		readers := openReaders(t, b, team.Cluster, 1)
		span := stream.Span{Partition: part("read", 0), To: 3}
		if _, err := readers.Read(t.Context(), []stream.Span{span}, stream.PageLimit{Records: 10, Bytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}

		kafkatest.Eventually(t, patience, func() error {
			tail.Poll(10 * time.Millisecond)
			return moved(t, reg, "sluice_kafka_broker_received_bytes_total", "tail", "pages", "member")
		})
		eventually(t, reg, "sluice_kafka_clients", "client=member", func(v float64) bool { return v == 2 })
		eventually(t, reg, "sluice_kafka_rebalances_total", "client=member", func(v float64) bool { return v > 0 })
		for labels, count := range sample(t, reg, "sluice_kafka_broker_throttle_seconds") {
			if count != 0 {
				t.Errorf("%s was throttled %v times", labels, count)
			}
		}
	})
}
