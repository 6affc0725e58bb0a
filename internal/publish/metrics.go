package publish

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"sluice/internal/stream"
)

// metrics counts records by what became of them. The code label is one of the
// error codes, or "stored".
type metrics struct {
	records *prometheus.CounterVec
	bytes   prometheus.Counter
	ok      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		records: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sluice", Subsystem: "publish", Name: "records_total", Help: "Records by what became of them: stored, or the code of the error.",
		}, []string{"code"}),
		bytes: f.NewCounter(prometheus.CounterOpts{
			Namespace: "sluice", Subsystem: "publish", Name: "bytes_total", Help: "Bytes of the values that were stored.",
		}),
	}
	m.ok = m.records.WithLabelValues("stored")
	// What alerts look for is there before it happens: an increase begins at 0.
	for _, code := range []stream.Code{stream.KafkaUnavailable, stream.Overloaded, stream.NotEnoughReplicas, stream.OutcomeUnknown, stream.Internal} {
		m.records.WithLabelValues(string(code))
	}
	return m
}

func (m *metrics) stored(bytes int) {
	m.ok.Inc()
	m.bytes.Add(float64(bytes))
}

func (m *metrics) failed(code stream.Code) { m.records.WithLabelValues(string(code)).Inc() }
