package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/config"
	"sluice/internal/delivery"
	"sluice/internal/filter"
	"sluice/internal/follow"
	"sluice/internal/httpapi"
	"sluice/internal/kafka"
	"sluice/internal/publish"
	"sluice/internal/stream"
	"sluice/internal/subscriptions"
	"sluice/internal/webhook"
)

// The topic of the subscriptions, the group in which gateways share them out,
// and how many shares there are: for ever, since a subscription's id says which
// one it is in.
const (
	subscriptionsLog = "subscriptions"
	fleetGroup       = "deliveries"
	shares           = 32
)

// pushing is what webhooks need of the rest of the gateway.
type pushing struct {
	config    config.Config
	names     stream.Topics
	log       *slog.Logger
	registry  prometheus.Registerer
	version   string
	admin     *kafka.Admin
	producer  *kafka.Producer
	readers   *kafka.Readers
	offsets   *kafka.Offsets
	hub       *follow.Hub
	filters   *filter.Compiler
	publisher *publish.Publisher
	rights    rights         // of the owners
	tracer    webhook.Tracer // nil: nothing is traced
}

// newPush builds what pushes records to webhooks, in the order of its
// dependencies, and has it undone.
func (a *App) newPush(p pushing) (*subscriptions.Store, error) {
	networks, err := p.config.Webhooks.Networks()
	if err != nil {
		return nil, err
	}
	proxy, err := p.config.Webhooks.ProxyURL()
	if err != nil {
		return nil, err
	}
	keys, err := p.config.Webhooks.Keys()
	if err != nil {
		return nil, err
	}
	sender := webhook.New(webhook.Options{
		Version: p.version, AllowNetworks: networks, Proxy: proxy, DecodeLine: httpapi.DecodeAnswerLine, Tracer: p.tracer, Logger: p.log, Registerer: p.registry,
	})
	a.cleanups.push("webhook connections", func(context.Context) error { sender.Close(); return nil })

	store, err := subscriptions.New(subscriptions.Options{
		Log: p.log, Topics: p.names, Reserved: reserved(p.config), Streams: p.readers, Offsets: p.offsets, Filters: p.filters, Sender: sender,
		CheckURL: sender.CheckURL, Mark: delivery.Mark, Keys: keys, Blocked: func() error { return a.fleet.Trouble() },
		Most: a.subscriptionsOf(),
		Open: func(state stream.State) subscriptions.Log {
			a.subscriptions = kafka.NewLog(kafka.LogOptions{
				Topic: p.names.Internal(subscriptionsLog), Partitions: shares, Cluster: a.cluster, Producer: p.producer, Admin: p.admin,
			}, state)
			return a.subscriptions
		},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare subscriptions: %w", err)
	}
	a.subscriptions.Start()
	a.cleanups.push("subscriptions log", func(context.Context) error { a.subscriptions.Close(); return nil })
	a.deliver(p, store, sender)
	return store, nil
}

// deliver starts the engine, and the fleet that says what it delivers.
func (a *App) deliver(p pushing, store *subscriptions.Store, sender *webhook.Sender) {
	o := newOwner(store, p.rights, p.log)
	o.forget = p.offsets.Forget
	a.owner = o
	o.engine = delivery.New(delivery.Options{
		Sender: quietSender{permittedSender{sender, p.rights}, p.config.Log.Stream}, Pages: p.hub, Offsets: p.offsets,
		DeadLetters: deadLetters{p}, Publisher: answers{p.publisher, p.rights, p.config}, Pauser: pauser{store},
		Allowed: func() bool { return o.fleet.Alive() },
		Filter:  p.filters.Compile,
		Pause:   func(r stream.Retry, failed int) time.Duration { return r.Pause(failed, 0, rand.Float64()) }, //nolint:gosec // to spread load, not to hide anything
		ID: func(d *stream.Delivery) string {
			return stream.DeliveryID(d.Subscription.ID, d.TopicID, d.Records)
		},
		Report: o.report,
		Bounds: p.readers.Bounds, LagLabels: p.config.Metrics.Subscriptions,
		Log: p.log, Registerer: p.registry,
	})
	a.cleanups.push("deliveries", func(context.Context) error { o.engine.Close(); return nil })
	o.fleet = kafka.NewFleet(a.cluster, kafka.FleetOptions{
		Topic: p.names.Internal(subscriptionsLog), Group: p.names.Internal(fleetGroup), Partitions: shares,
		Assigned: o.assigned, Revoked: o.revoked, Position: a.subscriptions.Position, Log: p.log,
	})
	a.fleet = o.fleet
	o.start()
	a.cleanups.push("fleet", func(ctx context.Context) error { o.close(ctx); return nil })
}

// deadLetterRetention is for streams of dead letters that are made here: time
// enough to find out, and to redrive.
const deadLetterRetention = 30 * 24 * time.Hour

// deadLetters stores what could not be delivered, as it is.
type deadLetters struct{ pushing }

// Write stores a dead letter and waits for Kafka's report. The stream is made
// for the first one; bound to no schema, it is closed to publishing.
func (d deadLetters) Write(ctx context.Context, id string, m stream.Message) error {
	if err := checkReserved(d.config, id); err != nil { // by a subscription from before it was
		return err
	}
	m.Topic = d.names.Topic(id)
	err := d.send(ctx, &m)
	if stream.CodeOf(err) != stream.UnknownStream {
		return err
	}
	retention := fmt.Sprint(deadLetterRetention.Milliseconds())
	spec := stream.TopicSpec{Name: m.Topic, Partitions: d.config.DefaultPartitions, Config: map[string]string{"retention.ms": retention}}
	if _, err := d.admin.Create(ctx, spec); err != nil {
		return err
	}
	if err := d.producer.Made(ctx, m.Topic); err != nil {
		return err
	}
	return d.send(ctx, &m)
}

func (d deadLetters) send(ctx context.Context, m *stream.Message) error {
	reported := make(chan error, 1)
	if err := d.producer.Send(m, func(_ stream.Report, err error) { reported <- err }); err != nil {
		return err
	}
	select {
	case err := <-reported:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answers publishes what endpoints answer.
type answers struct {
	*publish.Publisher
	may    rights
	config config.Config
}

// Publish publishes records one after the other. After an error the delivery is
// tried again, and those before it are published again.
func (a answers) Publish(ctx context.Context, d *stream.Delivery, records []stream.Outgoing) error {
	for i := range records {
		if err := a.may.check(d.Subscription.Owner, stream.ActionPublish, records[i].Stream); err != nil {
			return err
		}
		if err := checkReserved(a.config, records[i].Stream); err != nil {
			return err
		}
		if _, err := a.Publisher.Publish(ctx, &records[i]); err != nil {
			return err
		}
	}
	return nil
}

// pauser pauses subscriptions for their owner.
type pauser struct{ *subscriptions.Store }

// Pause pauses a subscription unless it was changed since.
func (p pauser) Pause(ctx context.Context, id string, revision int64, reason string) error {
	return p.Suspend(ctx, id, revision, reason)
}
