package delivery

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"sluice/internal/stream"
)

// maxUncommitted bounds what a crash may repeat when commits fail: deliveries
// wait beyond so many complete records.
const maxUncommitted = 10_000

// worker carries out one subscription. Its state is behind mu; whoever changes
// it calls pump, which starts what can be started. While nothing happens it is
// one goroutine, which waits for a page.
type worker struct {
	e      *Engine
	log    *slog.Logger
	ctx    context.Context // ends when the subscription is given up
	cancel context.CancelFunc
	work   group

	mu       sync.Mutex
	sub      *stream.Subscription
	filter   stream.Filter
	stopping bool // nothing new is begun
	sealed   bool // nothing that ends now counts any more
	paused   bool
	drained  chan struct{} // closed when nothing is under way any more; nil: nobody waits for that
	taken    bool          // the group's offsets are known

	main    *source
	again   *source                                 // the dead-letter stream, while it is redriven
	old     map[stream.Partition]stream.GroupOffset // what the group has committed in partitions that are not read
	lanes   map[laneKey]*lane
	retries retries
	turn    int // which partition's turn it is to begin a delivery

	throttle throttle
	inFlight int
	timer    *time.Timer
	due      time.Time // when the timer is to run; zero: never

	committing  bool
	rewrite     bool      // commit all positions, changed or not
	lastCommit  time.Time // begun
	lastRewrite time.Time
	commitPause time.Duration
	uncommitted int

	health health
}

// start begins to carry out a subscription.
func (e *Engine) start(sub *stream.Subscription) *worker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{
		e: e, ctx: ctx, cancel: cancel, sub: sub,
		log:    e.Log.With(slog.String("component", "delivery"), slog.String("subscription", sub.ID)),
		paused: sub.State == stream.StatePaused,
		lanes:  map[laneKey]*lane{},
	}
	w.main = newSource(w, sub.Streams, false)
	e.metrics.subscriptions.Inc()
	w.work.Go(w.run)
	return w
}

// takes carries on with a new revision, or gives false when that needs another
// worker.
func (w *worker) takes(sub *stream.Subscription) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sub == sub {
		return true
	}
	if w.stopping || !sameWork(w.sub, sub) {
		return false
	}
	if endpointChanged(w.sub, sub) {
		w.throttle = throttle{round: w.throttle.round + 1}
	}
	w.sub = sub
	if paused := sub.State == stream.StatePaused; paused != w.paused {
		w.setPaused(paused)
	}
	w.pump()
	return true
}

// setPaused stops or resumes the work. Attempts under way are let end.
func (w *worker) setPaused(paused bool) {
	w.paused = paused
	if paused {
		w.shed()
		w.stopReading()
		return
	}
	w.throttle = throttle{round: w.throttle.round + 1}
	for _, p := range w.parts() { // a resumed record has all its attempts again
		clear(p.tries)
	}
	w.wakeReaders()
}

// drain begins nothing new. The channel is closed when nothing is under way any
// more, and what is complete is committed.
func (w *worker) drain() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drained == nil {
		w.drained = make(chan struct{})
		w.noteDrained()
	}
	return w.drained
}

// noteDrained tells who waits for it that nothing is under way any more.
func (w *worker) noteDrained() {
	if w.drained == nil || w.inFlight > 0 || w.uncommitted > 0 {
		return
	}
	select {
	case <-w.drained:
	default:
		close(w.drained)
	}
}

// stop gives the subscription up, and commits what is complete.
func (w *worker) stop() {
	deadline := time.Now().Add(disownTime)
	w.mu.Lock()
	w.stopping = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.cancel()
	if !w.work.waitFor(disownTime / 2) {
		w.log.Warn("deliveries that were cancelled have not ended in time; they count as not made")
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	w.commitLast(ctx)

	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealed = true
	for _, p := range w.parts() {
		w.release(p)
	}
	w.throttle.slowed = false
	w.e.metrics.subscriptions.Dec()
}

// parts lists all partitions. mu is held.
func (w *worker) parts() []*part {
	ps := w.main.parts
	if w.again != nil {
		ps = append(slices.Clip(ps), w.again.parts...)
	}
	return ps
}

// wake lets the worker look at its state again, when the timer runs out.
func (w *worker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Time{}
	w.pump()
}

// at has the worker look at its state again at a time.
func (w *worker) at(t time.Time) {
	if !w.due.IsZero() && !t.Before(w.due) {
		return
	}
	w.due = t
	d := time.Until(t)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.wake)
		return
	}
	w.timer.Reset(d)
}

// keepUp is called every second.
func (w *worker) keepUp(now time.Time) {
	w.mu.Lock()
	if w.taken && now.Sub(w.lastRewrite) >= rewriteEvery {
		w.rewrite = true
	}
	w.pump()
	id := w.sub.ID
	report, ok := w.report(now)
	w.mu.Unlock()
	if ok && w.e.Report != nil {
		w.e.Report(id, report)
	}
}

// sleep waits, and gives false when the subscription was given up meanwhile.
func (w *worker) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}
