package kafka

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/stream"
)

// callTimeout bounds one question to Kafka whose caller sets no shorter limit.
const callTimeout = 5 * time.Second

// defaults are set on every client unless the configuration says otherwise.
// After an outage librdkafka would by default wait up to 10 s before it tries
// again, as long as most publishers wait at all.
var defaults = ckafka.ConfigMap{
	"reconnect.backoff.ms":     50,
	"reconnect.backoff.max.ms": 1000,
	"log.connection.close":     false,
	"statistics.interval.ms":   5000,
	// How long a topic that is not there may be one that was just made: the
	// default is 30 s, and everything that waits for it waits as long.
	"topic.metadata.propagation.max.ms": 1000,
	// How long a broker may leave a request unanswered before its connection is
	// given up: below publish_timeout, so that what waits for a broker that
	// hangs is sent to the next leader in time. The default is a minute.
	"socket.timeout.ms": 8000,
}

// The isolation levels: readCommitted hides what a transaction has not
// committed.
const (
	readCommitted   = "read_committed"
	readUncommitted = "read_uncommitted"
)

// ClusterOptions is what a Cluster needs.
type ClusterOptions struct {
	Kafka Options
	Group string // a group name for consumers that belong to none; librdkafka wants one, and with ACLs it needs READ
	// IsolationLevel says what readers see of transactions: "read_committed",
	// which "" means too, or "read_uncommitted".
	IsolationLevel string
	Log            *slog.Logger
	Registerer     prometheus.Registerer
}

// Cluster is the gateway's control connection: it asks for metadata, carries
// administration, and knows whether any broker can be reached. It publishes
// nothing. All other parts of this package are made from it and must be closed
// before it.
type Cluster struct {
	creds     *credentials
	group     string
	isolation string
	log       *slog.Logger
	metrics   *metrics
	handle    *control
	wire      *wireClient // nil: librdkafka alone knows how to log in
	logs      chan ckafka.LogEvent
	reach     *reachability
	doctor    *doctor
	nodes     nodes
	told      repeats // what was logged of librdkafka's words
	renewing  sync.Mutex
	renewals  []*func(context.Context) // replace clients whose credentials have changed
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// NewCluster starts a client. It does not wait for a broker: that none answers
// yet is told by Reachable.
func NewCluster(o ClusterOptions) (*Cluster, error) {
	ctx, stop := context.WithCancel(context.Background())
	c := &Cluster{
		group:     o.Group,
		isolation: cmp.Or(o.IsolationLevel, readCommitted),
		log:       o.Log.With(slog.String("component", "kafka")),
		metrics:   newMetrics(o.Registerer),
		logs:      make(chan ckafka.LogEvent, 1000),
		stop:      stop,
	}
	var err error
	if c.creds, err = newCredentials(o.Kafka, c.log, c.metrics); err != nil {
		stop()
		return nil, err
	}
	c.reach = newReachability(c.log, c.metrics)
	c.doctor = newDoctor(c.creds.options, c.reach, c.log)
	if err := c.open(); err != nil {
		c.creds.close()
		stop()
		return nil, err
	}
	if c.wire, err = newWireClient(c, kgo.MetadataMinAge(wireMetadataAge), kgo.RequestRetries(wireRetries)); err != nil {
		c.log.Warn("offsets are asked for through librdkafka, which is slower", slog.Any("error", err))
	}
	c.spawn(func() { c.forwardLogs(ctx) })
	c.spawn(c.watch)
	c.spawn(func() { c.reach.probe(ctx, c.probe) })
	c.spawn(func() { c.doctor.run(ctx) })
	c.spawn(func() { c.watchFiles(ctx) })
	return c, nil
}

func (c *Cluster) open() error {
	cfg, err := c.config(ckafka.ConfigMap{"enable.idempotence": false})
	if err != nil {
		return err
	}
	c.handle, err = openControl(cfg)
	return err
}

// config gives a client's properties: the configured ones over the defaults,
// and over both what that client's guarantees rest on.
func (c *Cluster) config(own ckafka.ConfigMap) (ckafka.ConfigMap, error) {
	return c.configAs(c.creds.current.Load(), own)
}

// configAs is config with given credentials.
func (c *Cluster) configAs(i *identity, own ckafka.ConfigMap) (ckafka.ConfigMap, error) {
	cfg := maps.Clone(defaults)
	configured, err := i.properties()
	if err != nil {
		return nil, err
	}
	maps.Copy(cfg, configured)
	maps.Copy(cfg, own)
	cfg["go.logs.channel.enable"] = true
	cfg["go.logs.channel"] = c.logs
	return cfg, nil
}

// Close ends the client. Whoever still asks gets an error.
func (c *Cluster) Close() {
	c.stop()
	c.handle.end() // which ends watch
	c.running.Wait()
	if c.wire != nil {
		c.wire.close()
	}
	c.creds.close()
}

// Reachable gives nil while a broker answers, else a KafkaUnavailable error
// that may be handed to clients. Its cause, for the log, is the reason as soon
// as that is known.
func (c *Cluster) Reachable() error {
	if e := c.reach.error(); e != nil {
		return e
	}
	return nil
}

func (c *Cluster) spawn(f func()) { c.running.Go(f) }

// probeCheap is how long the first question of a probe may take.
const probeCheap = 500 * time.Millisecond

// probe asks the cluster for nothing but its brokers. librdkafka puts that
// question to the broker that it takes for the controller, and to no other: where
// that one does not answer, any broker is asked, and for all topics, since
// librdkafka asks so when it knows of none.
func (c *Cluster) probe(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), probeCheap)
	defer cancel()
	_, err := use(c.handle, func() (ckafka.DescribeClusterResult, error) {
		return c.handle.admin.DescribeCluster(ctx, ckafka.SetAdminRequestTimeout(probeCheap))
	})
	if err != nil {
		_, err = c.handle.GetMetadata(nil, false, int((timeout - probeCheap).Milliseconds()))
	}
	return err
}

