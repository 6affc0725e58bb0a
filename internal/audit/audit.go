package audit

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// How many decisions may wait where Options says nothing, how many are written
// at once, and how long the worker waits after what it wrote to failed.
const (
	queueUsual = 10_000
	batchMost  = 500
	retryEvery = time.Second
)

// Sink is what decisions are written to, as JSON objects without line ends. One
// goroutine uses it.
type Sink interface {
	// Open makes it ready; after an error it is called again.
	Open(ctx context.Context) error
	// Write writes the decisions in order, and gives those that are left to be
	// tried again, with the reason, and how many can never be written.
	Write(ctx context.Context, batch [][]byte) (left [][]byte, refused int, err error)
	// Close ends it.
	Close() error
}

// Options is what an Auditor needs.
type Options struct {
	Sink       Sink
	Kinds      []stream.AuditKind // that are audited
	Required   bool               // what cannot be audited is not done
	Queue      int                // decisions that may wait; 0: 10,000
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Auditor takes decisions. It may be used by any number of goroutines.
type Auditor struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
	slots   chan struct{} // one for each decision that waits, is written, or was admitted
	queue   chan []byte

	trouble atomic.Pointer[string] // why nothing can be written; nil: it can
	lossy   atomic.Bool            // decisions were lost, and it was told
	ctx     context.Context        // of what the sink does
	stop    context.CancelFunc
	closing chan struct{} // closed when nothing is taken any more
	ended   chan struct{} // closed when the worker has ended

	mu     sync.RWMutex // held for reading while a decision is taken, so that none comes after the last
	closed bool
}

// New makes an Auditor, which opens its sink at once and again until that is
// possible. Close ends it.
func New(o Options) *Auditor {
	if o.Queue <= 0 {
		o.Queue = queueUsual
	}
	a := &Auditor{
		o: o, log: o.Log.With(slog.String("component", "audit")), metrics: newMetrics(o.Registerer),
		slots: make(chan struct{}, o.Queue), queue: make(chan []byte, o.Queue), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	a.metrics.queued(o.Registerer, func() float64 { return float64(len(a.slots)) })
	beginning := "the audit log is not open yet"
	a.trouble.Store(&beginning)
	a.ctx, a.stop = context.WithCancel(context.Background())
	go a.run() // Close waits for it
	return a
}

// Close takes nothing more, and writes what waits, for half of the time that ctx
// has left: what comes after it needs the rest. The error says how many
// decisions are not known to be written.
func (a *Auditor) Close(ctx context.Context) error {
	a.mu.Lock()
	first := !a.closed
	a.closed = true
	a.mu.Unlock()
	if !first {
		return nil
	}
	close(a.closing)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	select {
	case <-a.ended:
	case <-ctx.Done():
	}
	a.stop()
	if n := len(a.slots); n > 0 {
		a.lose(lostStopped, n)
		return fmt.Errorf("%d audit events may not have been written: %s", n, a.Trouble())
	}
	<-a.ended
	return a.o.Sink.Close()
}

// Wants says whether decisions of a kind are audited.
func (a *Auditor) Wants(kind stream.AuditKind) bool { return slices.Contains(a.o.Kinds, kind) }

// Admit says whether what is about to be done may be. Where it is true, room is
// kept for the decision, which has to follow by Record. The error, of the code
// AuditUnavailable, is for what must not be done, because it could not be
// audited.
func (a *Auditor) Admit(kind stream.AuditKind) (admitted bool, err error) {
	if !a.o.Required || !a.Wants(kind) {
		return false, nil
	}
	if a.trouble.Load() == nil && a.reserve() {
		return true, nil
	}
	a.metrics.refused.Inc()
	e := stream.Errorf(stream.AuditUnavailable, "this gateway does nothing that it cannot audit, and its audit log cannot be written now; try again, and tell whoever runs the gateway if that goes on").
		WithOutcome(stream.NotStored)
	e.RetryAfter = retryEvery
	return false, e
}

// Record takes a decision; admitted says that Admit kept room for it. It waits
// for nothing. Where there is no room the decision is lost, which is counted.
func (a *Auditor) Record(d stream.Decision, admitted bool) {
	if !a.Wants(d.Kind) {
		if admitted {
			<-a.slots
		}
		return
	}
	if !admitted && !a.reserve() {
		a.lose(lostFull, 1)
		return
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.closed {
		<-a.slots
		a.lose(lostStopped, 1)
		return
	}
	a.queue <- encode(d) // there is room: the slot says so
}

// Trouble says why nothing can be written, "" when it can.
func (a *Auditor) Trouble() string {
	if t := a.trouble.Load(); t != nil {
		return *t
	}
	return ""
}

func (a *Auditor) reserve() bool {
	select {
	case a.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// lose counts decisions that are lost, and tells it once, until some are
// written again.
func (a *Auditor) lose(reason string, n int) {
	a.metrics.dropped.WithLabelValues(reason).Add(float64(n))
	if !a.lossy.Swap(true) {
		a.log.Error("audit events are being lost; sluice_audit_dropped_total counts them", slog.String("reason", reason))
	}
}
