package app

import "github.com/prometheus/client_golang/prometheus"

// readiness shows as metrics what GET /health/ready says.
type readiness struct {
	app           *App
	ready, checks *prometheus.Desc
}

func newReadiness(a *App) *readiness {
	return &readiness{
		app:    a,
		ready:  prometheus.NewDesc("sluice_ready", "1 while the gateway can do its work, as /health/ready says.", nil, nil),
		checks: prometheus.NewDesc("sluice_ready_check", "1 while a condition of readiness holds; without the deliveries the gateway is ready all the same.", []string{"check"}, nil),
	}
}

// Describe gives the descriptions.
func (r *readiness) Describe(ch chan<- *prometheus.Desc) {
	ch <- r.ready
	ch <- r.checks
}

// Collect asks for the checks, which takes no time.
func (r *readiness) Collect(ch chan<- prometheus.Metric) {
	ready := 1.0
	for _, c := range r.app.Ready() {
		holds := 0.0
		if c.OK {
			holds = 1
		} else if !c.Optional {
			ready = 0
		}
		ch <- prometheus.MustNewConstMetric(r.checks, prometheus.GaugeValue, holds, c.Name)
	}
	ch <- prometheus.MustNewConstMetric(r.ready, prometheus.GaugeValue, ready)
}
