package follow

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics count what followers are given.
type metrics struct {
	live, catchingUp prometheus.Gauge
	feeds            prometheus.Gauge
	partitions       prometheus.Gauge
	ring             prometheus.Gauge
	records          prometheus.Counter
	frames           prometheus.Counter
	fallbacks        prometheus.Counter
	gaps             prometheus.Counter
	pages            *prometheus.CounterVec
	followed, pulled prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Namespace: "sluice", Subsystem: "follow", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "sluice", Subsystem: "follow", Name: name, Help: help})
	}
	followers := f.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "sluice", Subsystem: "follow", Name: "followers", Help: "Followers at the tail (live), and behind it (catching_up).",
	}, []string{"state"})
	pages := f.NewCounterVec(prometheus.CounterOpts{
		Namespace: "sluice", Subsystem: "follow", Name: "pages_total", Help: "Pages read from Kafka, for followers that are behind (catch_up) and for requests (pull).",
	}, []string{"for"})
	return &metrics{
		live:       followers.WithLabelValues("live"),
		catchingUp: followers.WithLabelValues("catching_up"),
		feeds:      gauge("feeds", "Different patterns, filters and views that are followed."),
		partitions: gauge("partitions", "Partitions that the tail follows."),
		ring:       gauge("ring_bytes", "Bytes of frames kept for followers."),
		records:    counter("records_total", "Records that were given to a feed, after its filter."),
		frames:     counter("frames_total", "Frames that were given to followers."),
		fallbacks:  counter("fallbacks_total", "Followers that fell behind what is kept, and went back to reading pages."),
		gaps:       counter("gaps_total", "Gaps told to feeds and to followers that are behind."),
		pages:      pages,
		followed:   pages.WithLabelValues("catch_up"),
		pulled:     pages.WithLabelValues("pull"),
	}
}
