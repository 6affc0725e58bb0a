package httpapi

import "net/http"

// health is what the probes answer.
type health struct {
	Status string        `json:"status"` // "ok", "ready" or "not_ready"
	Checks []healthCheck `json:"checks,omitempty"`
}

type healthCheck struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Detail   string `json:"detail,omitempty"`
	Optional bool   `json:"optional,omitzero"`
}

// live answers as long as the process can answer at all.
func (a *api) live(w http.ResponseWriter, _ *http.Request) error {
	return a.sendJSON(exchangeOf(w), http.StatusOK, health{Status: "ok"})
}

// ready answers 200 while all checks hold that are not optional, else 503. Both have the checks: this
// is a report for operators, so the 503 is not a problem of the request.
func (a *api) ready(w http.ResponseWriter, _ *http.Request) error {
	body, status := health{Status: "ready"}, http.StatusOK
	for _, c := range a.Readiness.Ready() {
		if a.Auth != nil {
			c.Detail = "" // it may name brokers, and anybody may ask
		}
		body.Checks = append(body.Checks, healthCheck(c))
		if !c.OK && !c.Optional {
			body.Status, status = "not_ready", http.StatusServiceUnavailable
		}
	}
	if status != http.StatusOK {
		w.Header().Set("Retry-After", "1")
	}
	return a.sendJSON(exchangeOf(w), status, body)
}
