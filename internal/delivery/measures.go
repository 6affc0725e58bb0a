package delivery

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// measure has what the engine is like now measured when it is asked for.
func (e *Engine) measure(reg prometheus.Registerer) {
	for _, result := range []string{"delivered", "dead_letter", "dropped"} {
		e.metrics.records.WithLabelValues(result) // there before it happens: an increase begins at 0
	}
	f := promauto.With(reg)
	gauge := func(name, help string, now func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "sluice", Subsystem: "delivery", Name: name, Help: help}, now)
	}
	gauge("paused_subscriptions", "Subscriptions of this gateway that are paused.", func() float64 { return float64(e.paused()) })
	gauge("memory_bytes", "Bytes of records that wait to be delivered.", func() float64 { return float64(e.memory.Load()) })
	gauge("memory_limit_bytes", "Bytes of such records beyond which each subscription may hold little.", func() float64 { return float64(e.MemoryBytes) })
}

// paused counts the subscriptions that are paused.
func (e *Engine) paused() (n int) {
	for _, w := range e.workers() {
		w.mu.Lock()
		if w.paused {
			n++
		}
		w.mu.Unlock()
	}
	return n
}
