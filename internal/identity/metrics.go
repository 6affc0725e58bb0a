package identity

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	producers     prometheus.Gauge
	opened        prometheus.Counter
	full          prometheus.Counter
	closed        *prometheus.CounterVec
	confirmations *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		producers: f.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_identity_producers", Help: "Producers that are logged in to Kafka as callers.",
		}),
		opened: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_identity_producers_opened_total", Help: "Producers opened for callers.",
		}),
		full: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_identity_full_total", Help: "Times that a caller had no producer and all others had records on their way.",
		}),
		closed: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_identity_producers_closed_total", Help: "Producers of callers closed, by reason: idle, room for another one, token_ended, refused by Kafka, stop.",
		}, []string{"reason"}),
		confirmations: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_identity_confirmations_total",
			Help: "Credentials of callers that Kafka confirmed, refused, or failed to be asked about; remembered: refused again without asking.",
		}, []string{"outcome"}),
	}
	for _, why := range []string{endIdle, endRoom, endToken, endRefused, endStop} {
		m.closed.WithLabelValues(why)
	}
	for _, outcome := range []string{"confirmed", "refused", "failed", "remembered"} {
		m.confirmations.WithLabelValues(outcome)
	}
	return m
}
