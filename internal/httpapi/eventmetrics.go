package httpapi

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// endReason says why an event stream ended.
type endReason string

// The reasons. Clients are told those above the line.
const (
	endLifetime   endReason = "lifetime"   // it was open for as long as streams are
	endShutdown   endReason = "shutdown"   // the gateway stops
	endOverloaded endReason = "overloaded" // there was no room for it
	endProblem    endReason = "problem"    // the problem was told

	endGone endReason = "gone" // the client closed it
	endSlow endReason = "slow" // the client did not take what was sent
)

// eventMetrics are the metrics of event streams. Those of requests would say
// little: a stream is in flight for an hour, and its time is no latency.
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
	for _, reason := range []endReason{endLifetime, endShutdown, endOverloaded, endProblem, endGone, endSlow} {
		m.ended.WithLabelValues(string(reason))
	}
	return m
}

// measureBy counts and times requests: event streams until they open, others
// until their end.
func (a *api) measureBy(next http.Handler) http.Handler {
	whole := a.measure(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isEventStream(r) {
			a.measureOpening(next, exchangeOf(w), r)
			return
		}
		whole.ServeHTTP(w, r)
	})
}

// isEventStream says whether the request is for /streams/{pattern}/events,
// before it is routed.
func isEventStream(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	path := r.URL.EscapedPath()
	return strings.HasPrefix(path, "/streams/") && strings.HasSuffix(path, "/events") && strings.Count(path, "/") == 3
}

// measureOpening counts and times a request until its answer begins.
func (a *api) measureOpening(next http.Handler, x *exchange, r *http.Request) {
	start := time.Now()
	o := &opening{ResponseWriter: x.ResponseWriter, began: func(status int) {
		route := routeOf(r)
		a.metrics.requests.WithLabelValues(route, knownMethod(r.Method), strconv.Itoa(status)).Inc()
		a.metrics.duration.WithLabelValues(route).Observe(time.Since(start).Seconds())
	}}
	x.ResponseWriter = o
	defer func() { o.begin(statusOf(x)) }() // also when nothing was answered
	next.ServeHTTP(x, r)
}

// opening is a writer that tells when the answer begins.
type opening struct {
	http.ResponseWriter

	begun bool
	began func(status int)
}

func (o *opening) begin(status int) {
	if !o.begun {
		o.begun = true
		o.began(status)
	}
}

// WriteHeader notes that the answer begins.
func (o *opening) WriteHeader(status int) {
	o.begin(status)
	o.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (o *opening) Unwrap() http.ResponseWriter { return o.ResponseWriter }
