package kafka_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// sample gives the values of a metric by its labels, as in "client=producer
// code=_TRANSPORT"; of a histogram the number of observations.
func sample(t testing.TB, reg *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			values[strings.Join(labels, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// eventually waits until a metric's value is as wanted.
func eventually(t testing.TB, reg *prometheus.Registry, name, labels string, ok func(float64) bool) {
	t.Helper()
	kafkatest.Eventually(t, patience, func() error {
		values := sample(t, reg, name)
		if v, there := values[labels]; !there || !ok(v) {
			return fmt.Errorf("%s has %v", name, values)
		}
		return nil
	})
}

// Each metric moves. That of replaced producers is in another test, and those
// of statistics are compared with a sample in a third.
func TestMetricsMove(t *testing.T) {
	b := kafkatest.Embedded(t)
	reg := prometheus.NewRegistry()
	c, err := kafka.NewCluster(kafka.ClusterOptions{
		Kafka: kafka.Options{BootstrapServers: []string{b.Addr}, Settings: map[string]string{"statistics.interval.ms": "100"}},
		Group: "readers", Log: kafkatest.Log(t), Registerer: reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := kafka.NewProducer(c, kafka.ProducerOptions{PublishTimeout: 15 * time.Second, MaxRecordBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(t.Context()) }()
	one, more := func(v float64) bool { return v == 1 }, func(v float64) bool { return v > 0 }
	eventually(t, reg, "sluice_kafka_reachable", "", one)

	g := &gateway{Cluster: c, Producer: p}
	g.store(t, message(b.Topic(t, "metrics", 1, nil), "k", "v"))
	eventually(t, reg, "sluice_kafka_delivery_seconds", "", one)

	l := kafka.NewLog(kafka.LogOptions{Topic: "state", Cluster: c, Producer: p, Admin: kafka.NewAdmin(c, 1)}, nothing{})
	l.Start()
	defer l.Close()
	kafkatest.Eventually(t, patience, func() error {
		_, err := l.Write(t.Context(), "e", 0, []byte(`1`))
		return err
	})
	eventually(t, reg, "sluice_kafka_log_offset", "log=state", more)

	for _, name := range []string{"broker_round_trip_seconds", "broker_sent_bytes", "broker_connects"} {
		eventually(t, reg, "sluice_kafka_"+name, "broker=0 client=producer", more)
	}
	for _, name := range []string{"client_queue_records", "client_queue_bytes"} {
		eventually(t, reg, "sluice_kafka_"+name, "client=producer", func(v float64) bool { return v == 0 })
	}

	b.Stop(t)
	eventually(t, reg, "sluice_kafka_reachable", "", func(v float64) bool { return v == 0 })
	kafkatest.Eventually(t, patience, func() error {
		values := sample(t, reg, "sluice_kafka_client_errors_total")
		for labels, v := range values {
			if strings.HasPrefix(labels, "client=") && v > 0 {
				return nil
			}
		}
		return fmt.Errorf("no error was counted: %v", values)
	})
	eventually(t, reg, "sluice_kafka_errors_total", "kind=retriable", more)
}

// nothing keeps no state.
type nothing struct{}

func (nothing) Reset()             {}
func (nothing) Apply(stream.Entry) {}

// Publishers of an unknown topic share the question, and not the error.
func TestSendersOfAnUnknownTopic(t *testing.T) {
	g := start(t, kafkatest.Embedded(t))
	m := message("nowhere", "", "v")
	await(t, g.send(m)) // librdkafka knows by now
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			err := g.Send(&m, func(stream.Report, error) {})
			if stream.CodeOf(err) != stream.UnknownStream {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
}
