package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/internal/stream"
)

type metrics struct {
	requests      *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	inFlight      prometheus.Gauge
	received      prometheus.Counter
	errors        *prometheus.CounterVec
	acceptedLost  prometheus.Counter
	recordsStored prometheus.Counter
	slowed        prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_http_requests_total",
			Help: "HTTP requests answered, by route pattern, method and status.",
		}, []string{"route", "method", "status"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sluice_http_request_duration_seconds",
			Help:    "Time from the request's header to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60},
		}, []string{"route"}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_http_requests_in_flight",
			Help: "HTTP requests being served now.",
		}),
		received: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_http_request_bytes_total",
			Help: "Bytes of request bodies that were read.",
		}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_errors_total",
			Help: "Failures by code: requests answered with a problem, and records of NDJSON requests that failed.",
		}, []string{"code"}),
		acceptedLost: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_http_accepted_failures_total",
			Help: "Records answered with 202 (Prefer: respond-async) for which Kafka acknowledged no storing afterwards.",
		}),
		recordsStored: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_http_records_stored_total",
			Help: "Records published over HTTP and acknowledged by Kafka.",
		}),
		slowed: f.NewCounter(prometheus.CounterOpts{
			Name: "sluice_http_slowed_seconds_total",
			Help: "Time for which bodies of lines were not read because a quota of bytes was used up.",
		}),
	}
}

func (m *metrics) failed(code stream.Code) { m.errors.WithLabelValues(string(code)).Inc() }

// measure counts and times requests.
func (a *api) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		a.metrics.inFlight.Inc()
		defer func() { // also when the handler panics
			x, route := exchangeOf(w), routeOf(r)
			a.metrics.inFlight.Dec()
			a.metrics.requests.WithLabelValues(route, knownMethod(r.Method), strconv.Itoa(statusOf(x))).Inc()
			a.metrics.duration.WithLabelValues(route).Observe(time.Since(start).Seconds())
			a.metrics.received.Add(float64(x.received))
		}()
		next.ServeHTTP(w, r)
	})
}

func (a *api) showMetrics(w http.ResponseWriter, r *http.Request) error {
	promhttp.HandlerFor(a.Gatherer, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}
