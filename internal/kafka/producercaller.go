package kafka

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// Bounds of what one caller's producer holds, in records and KiB: there may be
// many of them.
const (
	callerQueueRecords = 10_000
	callerQueueKiB     = 16 << 10
)

// caller is as whom a producer publishes that is not the gateway's own.
type caller struct {
	login      atomic.Pointer[stream.Login]
	extensions map[string]string // that go with a token
	suspect    func()
}

// As makes a producer that logs in to Kafka as somebody else, and does all else
// as this one, with which it shares what is known of topics. It must be closed
// before this one. Where Kafka seems to refuse the login, suspect is called,
// which must not block: it may be wrong, as after a connection that broke.
func (p *Producer) As(l *stream.Login, suspect func()) (*Producer, error) {
	own := &caller{suspect: suspect, extensions: p.cluster.creds.options().SASL.OAuth.Extensions}
	own.login.Store(l)
	q := &Producer{
		cluster: p.cluster, log: p.log.With(slog.Any("login", l)), opts: p.opts, caller: own,
		replicas: p.replicas, timestamps: p.timestamps, denied: denial{who: "the user " + l.User},
	}
	q.gather = newGather(q.sendBurst)
	q.deadlines = newDeadlines(p.opts.PublishTimeout, p.cluster.metrics.late, q.expired, q.crowded)
	g, err := q.open()
	if err != nil {
		return nil, err
	}
	q.start(g)
	// One after the other would take long: some may not be let in any more.
	q.forget = p.cluster.onRenewal(func(ctx context.Context) { p.cluster.spawn(func() { q.renewCredentials(ctx) }) })
	return q, nil
}

// Follow gives a caller's producer a token of the same principal that ends
// later. Connections that are there log in with it in time.
func (p *Producer) Follow(l *stream.Login) {
	p.caller.login.Store(l)
	if l.Mechanism != oauthBearer {
		return
	}
	if g := p.enter(); g != nil {
		defer g.leave()
		p.caller.hand(p.cluster, g.handle)
	}
}

// Anew tells the producer that a topic was made, perhaps in the place of
// another one to which it has published.
func (p *Producer) Anew(topic string) { p.renew(topic) }

// event takes what is no report.
func (p *Producer) event(g *generation, ev ckafka.Event) {
	if p.caller != nil {
		p.caller.event(p.cluster, g.handle, ev)
		return
	}
	p.cluster.event("producer", g.handle, ev)
}

// level lowers that of what an operator can do nothing about.
func (p *Producer) level(own slog.Level) slog.Level {
	if p.caller != nil {
		return slog.LevelDebug
	}
	return own
}

// configure puts the caller's login in the place of the gateway's.
func (c *caller) configure(cfg ckafka.ConfigMap, o ProducerOptions) {
	maps.DeleteFunc(cfg, func(name string, _ ckafka.ConfigValue) bool {
		return strings.HasPrefix(name, "sasl.") || strings.HasPrefix(name, "enable.sasl.")
	})
	l := c.login.Load()
	cfg["sasl.mechanisms"] = l.Mechanism
	if l.Mechanism != oauthBearer { // which is handed over when librdkafka asks for it
		cfg["sasl.username"], cfg["sasl.password"] = l.User, l.Reveal()
	}
	cfg["statistics.interval.ms"] = 0 // the labels name no caller
	cfg["go.events.channel.size"] = 1000
	for name, value := range map[string]int{
		"queue.buffering.max.messages": callerQueueRecords,
		"queue.buffering.max.kbytes":   max(callerQueueKiB, 2*o.MaxRecordBytes>>10),
	} {
		if _, set := cfg[name]; !set {
			cfg[name] = value
		}
	}
}

// event takes what librdkafka reports of a caller's client. It says nothing of
// the gateway's own login, nor of whether Kafka can be reached.
func (c *caller) event(cluster *Cluster, h tokenHolder, ev ckafka.Event) {
	switch ev := ev.(type) {
	case ckafka.OAuthBearerTokenRefresh:
		c.hand(cluster, h)
	case ckafka.Error:
		cluster.metrics.clientErrors.WithLabelValues("caller", errorLabel(ev)).Inc()
		cluster.log.Debug("kafka client error", slog.String("client", "caller"), slog.String("code", errorLabel(ev)), slog.Any("error", ev))
		if ev.Code() == ckafka.ErrAuthentication || ev.Code() == ckafka.ErrSaslAuthenticationFailed {
			c.suspect()
		}
	}
}

// hand gives a client the newest token.
func (c *caller) hand(cluster *Cluster, h tokenHolder) {
	l := c.login.Load()
	err := h.SetOAuthBearerToken(ckafka.OAuthBearerToken{
		TokenValue: l.Reveal(), Expiration: l.Expires, Principal: l.User, Extensions: c.extensions,
	})
	if err == nil {
		return
	}
	cluster.log.Debug("a caller's token is not taken", slog.Any("login", l), slog.Any("error", err))
	if err := h.SetOAuthBearerTokenFailure("the caller's token has ended"); err != nil {
		cluster.log.Debug("the client takes no word of a missing token", slog.Any("login", l), slog.Any("error", err))
	}
}
