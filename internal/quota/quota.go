package quota

import (
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// Limits are the quotas of one principal or one address. The zero value limits
// nothing, and so does each field that is 0.
type Limits struct {
	Requests    int   // a second
	Burst       int   // requests at once after a pause; 0: those of one second
	Bytes       int64 // a second, of request bodies
	Streams     int   // open at once
	Connections int   // open at once, of an address
	Failures    int   // a second, of an address: requests without good credentials

	Subscriptions int // stored, of a principal; Book only tells it
}

// Rule gives limits to principals.
type Rule struct {
	Match  string // a principal's name, or its beginning and "*"
	Limits Limits
}

// matches says whether the rule is about the principal.
func (r *Rule) matches(principal string) bool {
	start, many := strings.CutSuffix(r.Match, "*")
	return principal == r.Match || many && strings.HasPrefix(principal, start)
}

// Options is what New needs.
type Options struct {
	Address    Limits // of every address; those of IPv6 count by their network of 64 bits
	Principal  Limits // of every principal that no rule is about
	Principals []Rule // the first one that matches counts, and counts alone
	Registerer prometheus.Registerer

	Room  int                  // accounts of each kind that are kept; 0: 65,536
	Clock func() time.Duration // the time since some moment; nil: that of the process
}

// defaultRoom is how many addresses, and how many principals, are kept. With
// all their quotas they take some 30 MiB.
const defaultRoom = 1 << 16

// streamRetry is what those are told to wait who have too many streams open:
// nobody knows when one of them ends.
const streamRetry = 5 * time.Second

// Book holds the accounts of all callers. It may be used by any number of
// goroutines.
type Book struct {
	now        func() time.Duration
	addresses  *ledger[netip.Addr]
	principals *ledger[string]
	rules      []Rule
	usual      Limits // of principals
	metrics    *metrics
}

// New makes a book without accounts.
func New(o Options) *Book {
	if o.Clock == nil {
		began := time.Now()
		o.Clock = func() time.Duration { return time.Since(began) }
	}
	if o.Room <= 0 {
		o.Room = defaultRoom
	}
	b := &Book{now: o.Clock, rules: o.Principals, usual: o.Principal}
	address, usual := newClass(addresses, o.Address), newClass(principals, o.Principal)
	classes := make([]*class, len(o.Principals))
	for i := range o.Principals {
		classes[i] = newClass(principals, o.Principals[i].Limits)
	}
	b.addresses = newLedger(o.Room, func(netip.Addr) *class { return address })
	b.principals = newLedger(o.Room, func(name string) *class {
		if i := b.rule(name); i >= 0 {
			return classes[i]
		}
		return usual
	})
	b.metrics = newMetrics(o.Registerer, b)
	return b
}

// rule gives the index of the rule about a principal, -1 where there is none.
func (b *Book) rule(principal string) int {
	for i := range b.rules {
		if b.rules[i].matches(principal) {
			return i
		}
	}
	return -1
}

// Subscriptions gives how many subscriptions a principal may own; 0: any number.
func (b *Book) Subscriptions(principal string) int {
	if i := b.rule(principal); i >= 0 {
		return b.rules[i].Limits.Subscriptions
	}
	return b.usual.Subscriptions
}

// Admit counts a request for its address or its principal, and notes in the tab
// how their quotas stand. The code of the error is RateLimited: a quota is used
// up, and nothing was counted.
func (b *Book) Admit(t *stream.Tab, p stream.Party) error {
	now := b.now()
	a, unlock := b.account(t, p, now)
	if a == nil {
		return nil
	}
	over, wait := a.admit(now, t)
	unlock.Unlock()
	if over == nil {
		return nil
	}
	return b.refuse(over, wait, over.words(t))
}

// Fail counts a request whose credentials were not good, for its address.
func (b *Book) Fail(t *stream.Tab) {
	now := b.now()
	if a, unlock := b.account(t, stream.PartyAddress, now); a != nil {
		a.failures.take(now, 1)
		unlock.Unlock()
	}
}

// Spend counts bytes of a body that were read, also more than there are: then
// it gives how long it takes until they are paid for, in which no more should be
// read where that is possible.
func (b *Book) Spend(t *stream.Tab, n int) (wait time.Duration) {
	now := b.now()
	for p := stream.PartyAddress; p <= stream.PartyPrincipal; p++ {
		a, unlock := b.account(t, p, now)
		if a == nil {
			continue
		}
		wait = max(wait, a.spend(now, t, n))
		unlock.Unlock()
	}
	return wait
}

// Enter counts a stream as open, until leave is called, once. The code of the
// error is RateLimited: as many are open as may be.
func (b *Book) Enter(t *stream.Tab) (leave func(), err error) {
	address, principal := stream.Tab{Address: t.Address}, stream.Tab{Principal: t.Principal}
	if err := b.enter(t, stream.PartyAddress); err != nil {
		return nil, err
	}
	if err := b.enter(t, stream.PartyPrincipal); err != nil {
		b.leave(&address, stream.PartyAddress)
		return nil, err
	}
	return func() { // keeps who it is, not the tab
		b.leave(&address, stream.PartyAddress)
		b.leave(&principal, stream.PartyPrincipal)
	}, nil
}

func (b *Book) enter(t *stream.Tab, p stream.Party) error {
	a, unlock := b.account(t, p, b.now())
	if a == nil {
		return nil
	}
	defer unlock.Unlock()
	policy := a.class.streams
	if policy == nil {
		return nil
	}
	if a.streams >= policy.Quota {
		t.Standings = append(t.Standings, stream.Standing{Policy: &policy.Policy, Over: true})
		return b.refuse(policy, streamRetry, policy.words(t))
	}
	a.streams++
	t.Standings = append(t.Standings, stream.Standing{Policy: &policy.Policy, Left: policy.Quota - a.streams})
	return nil
}

func (b *Book) leave(t *stream.Tab, p stream.Party) {
	if a, unlock := b.account(t, p, b.now()); a != nil {
		if a.class.streams != nil {
			a.streams--
		}
		unlock.Unlock()
	}
}

// Connect counts a connection of an address as open, until leave is called,
// once. It gives false where as many are open as may be.
func (b *Book) Connect(address netip.Addr) (leave func(), ok bool) {
	t := stream.Tab{Address: address}
	a, unlock := b.account(&t, stream.PartyAddress, b.now())
	if a == nil {
		return func() {}, true
	}
	defer unlock.Unlock()
	policy := a.class.connections
	if policy == nil {
		return func() {}, true
	}
	if a.connections >= policy.Quota {
		b.metrics.refusals.WithLabelValues(policy.Name).Inc()
		return nil, false
	}
	a.connections++
	return func() {
		a, unlock := b.account(&t, stream.PartyAddress, b.now())
		a.connections--
		unlock.Unlock()
	}, true
}

// refuse makes the error for a quota that is used up.
func (b *Book) refuse(p *policy, wait time.Duration, words string) error {
	b.metrics.refusals.WithLabelValues(p.Name).Inc()
	e := stream.Errorf(stream.RateLimited, "%s", words)
	e.RetryAfter = wait
	return e
}

// account gives the account of the tab's address or principal, locked; nil,
// and nothing to unlock, where there is nobody or nothing is limited.
func (b *Book) account(t *stream.Tab, p stream.Party, now time.Duration) (*account, unlocker) {
	if p == stream.PartyPrincipal {
		if t.Principal == "" {
			return nil, nil
		}
		return b.principals.lock(t.Principal, now)
	}
	if !t.Address.IsValid() {
		return nil, nil
	}
	return b.addresses.lock(network(t.Address), now)
}

// ipv6Bits are those of a network in which one customer has all addresses.
const ipv6Bits = 64

// network gives what an address counts as.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	if p, err := a.Prefix(ipv6Bits); err == nil {
		return p.Addr()
	}
	return a
}
