package kafka

import (
	"errors"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"sluice/internal/stream"
)

// metrics is what this package measures. Labels are bounded: the client is one
// of a handful of names, a broker is known by its id, codes are Kafka's.
type metrics struct {
	reachable    prometheus.Gauge
	clientErrors *prometheus.CounterVec
	errors       *prometheus.CounterVec
	replaced     prometheus.Counter
	delivery     prometheus.Histogram
	late         prometheus.Gauge
	logOffset    *prometheus.GaugeVec

	fleetPartitions prometheus.Gauge
	fleetRefused    prometheus.Gauge

	expiry   *prometheus.GaugeVec
	renewals prometheus.Counter
	refused  prometheus.Gauge

	clients *clients // what librdkafka measures by itself
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Namespace: "sluice", Subsystem: "kafka", Name: name, Help: help}, labels)
	}
	clients := newClients()
	reg.MustRegister(clients)
	m := &metrics{
		reachable: f.NewGauge(prometheus.GaugeOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "reachable", Help: "1 while a broker answers.",
		}),
		clientErrors: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "client_errors_total", Help: "Errors that librdkafka reported, by client and code.",
		}, []string{"client", "code"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "errors_total", Help: "Errors of Kafka's by what can be done about them (retriable, abortable, fatal, permanent): of records, of commits by clients, and those that librdkafka reported.",
		}, []string{"kind"}),
		replaced: f.NewCounter(prometheus.CounterOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "producer_replacements_total", Help: "Producers replaced: after a fatal error, or because a topic was made anew.",
		}),
		delivery: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "delivery_seconds", Help: "Time from queueing a record to its delivery report.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}),
		late: f.NewGauge(prometheus.GaugeOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "late_records", Help: "Records of which Kafka has not acknowledged the storing in time, and may still do so: who published them was told that it is unknown.",
		}),
		logOffset: gauge("log_offset", "Next offset that a replicated log of the gateway's own state will read; of several partitions their sum.", "log"),
		fleetPartitions: f.NewGauge(prometheus.GaugeOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "fleet_partitions", Help: "Partitions of the subscriptions that this gateway works for.",
		}),
		fleetRefused: f.NewGauge(prometheus.GaugeOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "fleet_refused", Help: "1 while Kafka does not let this gateway share in the deliveries; readiness and the log say why.",
		}),
		expiry: gauge("tls_expiry_timestamp_seconds", "When what the gateway uses to meet Kafka ends, as Unix time: its certificate (client), the last of the CAs (ca), the first of the revocation lists (crl).", "of"),
		renewals: f.NewCounter(prometheus.CounterOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "credentials_renewals_total", Help: "Changes of credentials on disk that the gateway has taken over.",
		}),
		refused: f.NewGauge(prometheus.GaugeOpts{
			Namespace: "sluice", Subsystem: "kafka", Name: "credentials_refused", Help: "1 while the credentials on disk are not used, for something is wrong with them.",
		}),
		clients: clients,
	}
	for _, kind := range []stream.ErrorKind{stream.Retriable, stream.Abortable, stream.Fatal, stream.Permanent} {
		m.errors.WithLabelValues(string(kind)) // there from the start, so that a first one is an increase
	}
	return m
}

// failed counts an error of Kafka's, and gives its kind; "" where it is none.
func (m *metrics) failed(err error) stream.ErrorKind {
	e, theirs := errors.AsType[ckafka.Error](err)
	if !theirs {
		return ""
	}
	kind := kindOf(e)
	m.errors.WithLabelValues(string(kind)).Inc()
	return kind
}

// errorLabel names an error's code by the constant that Kafka's protocol or
// librdkafka gives it.
func errorLabel(err error) string {
	if e, ok := errors.AsType[ckafka.Error](err); ok {
		return e.Code().String()
	}
	return "other"
}
