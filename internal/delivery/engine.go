package delivery

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// Sender makes one attempt of a delivery. It returns soon after its context
// ends, and within the subscription's timeout. What it is given is not changed.
type Sender interface {
	Send(ctx context.Context, d *stream.Delivery) stream.Attempt
}

// Pages reads records, and knows which streams there are.
type Pages interface {
	Page(ctx context.Context, r stream.PageRequest) (stream.PageAnswer, error)
	Layouts(ctx context.Context, p stream.Pattern) ([]stream.Layout, error)
}

// Offsets keeps the committed offsets of consumer groups without members.
type Offsets interface {
	// Committed gives all that the group has committed.
	Committed(ctx context.Context, group string) ([]stream.GroupOffset, error)
	Commit(ctx context.Context, group string, offsets []stream.GroupOffset) error
}

// DeadLetters stores what could not be delivered. It makes the stream where
// there is none.
type DeadLetters interface {
	Write(ctx context.Context, streamID string, m stream.Message) error
}

// Publisher publishes what an endpoint's answer asks for. An error means that
// the delivery failed; it is tried again.
type Publisher interface {
	Publish(ctx context.Context, d *stream.Delivery, records []stream.Outgoing) error
}

// Pauser pauses a subscription in the store, unless it has another revision by
// now (EtagMismatch) or is gone (UnknownSubscription).
type Pauser interface {
	Pause(ctx context.Context, id string, revision int64, reason string) error
}

// Options are what an engine needs. All functions and interfaces are required
// but Report, and Publisher where no subscription publishes.
type Options struct {
	Sender      Sender
	Pages       Pages
	Offsets     Offsets
	DeadLetters DeadLetters
	Publisher   Publisher
	Pauser      Pauser

	// Allowed is asked before every request to an endpoint and every commit. It
	// is false while this gateway may have lost its subscriptions without
	// knowing.
	Allowed func() bool
	// Filter compiles a subscription's filter.
	Filter func(text string) (stream.Filter, error)
	// Pause gives the time before the next attempt, after so many have failed
	// (at least 1).
	Pause func(r stream.Retry, failed int) time.Duration
	// ID gives the webhook-id of a delivery.
	ID func(d *stream.Delivery) string
	// Report is told how a subscription does, at most every ReportEvery and only
	// when there is news; nil: nobody is. It must return quickly.
	Report      func(id string, h stream.Health)
	ReportEvery time.Duration // 0: 5 seconds

	WindowRecords int           // of one subscription in memory; 0: 2,000
	WindowBytes   int           // of one subscription in memory; 0: 4 MiB
	MemoryBytes   int64         // of all subscriptions together; 0: 256 MiB. Beyond it each may hold 16 KiB or one record, and what it sends
	Calls         int           // commits and questions for offsets under way at a time; 0: 8
	CommitEvery   time.Duration // the shortest time between two commits of a subscription; 0: 250 ms
	Log           *slog.Logger
	Registerer    prometheus.Registerer

	// Bounds gives what partitions hold, in their order; nil: nobody is told how
	// far subscriptions are behind.
	Bounds    func(ctx context.Context, ps []stream.Partition) ([]stream.Bounds, error)
	LagEvery  time.Duration // how often that is found out; 0: 15 seconds
	LagLabels int           // subscriptions that have a lag of their own in the metrics; the others have one together
}

func (o *Options) setDefaults() {
	o.WindowRecords = or(o.WindowRecords, 2000)
	o.WindowBytes = or(o.WindowBytes, 4<<20)
	o.MemoryBytes = or(o.MemoryBytes, 256<<20)
	o.Calls = or(o.Calls, 8)
	o.CommitEvery = or(o.CommitEvery, 250*time.Millisecond)
	o.ReportEvery = or(o.ReportEvery, 5*time.Second)
	o.LagEvery = or(o.LagEvery, 15*time.Second)
}

func or[N int | int64 | time.Duration](n, otherwise N) N {
	if n == 0 {
		return otherwise
	}
	return n
}

// Engine delivers the subscriptions that it is told to own. New makes one. Its
// methods may be called by several goroutines at once.
type Engine struct {
	Options
	metrics *metrics
	memory  atomic.Int64  // bytes of records
	calls   chan struct{} // holds one for each call to Offsets that is under way
	end     chan struct{} // closed by Close
	stopLag context.CancelFunc
	upkeep  sync.WaitGroup

	mu     sync.Mutex
	owned  map[string]*owned
	closed bool
}

// New makes an engine that owns nothing yet. Close ends it.
func New(o Options) *Engine {
	o.setDefaults()
	e := &Engine{
		Options: o,
		metrics: newMetrics(o.Registerer),
		calls:   make(chan struct{}, o.Calls),
		end:     make(chan struct{}),
		owned:   map[string]*owned{},
	}
	e.measure(o.Registerer)
	e.upkeep.Go(e.keepUp)
	ctx, stop := context.WithCancel(context.Background())
	e.stopLag = stop
	if o.Bounds != nil {
		e.upkeep.Go(func() { e.watchLag(ctx) })
	}
	return e
}

// Close gives up all subscriptions, as Disown does. More calls do nothing.
func (e *Engine) Close() {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	e.closed = true
	ids := make([]string, 0, len(e.owned))
	for id := range e.owned {
		ids = append(ids, id)
	}
	e.mu.Unlock()
	e.Disown(ids...)
	e.stopLag()
	close(e.end)
	e.upkeep.Wait()
}

// The upkeep's times.
const (
	upkeepEvery  = time.Second
	rewriteEvery = time.Hour // Kafka forgets the offsets of groups without members after 7 days
)

// keepUp does what idle subscriptions need from time to time, so that they need
// no timer of their own.
func (e *Engine) keepUp() {
	t := time.NewTicker(upkeepEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			now := time.Now()
			for _, w := range e.workers() {
				w.keepUp(now)
			}
		case <-e.end:
			return
		}
	}
}

// call waits until a call to Offsets may be made. The caller calls done after
// it.
func (e *Engine) call(ctx context.Context) (done func(), err error) {
	select {
	case e.calls <- struct{}{}:
		return func() { <-e.calls }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// crowded says whether the records of all subscriptions take more than they
// should.
func (e *Engine) crowded() bool { return e.memory.Load() >= e.MemoryBytes }
