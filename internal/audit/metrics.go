package audit

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Why decisions are lost, as labels.
const (
	lostFull    = "queue_full"
	lostRefused = "refused"
	lostStopped = "stopped"
)

type metrics struct {
	written, refused prometheus.Counter
	dropped          *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		written: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_audit_events_total",
			Help: "Audit events that were written.",
		}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_audit_refusals_total",
			Help: "Requests that were refused because they could not have been audited (audit.required).",
		}),
		dropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_audit_dropped_total",
			Help: "Audit events that are lost, by reason: queue_full; refused, which the stream cannot take; stopped, which were left when the gateway ended.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{lostFull, lostRefused, lostStopped} {
		m.dropped.WithLabelValues(reason)
	}
	return m
}

// queued shows how many events wait.
func (m *metrics) queued(reg prometheus.Registerer, count func() float64) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_audit_queue",
		Help: "Audit events that wait to be written, and requests under way that room is kept for.",
	}, count)
}
