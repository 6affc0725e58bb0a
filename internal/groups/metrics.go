package groups

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"sluice/internal/stream"
)

// metrics is what this package measures. No label names a group: clients choose
// their ids.
type metrics struct {
	members prometheus.Gauge
	refused prometheus.Counter
	records prometheus.Counter
	gaps    prometheus.Counter
	revoked prometheus.Counter
	commits *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "sluice", Subsystem: "groups", Name: name, Help: help})
	}
	return &metrics{
		members: f.NewGauge(prometheus.GaugeOpts{Namespace: "sluice", Subsystem: "groups", Name: "members", Help: "Readers that are members of consumer groups here."}),
		refused: counter("refused_total", "Readers refused because the pool of members was full."),
		records: counter("records_total", "Records given to members, those that a filter left out included."),
		gaps:    counter("gaps_total", "Gaps that members were told of."),
		revoked: counter("partitions_revoked_total", "Partitions that members here gave up in rebalances."),
		commits: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sluice", Subsystem: "groups", Name: "commits_total", Help: "Positions that were committed by request, by outcome: ok, or the problem's code.",
		}, []string{"outcome"}),
	}
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return string(stream.CodeOf(err))
}
