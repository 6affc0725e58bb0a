package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/config"
	"sluice/internal/httpapi"
	"sluice/internal/quota"
)

// newQuotas makes what counts for the quotas; nil where there are none.
func newQuotas(c config.Quotas, registry prometheus.Registerer) *quota.Book {
	if !c.On() {
		return nil
	}
	o := quota.Options{
		Principal: principalLimits(c.Principal), Registerer: registry,
		Address: quota.Limits{
			Requests: c.Address.RequestsPerSecond, Burst: c.Address.RequestBurst, Bytes: int64(c.Address.BytesPerSecond),
			Streams: c.Address.Streams, Connections: c.Address.Connections, Failures: c.Address.FailuresPerSecond,
		},
	}
	for _, p := range c.Principals {
		o.Principals = append(o.Principals, quota.Rule{Match: p.Match, Limits: principalLimits(p.PrincipalQuota)})
	}
	return quota.New(o)
}

func principalLimits(c config.PrincipalQuota) quota.Limits {
	return quota.Limits{
		Requests: c.RequestsPerSecond, Burst: c.RequestBurst, Bytes: int64(c.BytesPerSecond),
		Streams: c.Streams, Subscriptions: c.Subscriptions,
	}
}

// limitCallers has the API count what callers do, and trust proxies.
func (a *App) limitCallers(api *httpapi.Options) (err error) {
	if api.TrustedProxies, err = a.config.Proxies(); err != nil {
		return err
	}
	if a.quotas == nil {
		return nil
	}
	api.Quotas = a.quotas
	if a.config.Quotas.Address.Connections > 0 {
		a.listener = httpapi.LimitConnections(a.listener, a.quotas, api.TrustedProxies)
	}
	return nil
}

// subscriptionsOf gives how many subscriptions a principal may own; nil: any
// number.
func (a *App) subscriptionsOf() func(principal string) int {
	if a.quotas == nil {
		return nil
	}
	return a.quotas.Subscriptions
}

// plainBehindProxies says whether the gateway speaks plain HTTP to others, and
// trusts proxies to say which requests came over HTTPS.
func plainBehindProxies(c config.Config) bool {
	return !c.TLS.On() && !c.LoopbackOnly() && len(c.TrustedProxies) > 0
}
