package identity

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"sluice/internal/stream"
)

// What is known of credentials: for how long, of how many, and how many
// questions Kafka is asked at once, each for how long at most.
const (
	goodFor     = 5 * time.Minute
	badFor      = 10 * time.Second
	maxVerdicts = 10_000 // of each kind
	maxQuestion = 16
	askTimeout  = 10 * time.Second
)

// verdicts remembers whether Kafka takes credentials, which are digests here.
// Those it takes and those it refuses have room of their own, so that a flood of
// wrong ones forgets no right one.
type verdicts struct {
	mu    sync.Mutex
	good  map[digest]verdict
	bad   map[digest]verdict
	asks  singleflight.Group
	slots chan struct{}
}

type verdict struct {
	until time.Time
	user  string
}

func newVerdicts() verdicts {
	return verdicts{good: map[digest]verdict{}, bad: map[digest]verdict{}, slots: make(chan struct{}, maxQuestion)}
}

// confirm says whether Kafka takes the login. All who ask about it at once share
// one question, which ends with the pool and not with any of them.
func (p *Pool) confirm(ctx context.Context, i *identity) error {
	if good, known := p.verdicts.of(i.secret, time.Now()); known {
		if !good {
			p.metrics.confirmations.WithLabelValues("remembered").Inc()
			return refused(i.login)
		}
		return nil
	}
	if i.login.Ended(time.Now()) {
		return refused(i.login)
	}
	answer := p.verdicts.asks.DoChan(string(i.secret[:]), func() (any, error) { return nil, p.question(i) })
	select {
	case a := <-answer:
		return a.Err
	case <-ctx.Done():
		return unknown(context.Cause(ctx))
	}
}

// question asks Kafka, and remembers what it says.
func (p *Pool) question(i *identity) error {
	if !p.begin() {
		return stopping()
	}
	defer p.running.Done()
	ctx, cancel := context.WithTimeout(p.context, askTimeout)
	defer cancel()
	select {
	case p.verdicts.slots <- struct{}{}:
		defer func() { <-p.verdicts.slots }()
	case <-ctx.Done():
		p.metrics.confirmations.WithLabelValues("failed").Inc()
		return full()
	}
	err := p.o.Kafka.Confirm(ctx, i.login)
	switch {
	case err == nil:
		p.metrics.confirmations.WithLabelValues("confirmed").Inc()
		p.verdicts.accept(i, time.Now())
	case stream.CodeOf(err) == stream.Unauthenticated:
		p.metrics.confirmations.WithLabelValues("refused").Inc()
		p.verdicts.refuse(i, time.Now())
		refusal := refused(i.login).Because(err)
		if p.begin() {
			go func() {
				defer p.running.Done()
				p.dismiss(i, refusal)
			}()
		}
		return refusal
	default:
		p.metrics.confirmations.WithLabelValues("failed").Inc()
	}
	return err
}

// begin adds to what Close waits for, unless that has begun.
func (p *Pool) begin() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.closed {
		p.running.Add(1)
	}
	return !p.closed
}

// of says what is known of credentials.
func (v *verdicts) of(secret digest, now time.Time) (good, known bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if found, ok := v.good[secret]; ok && now.Before(found.until) {
		return true, true
	}
	found, ok := v.bad[secret]
	return false, ok && now.Before(found.until)
}

// accept remembers good credentials. Those that the same user had until now may
// not be good any more, as after a change of the password: they are asked about
// again.
func (v *verdicts) accept(i *identity, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	user := i.login.Mechanism + " " + i.login.User
	if _, again := v.good[i.secret]; !again && i.login.Account == "" {
		for secret, other := range v.good {
			if other.user == user {
				v.good[secret] = verdict{now, user} // it stays known, else two good ones would take turns
			}
		}
	}
	delete(v.bad, i.secret)
	until := now.Add(goodFor)
	if e := i.login.Expires; !e.IsZero() && e.Before(until) {
		until = e
	}
	makeRoom(v.good, now)
	v.good[i.secret] = verdict{until, user}
}

func (v *verdicts) refuse(i *identity, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.good, i.secret)
	makeRoom(v.bad, now)
	v.bad[i.secret] = verdict{until: now.Add(badFor)}
}

// forget has Kafka asked the next time.
func (v *verdicts) forget(secret digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if found, ok := v.good[secret]; ok {
		found.until = time.Time{}
		v.good[secret] = found
	}
}

// expire drops what is known no longer.
func (v *verdicts) expire(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	drop(v.good, now.Add(-goodFor)) // a while later, see accept
	drop(v.bad, now)
}

func drop(known map[digest]verdict, before time.Time) {
	for secret, found := range known {
		if found.until.Before(before) {
			delete(known, secret)
		}
	}
}

// makeRoom lets some go where there are too many, whichever: they are asked about
// again. Several at a time, for each look at all of them takes a while.
func makeRoom(known map[digest]verdict, now time.Time) {
	if len(known) < maxVerdicts {
		return
	}
	drop(known, now)
	for secret := range known {
		if len(known) <= maxVerdicts*9/10 {
			return
		}
		delete(known, secret)
	}
}

func unknown(cause error) *stream.Error {
	e := stream.Errorf(stream.KafkaUnavailable, "Kafka was not asked in time whether it takes these credentials; nothing was done, try again").Because(cause)
	e.RetryAfter = time.Second
	return e
}
