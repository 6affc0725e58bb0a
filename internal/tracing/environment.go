package tracing

import (
	"net/url"
	"strings"
)

// tracesPath is where a collector takes spans, by the standard.
const tracesPath = "/v1/traces"

// WithEnvironment completes the options by OpenTelemetry's standard variables:
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT where there
// is no endpoint, unless OTEL_TRACES_EXPORTER is none; and there is none with
// OTEL_SDK_DISABLED. An endpoint that is only a host gets the standard's path.
// The variables that are not named here are read by the library. The reason says
// why variables ask for traces and there are none; "" where all is well.
func (o Options) WithEnvironment(getenv func(string) string) (_ Options, reason string) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		o.Endpoint = ""
		return o, ""
	}
	if o.Endpoint == "" {
		o.Endpoint, reason = environmentEndpoint(getenv)
	} else if u, err := url.Parse(o.Endpoint); err == nil && strings.Trim(u.Path, "/") == "" {
		o.Endpoint = u.JoinPath(tracesPath).String()
	}
	return o, reason
}

func environmentEndpoint(getenv func(string) string) (endpoint, reason string) {
	if e := getenv("OTEL_TRACES_EXPORTER"); e != "" && e != "otlp" {
		return "", ""
	}
	endpoint = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if base := getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); endpoint == "" && base != "" {
		endpoint = strings.TrimRight(base, "/") + tracesPath
	}
	protocol := getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if endpoint != "" && protocol == "grpc" {
		return "", "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, which the gateway does not speak: set it to http/protobuf, and the endpoint to the collector's port for HTTP, usually 4318"
	}
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return "", "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL of http or https"
	}
	return endpoint, ""
}
