package delivery

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"sluice/internal/stream"
)

// metrics count what all subscriptions of the gateway do. But for lag, they have
// no label for the subscription, of which there may be thousands: its status
// says more.
type metrics struct {
	lag lagMetrics

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
	m.lag = newLagMetrics(f)
	for o := stream.DeliveryFailed; o <= stream.DeliveryDone; o++ {
		m.attempts.WithLabelValues(o.String())
	}
	return m
}

func (m *metrics) attempted(a stream.Attempt) {
	m.attempts.WithLabelValues(a.Outcome.String()).Inc()
	m.seconds.Observe(a.Took.Seconds())
}

// lagMetrics tell how far subscriptions are behind: those that this gateway
// delivers, so that each is told of by one gateway.
type lagMetrics struct {
	records *prometheus.GaugeVec
	seconds *prometheus.GaugeVec
	shown   map[string]bool // by label
}

func newLagMetrics(f promauto.Factory) lagMetrics {
	gauges := func(name, help string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Namespace: "sluice", Subsystem: "subscription", Name: name, Help: help}, []string{"subscription"})
	}
	return lagMetrics{
		records: gauges("lag_records", "Records that are still to be delivered, of subscriptions that this gateway delivers; those beyond metrics.subscriptions together as _other."),
		seconds: gauges("lag_seconds", "Age of the oldest record that is still to be delivered, by its timestamp, 0 where there is none; of those beyond metrics.subscriptions the highest, as _other."),
		shown:   map[string]bool{},
	}
}

// show replaces what is told by what is found now, sorted by id: the first ones
// have labels of their own. One goroutine calls it.
func (m *lagMetrics) show(all []behind, labels int, now time.Time) {
	shown := map[string]bool{}
	others, oldest := int64(0), float64(0)
	for i, b := range all {
		age := float64(0)
		if !b.oldest.IsZero() {
			age = max(now.Sub(b.oldest).Seconds(), 0)
		}
		if i >= labels {
			others, oldest = others+b.records, max(oldest, age)
			continue
		}
		m.set(shown, b.id, b.records, age)
	}
	if len(all) > labels {
		m.set(shown, otherSubscriptions, others, oldest)
	}
	for label := range m.shown {
		if !shown[label] {
			m.records.DeleteLabelValues(label)
			m.seconds.DeleteLabelValues(label)
		}
	}
	m.shown = shown
}

func (m *lagMetrics) set(shown map[string]bool, label string, records int64, age float64) {
	shown[label] = true
	m.records.WithLabelValues(label).Set(float64(records))
	m.seconds.WithLabelValues(label).Set(age)
}
