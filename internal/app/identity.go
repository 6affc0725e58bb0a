package app

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/auth"
	"sluice/internal/config"
	"sluice/internal/identity"
	"sluice/internal/kafka"
	"sluice/internal/stream"
)

// logins is Kafka as package identity wants it.
type logins struct {
	cluster  *kafka.Cluster
	producer *kafka.Producer // the gateway's own
}

// Confirm logs in to Kafka and out again.
func (l logins) Confirm(ctx context.Context, as *stream.Login) error {
	return l.cluster.Confirm(ctx, as)
}

// Open makes a producer of a caller's own.
func (l logins) Open(as *stream.Login, suspect func()) (identity.Producer, error) {
	p, err := l.producer.As(as, suspect)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// newIdentities makes what callers publish with as themselves; nil where they
// do not.
func (a *App) newIdentities(c config.Config, producer *kafka.Producer, registry prometheus.Registerer) *identity.Pool {
	p := c.Auth.PassThrough
	if len(p.Mechanisms()) == 0 {
		return nil
	}
	if strings.EqualFold(c.SecurityProtocol, "SASL_PLAINTEXT") {
		a.log.Warn("credentials of callers are sent to kafka in plain text: set security_protocol to SASL_SSL")
	}
	pool := identity.New(identity.Options{
		Kafka: logins{a.cluster, producer}, Producers: p.Producers, Idle: time.Duration(p.Idle), Log: a.log, Registerer: registry,
	})
	a.cleanups.push("producers of callers", pool.Close)
	return pool
}

// passThrough says in package auth's words what callers log in to Kafka with.
func passThrough(c config.Config, pool *identity.Pool) auth.PassThrough {
	if pool == nil {
		return auth.PassThrough{}
	}
	p := c.Auth.PassThrough
	return auth.PassThrough{Logins: pool, Basic: strings.ToUpper(p.Basic), Bearer: p.Bearer, Claim: c.Auth.OIDC.PrincipalClaim}
}

// announced tells the producers of callers, too, that a topic was made.
type announced struct {
	*kafka.Producer
	pool *identity.Pool // nil: there are none
}

// Made tells the producers that a topic was just made.
func (p announced) Made(ctx context.Context, topic string) error {
	if p.pool != nil {
		p.pool.Made(topic)
	}
	return p.Producer.Made(ctx, topic)
}
