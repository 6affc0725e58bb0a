package app

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/audit"
	"sluice/internal/auth"
	"sluice/internal/catalog"
	"sluice/internal/config"
	"sluice/internal/httpapi"
	"sluice/internal/publish"
	"sluice/internal/stream"
)

// toStderr is what audit.log says for the standard error output.
const toStderr = "stderr"

// newAudit makes what keeps who did what, where that is configured. It ends
// after HTTP, whose last requests are in it, and before the producer.
func (a *App) newAudit(o Options, streams *catalog.Catalog, publisher *publish.Publisher, registry prometheus.Registerer) error {
	c := o.Config.Audit
	if !c.On() {
		return nil
	}
	var sink audit.Sink
	switch {
	case c.Stream != "":
		sink = audit.NewStream(c.Stream, streams, publisher)
	case c.Log == toStderr && o.Stderr == nil:
		sink = audit.NewOutput(io.Discard)
	case c.Log == toStderr:
		sink = audit.NewOutput(o.Stderr)
	default:
		file, err := audit.NewFile(c.Log)
		if err != nil {
			return err
		}
		sink = file
	}
	kinds := make([]stream.AuditKind, len(c.Events))
	for i, name := range c.Events {
		kinds[i] = config.AuditKinds()[name]
	}
	a.audit = audit.New(audit.Options{Sink: sink, Kinds: kinds, Required: c.Required, Log: o.Log, Registerer: registry})
	a.cleanups.push("audit log", a.audit.Close)
	return nil
}

// audits says whether the audit log is written. A gateway that may do nothing
// without it is not ready without it.
func (a *App) audits() httpapi.Check {
	trouble := a.audit.Trouble()
	return httpapi.Check{Name: "audit", OK: trouble == "", Detail: trouble, Optional: !a.config.Audit.Required}
}

// watchConfig has rules and tokens read again when they change, and everything
// asked again that rests on them.
func (a *App) watchConfig(o Options, callers *auth.Auth) {
	if callers != nil {
		callers.Watch(a.owner.ask)
	}
	if o.Config.File() == "" {
		return
	}
	r := &reloading{log: o.Log, config: o.Config, callers: callers, hangup: o.Hangup, record: func(d stream.Decision) {
		if a.audit != nil {
			d.At = time.Now()
			a.audit.Record(d, false)
		}
	}}
	r.start()
	a.cleanups.push("configuration watch", func(context.Context) error { r.close(); return nil })
}

// reserved gives the streams that are the gateway's own.
func reserved(c config.Config) []string {
	if c.Audit.Stream == "" {
		return nil
	}
	return []string{c.Audit.Stream}
}

// checkReserved refuses to write what a client asks for into a stream of the
// gateway's own: nobody may add to the audit log what did not happen.
func checkReserved(c config.Config, id string) error {
	if !slices.Contains(reserved(c), id) {
		return nil
	}
	return stream.Errorf(stream.Forbidden, "the stream %q is the gateway's own: it can be read, and nothing else", id).WithOutcome(stream.NotStored)
}

// checkOwn refuses to register what is the gateway's own: the schema of audit
// events, also where nothing is audited yet, and schemas for its streams.
func (r registrar) checkOwn(reg stream.Registration) error {
	if reg.Name == audit.SchemaName {
		return stream.Errorf(stream.Forbidden, "the schema %s is the gateway's own; choose another name", reg.Name)
	}
	for _, id := range reg.Streams {
		if err := checkReserved(r.config, id); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes a schema version, but not the gateway's own.
func (r registrar) Delete(ctx context.Context, ref stream.SchemaRef) error {
	if ref.Name == audit.SchemaName {
		return stream.Errorf(stream.Forbidden, "the schema %s is the gateway's own, and stays", ref.Name)
	}
	return r.Store.Delete(ctx, ref)
}
