package webhook

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics count connections alone: attempts are counted by who makes them.
type metrics struct {
	connections prometheus.Counter
	refused     prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		connections: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_webhook_connections_total",
			Help: "Connections made to webhook endpoints.",
		}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_webhook_refused_addresses_total",
			Help: "Addresses of endpoints that were not connected to because of the network they lie in.",
		}),
	}
}