// watch serves the control connection's events until it is closed, or replaced.
func (c *Cluster) watch() {
	for ev := range c.handle.events() {
		c.event("control", c.handle, ev)
	}
}

// event takes what every kind of client reports.
func (c *Cluster) event(client string, h tokenHolder, ev ckafka.Event) {
	switch ev := ev.(type) {
	case *ckafka.Stats:
		c.nodes.learn(client, c.metrics.statistics(client, ev.String()).Brokers, time.Now())
	case ckafka.OAuthBearerTokenRefresh:
		c.refresh(client, h)
	case ckafka.Error:
		c.metrics.clientErrors.WithLabelValues(client, errorLabel(ev)).Inc()
		kind := c.metrics.failed(ev)
		if ev.Code() == ckafka.ErrAllBrokersDown {
			c.reach.suspect()
			return
		}
		c.doctor.listen(ev)
		c.nodes.fail(client, ev, time.Now())
		c.log.LogAttrs(context.Background(), c.level(slog.LevelWarn, client+ev.String()), "kafka client error",
			slog.String("client", client), slog.String("code", errorLabel(ev)), slog.String("kind", string(kind)), slog.Any("error", ev))
	}
}

// level lowers that of messages which tell nothing new: those that were logged
// a short while ago, and all while the reason why Kafka cannot be used is known.
func (c *Cluster) level(as slog.Level, message string) slog.Level {
	if c.told.again(message) || c.Diagnosis() != "" {
		return slog.LevelDebug
	}
	return as
}

// forwardLogs hands librdkafka's own log lines to the gateway's logger. What it
// says about broken connections comes as an event too.
func (c *Cluster) forwardLogs(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-c.logs:
			level := slogLevel(l.Level)
			if l.Tag == "FAIL" || l.Tag == "ERROR" {
				level = slog.LevelDebug
			} else if level > slog.LevelDebug {
				level = c.level(level, l.Name+l.Message)
			}
			c.log.LogAttrs(ctx, level, "librdkafka", slog.String("client", l.Name), slog.String("tag", l.Tag), slog.String("line", l.Message))
		}
	}
}

// slogLevel translates syslog's levels (RFC 5424). librdkafka repeats as an
// event what it logs as an error, so nothing here is above a warning.
func slogLevel(syslog int) slog.Level {
	const warning, notice = 4, 5
	switch {
	case syslog <= warning:
		return slog.LevelWarn
	case syslog <= notice:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

// How often askAgain asks again, and how long it waits before.
const (
	askTries = 20
	askPause = 25 * time.Millisecond
)

// asker is any of librdkafka's clients: all can ask about topics.
type asker interface {
	GetMetadata(topic *string, allTopics bool, timeoutMs int) (*ckafka.Metadata, error)
	QueryWatermarkOffsets(topic string, partition int32, timeoutMs int) (low, high int64, err error)
}

// metadata asks about one topic, all topics, or, without either, the brokers.
func metadata(ctx context.Context, a asker, topic *string, all bool) (md *ckafka.Metadata, err error) {
	err = askAgain(ctx, func() error {
		md, err = a.GetMetadata(topic, all, timeout(ctx))
		return err
	})
	return md, err
}

// bounds asks for a partition's first offset and the one after its last.
func bounds(ctx context.Context, a asker, topic string, partition int32) (low, high int64, err error) {
	err = askAgain(ctx, func() error {
		low, high, err = a.QueryWatermarkOffsets(topic, partition, timeout(ctx))
		return err
	})
	return low, high, err
}

// askAgain repeats a question that librdkafka gave up because it let go of the
// connection it had asked on: that of a bootstrap address that turned out to be
// a broker known by another name, or of a broker that left the cluster. For a
// moment it may choose that connection again.
func askAgain(ctx context.Context, ask func() error) error {
	for range askTries {
		err := ask()
		if !is(err, ckafka.ErrDestroy, ckafka.ErrDestroyBroker) {
			return err
		}
		pause(ctx, askPause)
	}
	return ask()
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// timeout gives what is left of ctx in milliseconds, callTimeout at most.
func timeout(ctx context.Context) int {
	left := callTimeout
	if d, ok := ctx.Deadline(); ok {
		left = max(min(left, time.Until(d)), time.Millisecond)
	}
	return int(left.Milliseconds())
}

// ended gives the error for a caller whose context ended while Kafka was asked.
func ended(ctx context.Context) error {
	return stream.Errorf(stream.KafkaUnavailable, "Kafka did not answer in time; try again").
		WithOutcome(stream.OutcomeUnclear).Because(context.Cause(ctx))
}
