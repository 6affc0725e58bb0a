package kafka_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

func TestBrokers(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := startWith(t, b, kafka.Options{BootstrapServers: []string{b.Addr}, Settings: map[string]string{"statistics.interval.ms": "200"}})
		brokers := kafka.NewBrokers(g.Cluster)
		topic := b.Topic(t, "x", 1, nil)
		g.store(t, message(topic, "k", "v"))
		kafkatest.Eventually(t, patience, func() error {
			c, err := brokers.Cluster(t.Context())
			if err != nil {
				return err
			}
			if c.ID == "" || c.KafkaVersion == "" || c.Controller == nil || len(c.Brokers) != 1 {
				return fmt.Errorf("got %+v", c)
			}
			got := c.Brokers[0]
			at := got.Connection
			if got.Port == 0 || !got.Controller || !got.LeastLoaded || *c.Controller != got.ID ||
				at.State != stream.ConnectionReady || at.Sent == 0 || at.Received == 0 || at.Connects == 0 || at.RoundTrip == nil || at.Observed.IsZero() {
				return fmt.Errorf("got %+v", got)
			}
			return nil
		})
		list, err := brokers.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, err := brokers.APIVersions(t.Context(), list[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(v.APIs, func(r stream.APIRange) bool { return r.Key == 0 })
		if i != 0 || v.APIs[i].Name != "Produce" || v.APIs[i].Max < 3 || v.Version == "" || strings.Contains(v.Version, "v") {
			t.Errorf("got %+v", v)
		}
		t.Logf("the version is %q", v.Version)
		_, err = brokers.APIVersions(t.Context(), 4711)
		wantCode(t, err, stream.UnknownBroker)
	})
}

func TestBrokersThatAreAway(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	brokers := kafka.NewBrokers(g.Cluster)
	b.Stop(t)
	kafkatest.Eventually(t, patience, func() error {
		if _, err := brokers.Cluster(t.Context()); stream.CodeOf(err) != stream.KafkaUnavailable {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	_, err := brokers.APIVersions(t.Context(), 1)
	wantCode(t, err, stream.KafkaUnavailable)
}
