package filter

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// newCostly counts what nobody would see otherwise: a record that costs a
// filter too much is not among those that match.
func newCostly(reg prometheus.Registerer) prometheus.Counter {
	return promauto.With(reg).NewCounter(prometheus.CounterOpts{
		Name: "sluice_filter_too_costly_total",
		Help: "Records that filters of readers and subscriptions did not match because looking at them costs too much.",
	})
}
