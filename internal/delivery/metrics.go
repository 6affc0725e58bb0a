package delivery

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"sluice/internal/stream"
)

// metrics count what all subscriptions of the gateway do. They have no label
// for the subscription, of which there may be thousands: its status says more.
type metrics struct {
	subscriptions prometheus.Gauge
	inFlight      prometheus.Gauge
	attempts      *prometheus.CounterVec
	seconds       prometheus.Histogram
	records       *prometheus.CounterVec
	commits       *prometheus.CounterVec
	slowed        prometheus.Counter
	gaps          prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	const ns, sub = "sluice", "delivery"
	counters := func(name, help, label string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		subscriptions: f.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "subscriptions", Help: "Subscriptions that this gateway delivers."}),
		inFlight:      f.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "in_flight", Help: "Attempts under way."}),
		attempts:      counters("attempts_total", "Attempts to deliver, by outcome.", "outcome"),
		seconds:       f.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Subsystem: sub, Name: "attempt_seconds", Help: "How long attempts took, to the end of the answer.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}),
		records:       counters("records_total", "Records that are complete, by result: delivered, dead_letter, dropped.", "result"),
		commits:       counters("commits_total", "Commits of subscriptions, by result: stored, failed.", "result"),
		slowed:        f.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "slowed_total", Help: "How often an endpoint was found in trouble and slowed down."}),
		gaps:          f.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "gaps_total", Help: "Parts of streams, and streams made anew, that were gone before they were delivered."}),
	}
	for o := stream.DeliveryFailed; o <= stream.DeliveryDone; o++ {
		m.attempts.WithLabelValues(o.String())
	}
	return m
}

func (m *metrics) attempted(a stream.Attempt) {
	m.attempts.WithLabelValues(a.Outcome.String()).Inc()
	m.seconds.Observe(a.Took.Seconds())
}
