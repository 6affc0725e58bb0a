package logstream

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The reasons for which a record is dropped: the queue was full, its content was
// refused, or the gateway stopped before Kafka acknowledged it.
const (
	queueFull = "queue_full"
	refused   = "refused"
	stopped   = "stopped"
)

type metrics struct {
	stored  prometheus.Counter
	dropped *prometheus.CounterVec
	queued  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		stored: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_log_stored_total",
			Help: "Records of the gateway's own log that were stored in its stream.",
		}),
		dropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_log_dropped_total",
			Help: "Records of the gateway's own log that are not in its stream, as far as is known, by reason: queue_full, refused, stopped.",
		}, []string{"reason"}),
		queued: f.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_log_queued",
			Help: "Records of the gateway's own log that wait for being published.",
		}),
	}
	for _, reason := range []string{queueFull, refused, stopped} {
		m.dropped.WithLabelValues(reason)
	}
	return m
}
