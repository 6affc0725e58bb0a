// Package app wires the gateway together and runs it. It is the only package
// that sees all others, and decides nothing that they could decide themselves;
// tests embed it to run a whole gateway in their own process.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sluice/internal/audit"
	"sluice/internal/auth"
	"sluice/internal/catalog"
	"sluice/internal/config"
	"sluice/internal/embedded"
	"sluice/internal/httpapi"
	"sluice/internal/kafka"
	"sluice/internal/logstream"
	"sluice/internal/publish"
	"sluice/internal/quota"
	"sluice/internal/schemastore"
	"sluice/internal/stream"
	"sluice/internal/tlsconf"
)

// schemasLog names the log of schemas and bindings among the gateway's topics,
// and readersGroup the group of consumers that belong to none.
const (
	schemasLog   = "schemas"
	readersGroup = "readers"
)

// Options is what a gateway needs besides its configuration.
type Options struct {
	Config  config.Config // without problems
	Log     *slog.Logger
	Version string
	Stderr  io.Writer        // takes the audit log where that is "stderr"; nil: it is thrown away
	Hangup  <-chan os.Signal // has the configuration read again; nil: only its file does
}

// App is a gateway. New makes it listen, and Run serves until its context ends;
// both must be called, for Run also ends what New began.
type App struct {
	config   config.Config
	log      *slog.Logger
	listener net.Listener
	server   *http.Server
	cluster  *kafka.Cluster
	schemas  *kafka.Log
	reading  reading

	quotas *quota.Book // nil: there are none

	admin         *http.Server // of health and metrics alone; nil: there is none
	adminListener net.Listener

	subscriptions *kafka.Log
	fleet         *kafka.Fleet
	owner         *owner
	audit         *audit.Auditor // nil: nothing is audited
	draining      atomic.Bool
	logs          *logstream.Shipper
	cleanups      cleanups
}

// New builds a gateway that listens and does not serve yet. It does not wait
// for Kafka: until that answers, readiness says no. After an error nothing is
// left running.
func New(o Options) (a *App, err error) {
	a = &App{config: o.Config, log: o.Log, cleanups: cleanups{log: o.Log}}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.cleanups.run(context.Background()))
		}
	}()
	return a, a.setup(o)
}

// setup builds everything in the order of its dependencies. It is one straight
// line on purpose: what needs what is read from top to bottom, and undone from
// bottom to top.
func (a *App) setup(o Options) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// What publishing passes through logs to local alone: see logstream.
	local := o.Log
	o.Log = a.newLogs(o, registry)

	if err := a.listen(o.Config.Listen); err != nil {
		return err
	}
	brokers, err := a.newBrokers(o.Config, local)
	if err != nil {
		return err
	}

	names := stream.Topics{Prefix: o.Config.TopicPrefix}
	traces, err := a.newTracing(o, names, registry)
	if err != nil {
		return err
	}
	if a.cluster, err = kafka.NewCluster(kafka.ClusterOptions{
		Kafka: brokers, Group: names.Internal(readersGroup), IsolationLevel: o.Config.IsolationLevel, Log: local, Registerer: registry,
	}); err != nil {
		return err
	}
	a.quotas = newQuotas(o.Config.Quotas, registry)
	a.cleanups.push("kafka client", func(context.Context) error { a.cluster.Close(); return nil })

	admin := kafka.NewAdmin(a.cluster, o.Config.ReplicationFactor)
	reader := kafka.NewReader(a.cluster, names)
	a.cleanups.push("record reader", func(context.Context) error { return reader.Close() })

	publishTimeout := time.Duration(o.Config.PublishTimeout)
	producer, err := kafka.NewProducer(a.cluster, kafka.ProducerOptions{
		PublishTimeout: publishTimeout, MaxRecordBytes: int(o.Config.Limits.Record),
	})
	if err != nil {
		return err
	}
	a.cleanups.push("producer", producer.Close)
	identities := a.newIdentities(o.Config, producer, registry)

	store := a.newSchemas(names, producer, admin, local)
	streams := catalog.New(catalog.Options{
		Topics: admin, Trial: kafka.NewTrial(admin), Bindings: store, Schemas: builtIn{store}, Names: names, Producer: announced{producer, identities},
		DefaultPartitions: o.Config.DefaultPartitions, AutoCreate: o.Config.AutoCreate, Log: local,
	})
	publisher := publish.New(publish.Options{
		Catalog: streams, Schemas: store, Producer: producer, Timeout: publishTimeout, Tracer: traces.publish, Log: local, Registerer: registry,
	})
	a.startLogs(publisher, streams, store)
	if a.reading, err = a.newReading(o.Config, names, o.Log, registry); err != nil {
		return err
	}
	registers := registrar{store, streams, o.Config}
	if err := a.newAudit(o, streams, publisher, registry); err != nil {
		return err
	}
	callers, err := a.newAuth(o.Config, passThrough(o.Config, identities), registry)
	if err != nil {
		return err
	}
	push, err := a.newPush(pushing{
		config: o.Config, names: names, log: o.Log, registry: registry, version: o.Version, admin: admin, producer: producer,
		readers: a.reading.readers, offsets: a.reading.offsets, hub: a.reading.feeds.Hub, filters: a.reading.filters, publisher: publisher, rights: rightsOf(callers),
		tracer: traces.webhook,
	})
	if err != nil {
		return err
	}
	a.watchConfig(o, callers)
	registry.MustRegister(newReadiness(a))
	return a.newHTTP(o, callers, httpapi.Options{
		Log: o.Log, Registerer: registry, Gatherer: registry, Topics: names,
		Publisher: publisher, Streams: streams, Schemas: registers, SchemaReader: store,
		Records: reader, Feeds: a.reading.feeds, Groups: a.reading.members, GroupAdmin: a.reading.groupAdmin(push.Group, o.Log), Filters: a.reading.filters,
		Subscriptions: push, Readiness: a, Tracer: traces.http,
		Brokers: kafka.NewBrokers(a.cluster), Storage: kafka.NewStorage(admin, names),
	})
}

