package kafka

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestStatistics(t *testing.T) {
	sample, err := os.ReadFile("testdata/statistics.json")
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	m := newMetrics(reg)
	m.statistics("producer", string(sample))
	m.statistics("control", `{}`)
	m.statistics("reader", `nonsense`)
	want, err := os.Open("testdata/statistics.metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if err := testutil.GatherAndCompare(reg, want,
		"sluice_kafka_client_queue_records", "sluice_kafka_client_queue_bytes", "sluice_kafka_broker_round_trip_seconds",
		"sluice_kafka_broker_requests_in_flight", "sluice_kafka_broker_throttle_seconds", "sluice_kafka_broker_sent_bytes",
		"sluice_kafka_broker_connects", "sluice_kafka_client_errors_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		var all []string
		for _, p := range problems {
			all = append(all, p.Metric+": "+p.Text)
		}
		t.Errorf("%v %s", err, strings.Join(all, "\n"))
	}
}
