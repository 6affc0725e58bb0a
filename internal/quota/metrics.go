package quota

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct{ refusals *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer, b *Book) *metrics {
	f := promauto.With(reg)
	m := &metrics{refusals: f.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_quota_refusals_total",
		Help: "Requests, streams and connections refused because a quota was used up, by the quota.",
	}, []string{"quota"})}
	for _, name := range []string{"requests", "bytes", "streams"} {
		m.refusals.WithLabelValues(addresses + "-" + name)
		m.refusals.WithLabelValues(principals + "-" + name)
	}
	m.refusals.WithLabelValues(addresses + "-connections")
	m.refusals.WithLabelValues(addresses + "-failures")
	accounts := func(party string, size func() int) {
		f.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "sluice_quota_accounts",
			Help:        "Addresses and principals whose quotas are remembered, by kind.",
			ConstLabels: prometheus.Labels{"kind": party},
		}, func() float64 { return float64(size()) })
	}
	accounts(addresses, b.addresses.size)
	accounts(principals, b.principals.size)
	return m
}
