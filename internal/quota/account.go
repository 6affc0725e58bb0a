package quota

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"sluice/internal/stream"
)

// minByteBurst is how many bytes may come at once at least: as many as are read
// at once.
const minByteBurst = 64 << 10

// policy is a quota, with what its refusal says.
type policy struct {
	stream.Policy

	rate  float64 // of its unit a second; 0: it does not come with time
	burst int
	kind  kind
	named bool // it is a principal's
}

// kind is what a quota is of.
type kind int

const (
	ofRequests kind = iota
	ofBytes
	ofStreams
	ofConnections
	ofFailures
)

// class is the quotas of some accounts. nil: any number.
type class struct{ requests, bytes, streams, connections, failures *policy }

// The parties, which begin the names of their quotas.
const (
	addresses  = "address"
	principals = "principal"
)

func newClass(party string, l Limits) *class {
	burst := l.Burst
	if burst <= 0 {
		burst = l.Requests
	}
	named := party == principals
	timed := func(k kind, name, unit string, perSecond int64, burst int) *policy {
		if perSecond <= 0 {
			return nil
		}
		p := stream.Policy{Name: party + "-" + name, Quota: int64(burst), Unit: unit, Window: ceilDivide(int64(burst), perSecond)}
		return &policy{p, float64(perSecond), burst, k, named}
	}
	counted := func(k kind, name string, most int) *policy {
		if most <= 0 {
			return nil
		}
		return &policy{stream.Policy{Name: party + "-" + name, Quota: int64(most), Unit: "concurrent-requests"}, 0, most, k, named}
	}
	return &class{
		requests:    timed(ofRequests, "requests", "", int64(l.Requests), burst),
		bytes:       timed(ofBytes, "bytes", "content-bytes", l.Bytes, int(max(l.Bytes, minByteBurst))),
		failures:    timed(ofFailures, "failures", "", int64(l.Failures), failureBurst*l.Failures),
		streams:     counted(ofStreams, "streams", l.Streams),
		connections: counted(ofConnections, "connections", l.Connections),
	}
}

// failureBurst is for how many seconds' worth of failures an address has at
// once: behind it there may be several callers, whose tokens end together.
const failureBurst = 10

func ceilDivide(a, b int64) int64 { return (a + b - 1) / b }

// limited says whether there is any quota.
func (c *class) limited() bool { return *c != class{} }

// words says what is used up, and what to do.
func (p *policy) words(t *stream.Tab) string {
	whose := "your address"
	if p.named {
		whose = t.Principal
	}
	switch p.kind {
	case ofBytes:
		return fmt.Sprintf("the quota of %s, %s bytes of bodies a second, is used up; wait as long as Retry-After says, then send less, or as lines of application/x-ndjson, which are slowed down instead", whose, strconv.FormatInt(int64(p.rate), 10))
	case ofStreams:
		return fmt.Sprintf("%s has %d streams open, which is the quota; close one, or wait as long as Retry-After says and try again", whose, p.Quota)
	case ofFailures:
		return "too many requests from your address had no good credentials; wait as long as Retry-After says, and send good ones"
	}
	return fmt.Sprintf("the quota of %s, %s requests a second, is used up; wait as long as Retry-After says, then go on more slowly", whose, strconv.FormatInt(int64(p.rate), 10))
}

// account is what one principal or one address has left. The lock of its shard
// is held by whoever uses it.
type account struct {
	class                     *class
	requests, bytes, failures *bucket       // nil: any number
	streams, connections      int64         // open now
	seen                      time.Duration // when it was used last, by the book's clock
}

func newAccount(c *class, now time.Duration) *account {
	return &account{class: c, requests: newBucket(c.requests, now), bytes: newBucket(c.bytes, now), failures: newBucket(c.failures, now)}
}

// full says whether the account is as good as new.
func (a *account) full(now time.Duration) bool {
	return !a.open() && a.requests.full(now) && a.bytes.full(now) && a.failures.full(now)
}

// open says whether something is open, so that the account must be kept.
func (a *account) open() bool { return a.streams > 0 || a.connections > 0 }

// admit counts a request, and notes how the quotas stand. Where one is used up
// it gives which, and how long to wait until all of them let it pass.
func (a *account) admit(now time.Duration, t *stream.Tab) (over *policy, wait time.Duration) {
	buckets := [...]*bucket{a.failures, a.requests, a.bytes}
	if !t.Body {
		buckets[2] = nil
	}
	for _, b := range buckets {
		if b == nil {
			continue
		}
		if lack := b.lack(now); lack > wait {
			over, wait = b.policy, lack
		}
	}
	if over == nil {
		a.requests.take(now, 1)
	}
	for _, b := range buckets {
		if b == nil || b == a.failures && b.lack(now) == 0 { // who has no fault need not hear of it
			continue
		}
		s := b.standing(now)
		s.Over = over != nil && s.Left == 0
		t.Standings = append(t.Standings, s)
	}
	return over, wait
}

// spend counts bytes, and notes in the tab how their quota stands.
func (a *account) spend(now time.Duration, t *stream.Tab, n int) (wait time.Duration) {
	if a.bytes == nil {
		return 0
	}
	a.bytes.take(now, n)
	for i := range t.Standings {
		if t.Standings[i].Policy == &a.bytes.policy.Policy {
			t.Standings[i] = a.bytes.standing(now)
		}
	}
	return a.bytes.lack(now)
}

// bucket has tokens, of which so many come a second and so many fit in. It can
// owe any number: what was read was read. It is no rate.Limiter, which owes no
// more than fits in, and locks, where a lock is held, ten times for a request.
type bucket struct {
	policy *policy
	tokens float64
	at     time.Duration // when it had them
}

// almost is what rounding may take of a token.
const almost = 1e-6

func newBucket(p *policy, now time.Duration) *bucket {
	if p == nil {
		return nil
	}
	return &bucket{p, float64(p.burst), now}
}

// fill adds what has come since the last time.
func (b *bucket) fill(now time.Duration) {
	if now > b.at {
		b.tokens = min(float64(b.policy.burst), b.tokens+(now-b.at).Seconds()*b.policy.rate)
		b.at = now
	}
}

func (b *bucket) full(now time.Duration) bool {
	if b == nil {
		return true
	}
	b.fill(now)
	return b.tokens >= float64(b.policy.burst)-almost
}

// take takes tokens, also those that are not there yet.
func (b *bucket) take(now time.Duration, n int) {
	if b != nil {
		b.fill(now)
		b.tokens -= float64(n)
	}
}

// lack gives how long it takes until there is a token; 0: there is one.
func (b *bucket) lack(now time.Duration) time.Duration {
	b.fill(now)
	missing := 1 - b.tokens
	if missing <= almost {
		return 0
	}
	return time.Duration(math.Ceil(missing / b.policy.rate * float64(time.Second)))
}

// standing gives how the bucket stands. A client that divides what is left by
// the time gets no more than the rate.
func (b *bucket) standing(now time.Duration) stream.Standing {
	lack := b.lack(now)
	left := math.Floor(max(0, b.tokens+almost))
	return stream.Standing{
		Policy: &b.policy.Policy, Left: int64(left),
		Reset: max(lack, time.Duration(left/b.policy.rate*float64(time.Second))),
	}
}
