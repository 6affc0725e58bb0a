package httpapi

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// endReason says why an event stream ended.
type endReason string

// The reasons. Clients are told those above the line.
const (
	endLifetime   endReason = "lifetime"   // it was open for as long as streams are
	endExpired    endReason = "expired"    // the reader's credentials have ended, or what they allow has changed
	endShutdown   endReason = "shutdown"   // the gateway stops
	endOverloaded endReason = "overloaded" // there was no room for it
	endProblem    endReason = "problem"    // the problem was told

	endGone endReason = "gone" // the client closed it
	endSlow endReason = "slow" // the client did not take what was sent
)

// eventMetrics are the metrics of event streams. To those of requests a stream
// is a request until it opens: what follows is no latency.
type eventMetrics struct {
	open  *prometheus.GaugeVec
	ended *prometheus.CounterVec
	bytes prometheus.Counter
}

// The kinds of event streams, as labels.
const (
	kindPattern = "pattern" // reads on its own
	kindGroup   = "group"   // reads as a member of a consumer group
)

func newEventMetrics(reg prometheus.Registerer) *eventMetrics {
	f := promauto.With(reg)
	m := &eventMetrics{
		open: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_http_event_streams",
			Help: "Event streams that are open now, by kind: pattern, or group for members of a consumer group. They are not among the requests in flight.",
		}, []string{"kind"}),
		ended: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_http_event_streams_ended_total",
			Help: "Event streams that ended, by reason; slow are clients that did not take what was sent in time.",
		}, []string{"reason"}),
		bytes: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_http_event_stream_bytes_total",
			Help: "Bytes written to event streams.",
		}),
	}
	for _, kind := range []string{kindPattern, kindGroup} {
		m.open.WithLabelValues(kind)
	}
	for _, reason := range []endReason{endLifetime, endExpired, endShutdown, endOverloaded, endProblem, endGone, endSlow} {
		m.ended.WithLabelValues(string(reason))
	}
	return m
}