// listen takes the address, before anything else is begun.
func (a *App) listen(address string) (err error) {
	if a.listener, err = net.Listen("tcp", address); err != nil { //nolint:noctx // ends at once
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	a.listener = httpapi.HoldConnections(a.listener, connectionsAtOnce(), a.log)
	a.cleanups.push("listener", func(context.Context) error { return ignoreClosed(a.listener.Close()) })
	return nil
}

// newBrokers says how to reach Kafka, and starts the embedded broker if it is
// that one.
func (a *App) newBrokers(c config.Config, log *slog.Logger) (kafka.Options, error) {
	brokers := kafkaOptions(c)
	if !c.Embedded {
		return brokers, nil
	}
	broker, err := embedded.Start(embedded.Options{DataDir: c.DataDir, Log: log})
	if err != nil {
		return brokers, fmt.Errorf("start the embedded broker: %w", err)
	}
	a.cleanups.push("embedded broker", func(context.Context) error { broker.Close(); return nil })
	brokers.BootstrapServers = []string{broker.Addr()}
	return brokers, nil
}

// newSchemas makes the store of schemas, and reads its log.
func (a *App) newSchemas(names stream.Topics, producer *kafka.Producer, admin *kafka.Admin, log *slog.Logger) *schemastore.Store {
	store := schemastore.New(log, func(state stream.State) schemastore.Log {
		a.schemas = kafka.NewLog(kafka.LogOptions{
			Topic: names.Internal(schemasLog), Cluster: a.cluster, Producer: producer, Admin: admin,
		}, state)
		return a.schemas
	})
	a.schemas.Start()
	a.cleanups.push("schema log", func(context.Context) error { a.schemas.Close(); return nil })
	return store
}

// newHTTP makes what serves the API, and has it drained.
func (a *App) newHTTP(o Options, callers *auth.Auth, api httpapi.Options) error {
	apiOptions(&api, o.Config, callers != nil)
	api.Version = o.Version
	guard(&api, callers, a.config.Auth.PassThrough.Basic != "")
	var err error
	if api.Console, err = newConsole(a.config); err != nil {
		return err
	}
	if err := a.limitCallers(&api); err != nil {
		return err
	}
	if a.audit != nil {
		api.Audit = a.audit
	}
	if err := a.openAdmin(api); err != nil {
		return err
	}
	a.server = httpapi.NewServer(httpapi.New(api), a.log)
	if a.config.TLS.On() {
		files, err := tlsconf.NewServer(serverFiles(a.config.TLS), a.log)
		if err != nil {
			return err
		}
		a.server.TLSConfig = files.Config()
	}
	a.cleanups.push("http server", a.drain)
	return nil
}

// openAdmin makes what serves health and metrics on a listener of its own,
// where there is to be one. It ends after the rest of HTTP: it tells how the
// draining goes.
func (a *App) openAdmin(api httpapi.Options) (err error) {
	if a.config.AdminListen == "" {
		return nil
	}
	if a.adminListener, err = net.Listen("tcp", a.config.AdminListen); err != nil { //nolint:noctx // ends at once
		return fmt.Errorf("admin_listen on %s: %w", a.config.AdminListen, err)
	}
	a.admin = httpapi.NewServer(httpapi.NewAdmin(api), a.log)
	a.cleanups.push("admin server", func(context.Context) error {
		return errors.Join(ignoreClosed(a.adminListener.Close()), ignoreClosed(a.admin.Close()))
	})
	return nil
}

// registrar registers through the catalog, which also binds the streams named,
// and deletes from the store.
type registrar struct {
	*schemastore.Store
	catalog *catalog.Catalog
	config  config.Config
}

// Register registers a schema version and binds its streams.
func (r registrar) Register(ctx context.Context, reg stream.Registration) (stream.SchemaVersion, bool, error) {
	if err := r.checkOwn(reg); err != nil {
		return stream.SchemaVersion{}, false, err
	}
	return r.catalog.Register(ctx, reg)
}

// URL is where the gateway serves, as seen from this machine.
func (a *App) URL() string {
	scheme := "http://"
	if a.config.TLS.On() {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(a.listener.Addr().String())
	if err != nil {
		return scheme + a.listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + net.JoinHostPort(host, port)
}

// AdminURL is where health and metrics have a listener of their own; "" where
// they have none.
func (a *App) AdminURL() string {
	if a.adminListener == nil {
		return ""
	}
	return "http://" + a.adminListener.Addr().String()
}

// Run serves until ctx ends, then stops gracefully within shutdown_timeout.
func (a *App) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- a.serve() }() // ends with the server
	a.log.Info("listening", slog.String("url", a.URL()))
	if a.admin != nil {
		go func() { _ = a.admin.Serve(a.adminListener) }() // ends with the server
		a.log.Info("listening for health and metrics", slog.String("url", a.AdminURL()))
	}
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
		a.log.Info("stopping")
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(a.config.ShutdownTimeout))
	defer cancel()
	return errors.Join(err, a.cleanups.run(stop))
}

