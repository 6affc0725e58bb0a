package kafkatest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

func TestProduceAndConsume(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		topic := b.Topic(t, "orders", 2, nil)
		b.Produce(t,
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte("a")},
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte("b")})
		var got []string
		for _, r := range b.Consume(t, topic, 2) {
			got = append(got, string(r.Value))
		}
		if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRestartKeepsAddressAndData(t *testing.T) {
	b := kafkatest.Embedded(t)
	topic := b.Topic(t, "orders", 1, nil)
	b.Produce(t, &kgo.Record{Topic: topic, Value: []byte("kept")})
	addr := b.Addr
	b.Stop(t)
	b.Start(t)
	if b.Addr != addr {
		t.Errorf("the address changed from %s to %s", addr, b.Addr)
	}
	if got := string(b.Consume(t, topic, 1)[0].Value); got != "kept" {
		t.Errorf("got %q", got)
	}
}
