package auth

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The kinds of credentials, as labels.
const (
	methodToken       = "token"
	methodOIDC        = "oidc"
	methodCertificate = "certificate"
	methodEvents      = "event_token"
	methodBasic       = "basic"
	methodKafkaToken  = "kafka_token"
)

type metrics struct{ attempts, fetches *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_auth_attempts_total",
			Help: "Credentials that were shown, by kind and outcome: accepted or refused. Tokens of no known kind count as token.",
		}, []string{"method", "outcome"}),
		fetches: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_auth_key_fetches_total",
			Help: "Questions to the issuer for its keys, by outcome: ok or failed.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{"ok", "failed"} {
		m.fetches.WithLabelValues(outcome)
	}
	for _, method := range []string{methodToken, methodOIDC, methodCertificate, methodEvents, methodBasic, methodKafkaToken} {
		m.attempts.WithLabelValues(method, "accepted")
		m.attempts.WithLabelValues(method, "refused")
	}
	return m
}

func (m *metrics) accepted(method string) { m.attempts.WithLabelValues(method, "accepted").Inc() }
func (m *metrics) refused(method string)  { m.attempts.WithLabelValues(method, "refused").Inc() }

func (m *metrics) fetched(err error) {
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	m.fetches.WithLabelValues(outcome).Inc()
}
