package identity

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"sluice/internal/stream"
)

// Why a producer ends, as labels.
const (
	endIdle    = "idle"
	endRoom    = "room"
	endToken   = "token_ended"
	endRefused = "refused"
	endStop    = "stop"
)

// suspectPause is the shortest time between two questions whether Kafka still
// takes the login of a producer.
const suspectPause = time.Second

// entry is one producer in the pool.
type entry struct {
	account  digest
	producer Producer
	identity atomic.Pointer[identity] // the one that ends last
	inFlight atomic.Int64             // records without a report, and who is about to send; grows under the pool's lock alone
	used     atomic.Int64             // when it was last wanted, in nanoseconds since 1970
	asked    atomic.Int64             // when its login was last suspected
	refused  atomic.Pointer[stream.Error]
}

// add makes a producer for the login, where another one has to go if there is
// no room. Somebody may have made it meanwhile.
func (p *Pool) add(i *identity) error {
	if reserved, err := p.reserve(i.account); err != nil || !reserved {
		return err
	}
	e := &entry{account: i.account}
	e.identity.Store(i)
	e.used.Store(time.Now().UnixNano())
	var err error
	if e.producer, err = p.o.Kafka.Open(i.login, func() { p.suspect(e) }); err != nil {
		p.release()
		return err
	}
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.entries[e.account] = e
	}
	p.mu.Unlock()
	p.metrics.opened.Inc()
	if closed {
		p.end(p.context, e, endStop)
		return stopping()
	}
	p.log.Debug("producer of a caller opened", slog.Any("login", i.login))
	return nil
}

// reserve finds room for a producer, unless the account has one.
func (p *Pool) reserve(account digest) (reserved bool, err error) {
	for {
		p.mu.Lock()
		switch {
		case p.closed:
			p.mu.Unlock()
			return false, stopping()
		case p.entries[account] != nil:
			p.mu.Unlock()
			return false, nil
		case p.open < p.o.Producers:
			p.open++
			p.metrics.producers.Set(float64(p.open))
			p.mu.Unlock()
			return true, nil
		}
		oldest := p.oldestIdle()
		if oldest != nil {
			delete(p.entries, oldest.account)
		}
		p.mu.Unlock()
		if oldest == nil {
			p.metrics.full.Inc()
			return false, full()
		}
		p.end(p.context, oldest, endRoom)
	}
}

func (p *Pool) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	p.metrics.producers.Set(float64(p.open))
}

// oldestIdle gives the producer that was not wanted for the longest time, of
// those that have no records; nil: all have. The lock is held.
func (p *Pool) oldestIdle() (oldest *entry) {
	for _, e := range p.entries {
		if e.inFlight.Load() == 0 && (oldest == nil || e.used.Load() < oldest.used.Load()) {
			oldest = e
		}
	}
	return oldest
}

// end closes a producer that nobody finds any more.
func (p *Pool) end(ctx context.Context, e *entry, why string) {
	if why != endStop {
		limit := closeTimeout
		if why == endRefused {
			limit = refusedTimeout
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if err := e.producer.Close(ctx); err != nil {
		p.log.Warn("records of a caller were given up", slog.String("reason", why), slog.Any("error", err))
	}
	p.release()
	p.metrics.closed.WithLabelValues(why).Inc()
}

// sweep closes what is idle or has ended, until the pool is closed.
func (p *Pool) sweep() {
	tick := time.NewTicker(min(max(p.o.Idle/4, minSweep), maxSweep))
	defer tick.Stop()
	for {
		select {
		case <-p.context.Done():
			return
		case now := <-tick.C:
			for e, why := range p.over(now) {
				p.end(p.context, e, why)
			}
			p.verdicts.expire(now)
		}
	}
}

// over takes the producers out that are to be closed, and says why.
func (p *Pool) over(now time.Time) map[*entry]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ended := map[*entry]string{}
	for account, e := range p.entries {
		switch {
		case e.inFlight.Load() > 0:
			continue
		case e.identity.Load().login.Ended(now):
			ended[e] = endToken
		case now.Sub(time.Unix(0, e.used.Load())) >= p.o.Idle:
			ended[e] = endIdle
		default:
			continue
		}
		delete(p.entries, account)
	}
	return ended
}

// follow takes over a login of the same account that ends later.
func (e *entry) follow(l *stream.Login) {
	for {
		now := e.identity.Load()
		if !now.login.Expires.Before(l.Expires) || now.login.Expires.IsZero() {
			return
		}
		next := *now
		next.login = l
		next.secret = now.pool.digest(l.Mechanism, l.User, l.Reveal())
		if e.identity.CompareAndSwap(now, &next) {
			e.producer.Follow(l)
			return
		}
	}
}

// suspect asks Kafka whether it still takes the producer's login, and ends the
// producer if not: its password may have been changed.
func (p *Pool) suspect(e *entry) {
	now, last := time.Now().UnixNano(), e.asked.Load()
	if now-last < int64(suspectPause) || !e.asked.CompareAndSwap(last, now) {
		return
	}
	if p.begin() {
		go func() {
			defer p.running.Done()
			p.ask(e)
		}()
	}
}

func (p *Pool) ask(e *entry) {
	i := e.identity.Load()
	p.verdicts.forget(i.secret)
	_ = p.confirm(p.context, i) // which dismisses it if it has to
}

// dismiss ends the producer whose login Kafka has just refused, if there is one.
func (p *Pool) dismiss(i *identity, err *stream.Error) {
	p.mu.Lock()
	e := p.entries[i.account]
	found := e != nil && e.identity.Load().secret == i.secret
	if found {
		delete(p.entries, i.account)
	}
	p.mu.Unlock()
	if found {
		e.refused.Store(err)
		p.log.Info("kafka does not take the login of a caller's producer any more", slog.Any("login", i.login))
		p.end(p.context, e, endRefused)
	}
}

// reason says of a record that was given up with a refused producer why.
func (e *entry) reason(err error) error {
	why := e.refused.Load()
	given, ours := errors.AsType[*stream.Error](err)
	if !ours || why == nil || given.Code != stream.KafkaUnavailable || given.Outcome != stream.NotStored {
		return err
	}
	return notStored(why)
}

func stopping() *stream.Error {
	return stream.Errorf(stream.KafkaUnavailable, "the gateway is stopping; nothing was stored, send it again")
}
