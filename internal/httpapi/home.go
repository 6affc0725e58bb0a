package httpapi

import (
	"net/http"

	openapi "sluice/api"
)

// description is what GET / answers.
type description struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Version     string            `json:"version"`
	Links       map[string]string `json:"links"`
}

// home describes the service and links on; for browsers it is the console.
func (a *api) home(w http.ResponseWriter, r *http.Request) error {
	if a.Console != nil {
		w.Header().Add("Vary", "Accept")
	}
	if err := noQuery(r); err != nil {
		return err
	}
	if a.wantsPage(r) && a.Console.ServeFile(w, r, "") {
		return nil
	}
	links := map[string]string{
		"streams": "/streams",
		"schemas": "/schemas",
		"groups":  "/groups",
		"cluster": "/cluster",
		"caller":  "/caller",
		"openapi": "/openapi.yaml",
		"live":    "/health/live",
		"ready":   "/health/ready",
	}
	if !a.MetricsApart {
		links["metrics"] = "/metrics"
	}
	if a.Subscriptions != nil {
		links["subscriptions"] = "/subscriptions"
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, description{
		Name:        "sluice",
		Description: "An HTTP gateway to Apache Kafka: publish to a stream with a POST to /streams/{stream}.",
		Version:     a.Version,
		Links:       links,
	})
}

// openAPI serves the description of the API that the gateway was built with.
func openAPI(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "application/yaml")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(openapi.OpenAPI)
	return nil
}
