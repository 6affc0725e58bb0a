package webhook

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"sluice/internal/stream"
)

type metrics struct {
	attempts    *prometheus.CounterVec
	seconds     prometheus.Histogram
	connections prometheus.Counter
	refused     prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_webhook_attempts_total",
			Help: "Attempts to deliver to webhook endpoints, by how they ended.",
		}, []string{"outcome"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_webhook_attempt_seconds",
			Help:    "How long an attempt took, to the end of the answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		connections: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_webhook_connections_total",
			Help: "Connections made to webhook endpoints.",
		}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_webhook_refused_addresses_total",
			Help: "Addresses of endpoints that were not connected to because of the network they lie in.",
		}),
	}
	for o := stream.DeliveryFailed; o <= stream.DeliveryDone; o++ {
		m.attempts.WithLabelValues(o.String())
	}
	return m
}
