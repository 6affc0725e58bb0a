package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"sluice/internal/stream"
)

// Kafka is where callers log in.
type Kafka interface {
	// Confirm logs in and out again. Codes: stream.Unauthenticated for a login
	// that Kafka does not take, any other where that is not known.
	Confirm(ctx context.Context, l *stream.Login) error
	// Open makes a producer that is logged in so. Where Kafka seems to refuse it
	// later, suspect is called, on any goroutine.
	Open(l *stream.Login, suspect func()) (Producer, error)
}

// Producer publishes as somebody.
type Producer interface {
	stream.Sender
	// Follow hands over a login of the same account, which ends later.
	Follow(l *stream.Login)
	// Anew tells that a topic was made, perhaps in the place of another one.
	Anew(topic string)
	// Close waits for what was queued until ctx ends, and gives up the rest.
	Close(ctx context.Context) error
}

// Options is what a Pool needs. The durations are above 0.
type Options struct {
	Kafka      Kafka
	Producers  int           // how many there are at most, at least 1
	Idle       time.Duration // after how long without records one is closed
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Bounds of closing, and where Kafka refuses the login; and of the looks for
// what is idle.
const (
	closeTimeout   = 10 * time.Second
	refusedTimeout = 2 * time.Second
	maxSweep       = 30 * time.Second
	minSweep       = 100 * time.Millisecond
)

// Pool has the producers of callers. It may be used by any number of goroutines.
type Pool struct {
	o        Options
	log      *slog.Logger
	metrics  *metrics
	key      [sha256.Size]byte // of the digests
	verdicts verdicts

	mu      sync.RWMutex
	entries map[digest]*entry
	open    int // producers that are there, those that are being made or closed too
	closed  bool

	opening singleflight.Group
	context context.Context // ends with Close; of questions that nobody waits for any more
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New makes a pool without producers. Close ends it.
func New(o Options) *Pool {
	p := &Pool{o: o, log: o.Log.With(slog.String("component", "identity")), metrics: newMetrics(o.Registerer), entries: map[digest]*entry{}}
	p.verdicts = newVerdicts()
	rand.Read(p.key[:])
	p.context, p.stop = context.WithCancel(context.Background())
	p.running.Go(p.sweep)
	return p
}

// digest stands for credentials.
type digest [sha256.Size]byte

// digest gives what nobody can find the parts from.
func (p *Pool) digest(parts ...string) (d digest) {
	h := hmac.New(sha256.New, p.key[:])
	for _, part := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	h.Sum(d[:0])
	return d
}

// LogIn asks Kafka whether the login is good, unless that is known, and gives
// what publishes with it. Codes: Unauthenticated; Overloaded where too many ask;
// KafkaUnavailable.
func (p *Pool) LogIn(ctx context.Context, l *stream.Login) (stream.Sender, error) {
	i := p.identity(l)
	if err := p.confirm(ctx, i); err != nil {
		return nil, err
	}
	return i, nil
}

// Later is LogIn for who is known otherwise: Kafka is asked at the first record.
func (p *Pool) Later(l *stream.Login) stream.Sender { return p.identity(l) }

// identity is a login in this pool.
type identity struct {
	pool    *Pool
	login   *stream.Login
	secret  digest // of this login: what is known of it
	account digest // of its producer
}

func (p *Pool) identity(l *stream.Login) *identity {
	i := &identity{pool: p, login: l, secret: p.digest(l.Mechanism, l.User, l.Reveal())}
	i.account = i.secret
	if l.Account != "" {
		i.account = p.digest("account", l.Mechanism, l.Account)
	}
	return i
}

// Send queues a record with the login's own producer, which it makes if there is
// none. Codes, besides those of the producer: Unauthenticated; Overloaded where
// there is no room for one more.
func (i *identity) Send(m *stream.Message, delivered func(stream.Report, error)) error {
	e, err := i.pool.enter(i)
	if err != nil {
		return notStored(err)
	}
	err = e.producer.Send(m, func(r stream.Report, err error) {
		e.inFlight.Add(-1)
		delivered(r, e.reason(err))
	})
	if err != nil {
		e.inFlight.Add(-1)
	}
	return e.reason(err)
}

// enter gives the login's producer, which stays until inFlight is less by 1.
func (p *Pool) enter(i *identity) (*entry, error) {
	const tries = 3 // one that was just made may be closed before we come in
	for range tries {
		if i.login.Ended(time.Now()) {
			return nil, refused(i.login)
		}
		if e := p.find(i.account); e != nil {
			e.follow(i.login)
			return e, nil
		}
		if err := p.confirm(p.context, i); err != nil {
			return nil, err
		}
		if _, err, _ := p.opening.Do(string(i.account[:]), func() (any, error) { return nil, p.add(i) }); err != nil {
			return nil, err
		}
	}
	return nil, full()
}

func (p *Pool) find(account digest) *entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	e := p.entries[account]
	if e != nil {
		e.inFlight.Add(1)
		e.used.Store(time.Now().UnixNano())
	}
	return e
}

// Made tells all producers that a topic was made.
func (p *Pool) Made(topic string) {
	p.mu.RLock()
	var all []*entry
	for _, e := range p.entries {
		e.inFlight.Add(1)
		all = append(all, e)
	}
	p.mu.RUnlock()
	var told sync.WaitGroup
	for _, e := range all {
		told.Go(func() {
			e.producer.Anew(topic)
			e.inFlight.Add(-1)
		})
	}
	told.Wait()
}

// Close waits until all producers have reported what was queued, at most until
// ctx ends, and closes them. Nothing can be sent from then on.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	entries := p.entries
	p.entries = map[digest]*entry{}
	p.mu.Unlock()
	p.stop()
	for _, e := range entries {
		p.running.Go(func() { p.end(ctx, e, endStop) })
	}
	p.running.Wait()
	return nil
}

func notStored(err error) error {
	if e, ok := errors.AsType[*stream.Error](err); ok {
		own := *e
		return own.WithOutcome(stream.NotStored)
	}
	return err
}

func refused(l *stream.Login) *stream.Error {
	if l.Ended(time.Now()) {
		return stream.Errorf(stream.Unauthenticated, "the token has ended; get a new one, and send it in the header Authorization")
	}
	return stream.Errorf(stream.Unauthenticated, "Kafka does not take these credentials; send the right ones in the header Authorization")
}

func full() *stream.Error {
	e := stream.Errorf(stream.Overloaded, "too many callers publish under their own identity just now; try again a little later")
	e.RetryAfter = time.Second
	return e
}
