package app

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/config"
	"sluice/internal/httpapi"
	"sluice/internal/publish"
	"sluice/internal/stream"
	"sluice/internal/tracing"
	"sluice/internal/webhook"
)

// traces is the tracer as those who trace want it. Where there is none all are
// nil, which is not the same as an interface that holds a nil tracer.
type traces struct {
	http    httpapi.Tracer
	publish publish.Tracer
	webhook webhook.Tracer
}

// newTracing makes the tracer, if the configuration or the environment says
// where traces go. It is made early, so that it ends late: what other parts do
// while they end is traced too.
func (a *App) newTracing(o Options, names stream.Topics, registry prometheus.Registerer) (traces, error) {
	options, reason := tracingOptions(o.Config.Tracing).WithEnvironment(os.Getenv)
	if reason != "" {
		o.Log.Warn("there are no traces, though the environment asks for them", slog.String("reason", reason))
	}
	if options.Endpoint == "" {
		return traces{}, nil
	}
	options.Version, options.Topics, options.Log, options.Registerer = o.Version, names, o.Log, registry
	tracer, err := tracing.New(options)
	if err != nil {
		return traces{}, fmt.Errorf("trace: %w", err)
	}
	a.cleanups.push("tracing", tracer.Close)
	return traces{tracer, tracer, tracer}, nil
}

func tracingOptions(c config.Tracing) tracing.Options {
	headers, _ := c.HeaderMap() // Validate has refused what cannot be read
	return tracing.Options{Endpoint: c.Endpoint, Headers: headers, SampleRatio: c.SampleRatio, ServiceName: c.ServiceName}
}
