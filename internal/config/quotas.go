package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Quotas are what callers may use; 0 is any amount, everywhere.
type Quotas struct {
	Principal  PrincipalQuota `yaml:"principal"`  // of each principal that none of Principals is about
	Principals []QuotaRule    `yaml:"principals"` // the first that matches counts, and counts alone
	Address    AddressQuota   `yaml:"address"`    // of each client address
}

// QuotaRule is what some principals may use.
type QuotaRule struct {
	Match          string `yaml:"match"` // a principal's name, or the beginning of names and "*"
	PrincipalQuota `yaml:",inline"`
}

// PrincipalQuota is what a principal may use.
type PrincipalQuota struct {
	RequestsPerSecond int  `yaml:"requests_per_second"`
	RequestBurst      int  `yaml:"request_burst"` // requests at once after a pause; 0: those of one second
	BytesPerSecond    Size `yaml:"bytes_per_second"`
	Streams           int  `yaml:"streams"`       // open at once
	Subscriptions     int  `yaml:"subscriptions"` // stored
}

// AddressQuota is what a client address may use.
type AddressQuota struct {
	RequestsPerSecond int  `yaml:"requests_per_second"`
	RequestBurst      int  `yaml:"request_burst"` // requests at once after a pause; 0: those of one second
	BytesPerSecond    Size `yaml:"bytes_per_second"`
	Streams           int  `yaml:"streams"`             // open at once
	Connections       int  `yaml:"connections"`         // open at once
	FailuresPerSecond int  `yaml:"failures_per_second"` // requests without good credentials
}

// On says whether any quota is configured.
func (q Quotas) On() bool {
	return q.Principal != PrincipalQuota{} || len(q.Principals) > 0 || q.Address != AddressQuota{}
}

// Proxies gives TrustedProxies as networks, an address as the network of it
// alone. The error names the first that cannot be read.
func (s Server) Proxies() ([]netip.Prefix, error) {
	return networks(s.TrustedProxies)
}

func networks(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			a = a.Unmap()
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix != prefix.Masked() {
			return nil, fmt.Errorf("%q is neither an address nor a network as CIDR writes it, such as 10.1.0.0/16 or fd00::/8", text)
		}
		list = append(list, prefix)
	}
	return list, nil
}

// maxQuota bounds quotas: a float holds a thousand times as much to the last
// token.
const maxQuota = 1_000_000_000_000

func (c Config) checkQuotas(problems *Problems) {
	if _, err := c.Proxies(); err != nil {
		problems.Add("trusted_proxies", "%v", err)
	}
	q := c.Quotas
	if !c.Authenticated() && (q.Principal != PrincipalQuota{} || len(q.Principals) > 0) {
		problems.Add("quotas", "nobody is asked who they are, so there are no principals to limit: configure `auth`, or limit addresses (quotas.address)")
	}
	q.Principal.check("quotas.principal", problems)
	for i, p := range q.Principals {
		key := fmt.Sprintf("quotas.principals[%d]", i)
		if p.Match == "" || strings.Contains(strings.TrimSuffix(p.Match, "*"), "*") {
			problems.Add(key+".match", `it is a principal's name, or the beginning of names and "*": "token:shop", "token:batch-*", "oidc:*", "*"`)
		}
		p.check(key, problems)
	}
	a := q.Address
	PrincipalQuota{
		RequestsPerSecond: a.RequestsPerSecond, RequestBurst: a.RequestBurst, BytesPerSecond: a.BytesPerSecond, Streams: a.Streams,
	}.check("quotas.address", problems)
	checkAmount("quotas.address.connections", int64(a.Connections), problems)
	checkAmount("quotas.address.failures_per_second", int64(a.FailuresPerSecond), problems)
	if a.FailuresPerSecond > 0 && !c.Authenticated() {
		problems.Add("quotas", "nobody is asked for credentials, so none can fail (failures_per_second): remove it, or configure `auth`")
	}
}

func (q PrincipalQuota) check(key string, problems *Problems) {
	checkAmount(key+".requests_per_second", int64(q.RequestsPerSecond), problems)
	checkAmount(key+".bytes_per_second", int64(q.BytesPerSecond), problems)
	checkAmount(key+".streams", int64(q.Streams), problems)
	checkAmount(key+".subscriptions", int64(q.Subscriptions), problems)
	if q.RequestBurst != 0 && (q.RequestsPerSecond == 0 || q.RequestBurst < q.RequestsPerSecond) {
		problems.Add(key+".requests_per_second", "it is missing, or above request_burst, which is how many may come at once after a pause")
	}
}

func checkAmount(key string, amount int64, problems *Problems) {
	if amount < 0 || amount > maxQuota {
		problems.Add(key, "it is from 1 to %d, or 0 for any amount", int64(maxQuota))
	}
}