// serve serves until the server is closed.
func (a *App) serve() error {
	if a.server.TLSConfig == nil {
		return a.server.Serve(a.listener)
	}
	return a.server.ServeTLS(a.listener, "", "")
}

// drain says not ready, takes no more requests, ends the streams of readers, and
// lets the requests under way end;
// what is not done by three quarters of the time is cut off, for the records
// already accepted need the rest.
func (a *App) drain(ctx context.Context) error {
	a.draining.Store(true)
	a.reading.drain()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*3/4)
		defer cancel()
	}
	if err := a.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("some requests had to be cut off: %w", err), ignoreClosed(a.server.Close()))
	}
	return nil
}

// Ready says whether the gateway can do its work, and if not, why, as far as
// that is known.
func (a *App) Ready() []httpapi.Check {
	reach := check("kafka", a.cluster.Reachable() == nil, "a Kafka broker answers")
	if reason := a.cluster.Diagnosis(); !reach.OK && reason != "" {
		reach.Detail = reason
	} else if reason := a.cluster.Credentials(); reach.OK && reason != "" {
		reach.Detail = "a broker answers; the credentials that are on disk now are not used: " + reason
	}
	checks := []httpapi.Check{
		reach,
		logCheck("schemas", a.schemas, httpapi.CanPublish, httpapi.CanManage),
		logCheck("subscriptions", a.subscriptions, httpapi.CanDeliver),
		a.deliveries(),
		check("serving", !a.draining.Load(), "the gateway is not about to stop"),
	}
	if a.audit != nil {
		checks = append(checks, a.audits())
	}
	return checks
}

// deliveries says whether Kafka lets the gateway push to webhooks. It publishes
// and reads all the same, so it is ready without.
func (a *App) deliveries() httpapi.Check {
	c := httpapi.Check{Name: "deliveries", OK: true, Optional: true, For: []httpapi.Ability{httpapi.CanDeliver}}
	if err := a.fleet.Trouble(); err != nil {
		c.OK = false
		if e, ok := errors.AsType[*stream.Error](err); ok {
			c.Detail = e.Message
		}
	}
	return c
}

// logCheck says whether a log of the gateway's own state can be read. While it
// begins, nothing can be done. A log that Kafka denies takes away only what
// needs it.
func logCheck(name string, log *kafka.Log, needed ...httpapi.Ability) httpapi.Check {
	c := check(name, log.Ready(), "the log of "+name+" has been read to its end")
	problem, known := errors.AsType[*stream.Error](log.Problem())
	if known && problem.Code == stream.Forbidden {
		return httpapi.Check{Name: name, Detail: problem.Message, For: needed}
	}
	return c
}

// check is a part of readiness, which holds when what is said in words is so.
func check(name string, ok bool, words string) httpapi.Check {
	if ok {
		words = ""
	} else {
		words = "not yet, or not any more: " + words
	}
	return httpapi.Check{Name: name, OK: ok, Detail: words}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
