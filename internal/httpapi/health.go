package httpapi

import (
	"net/http"
	"slices"
)

// health is what the probe of the process answers.
type health struct {
	Status string `json:"status"` // "ok"
}

// readiness is what the probe of the gateway's work answers.
type readiness struct {
	Status  string        `json:"status"` // "ready" or "not_ready"
	Publish bool          `json:"publish"`
	Read    bool          `json:"read"`
	Manage  bool          `json:"manage"`
	Deliver bool          `json:"deliver"`
	Checks  []healthCheck `json:"checks,omitempty"`
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

// ready answers 200 while the gateway can publish or read, else 503. Both say
// what it can do, and have the checks: this is a report for operators, so the
// 503 is not a problem of the request.
func (a *api) ready(w http.ResponseWriter, _ *http.Request) error {
	checks := a.Readiness.Ready()
	body := readiness{
		Status:  "ready",
		Publish: able(checks, CanPublish), Read: able(checks, CanRead), Manage: able(checks, CanManage), Deliver: able(checks, CanDeliver),
	}
	for _, c := range checks {
		if a.Auth != nil {
			c.Detail = "" // it may name brokers, and anybody may ask
		}
		body.Checks = append(body.Checks, healthCheck{Name: c.Name, OK: c.OK, Detail: c.Detail, Optional: c.Optional})
	}
	status := http.StatusOK
	if !body.Publish && !body.Read {
		body.Status, status = "not_ready", http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	return a.sendJSON(exchangeOf(w), status, body)
}

// able says whether all that an ability needs holds.
func able(checks []Check, ability Ability) bool {
	return !slices.ContainsFunc(checks, func(c Check) bool {
		if c.For == nil {
			return !c.OK && !c.Optional
		}
		return !c.OK && slices.Contains(c.For, ability)
	})
}
