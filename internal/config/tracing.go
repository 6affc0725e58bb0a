package config

import (
	"errors"
	"net/url"
	"strings"
)

// Tracing says where the gateway's traces go. Without an endpoint, here or in
// OpenTelemetry's own variables, there are none.
type Tracing struct {
	Endpoint    string   `yaml:"endpoint"`     // URL of a collector that takes OTLP over HTTP
	Headers     Secret   `yaml:"headers"`      // sent to it, as OTEL_EXPORTER_OTLP_HEADERS has them: name=value, joined by commas
	SampleRatio *float64 `yaml:"sample_ratio"` // of the traces that begin here, 0 to 1; nil: as OTEL_TRACES_SAMPLER says, else all
	ServiceName string   `yaml:"service_name"` // "": as OTEL_SERVICE_NAME says, else sluice
}

// HeaderMap gives Headers by name; nil: there are none. Values may be escaped as
// in URLs. The error does not quote them.
func (t Tracing) HeaderMap() (map[string]string, error) {
	var headers map[string]string
	for _, pair := range split(t.Headers.Reveal()) {
		name, value, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !found || name == "" || strings.ContainsAny(name, " :") || err != nil || strings.ContainsAny(value, "\r\n") {
			return nil, errors.New("it is name=value, and more of these joined by commas, such as Authorization=Bearer abc")
		}
		if headers == nil {
			headers = map[string]string{}
		}
		headers[name] = value
	}
	return headers, nil
}

func (c Config) checkTracing(problems *Problems) {
	if e := c.Tracing.Endpoint; e != "" {
		u, err := url.Parse(e)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			problems.Add("tracing.endpoint", "it is the URL of a collector, such as http://localhost:4318; what it needs to know of the gateway belongs into tracing.headers")
		}
	}
	if _, err := c.Tracing.HeaderMap(); err != nil {
		problems.Add("tracing.headers", "%v", err)
	}
	if r := c.Tracing.SampleRatio; r != nil && !(*r >= 0 && *r <= 1) { // not a number, too
		problems.Add("tracing.sample_ratio", "it is 0 to 1: the part of the traces that are recorded")
	}
}
