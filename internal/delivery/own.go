package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"sluice/internal/stream"
)

// disownTime bounds how long giving up a subscription takes: Kafka waits for it
// before others get it.
const disownTime = 2 * time.Second

// owned is a subscription and the worker that carries it out. One goroutine at
// a time brings the worker to what is wanted.
type owned struct {
	want    *stream.Subscription // nil: nothing
	worker  *worker
	working bool
	drop    bool          // the worker was given up
	drain   bool          // nothing new is begun
	settled chan struct{} // closed when a worker has been given up
}

// Own takes a subscription over: its group's committed offsets say where it
// goes on. It returns at once. Owning it again is an Update.
func (e *Engine) Own(sub *stream.Subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	o := e.owned[sub.ID]
	if o == nil {
		o = &owned{settled: make(chan struct{})}
		e.owned[sub.ID] = o
	}
	// One revision may come with other streams: those that its owner may read.
	if w := o.want; w != nil && (sub.Revision < w.Revision || sub.Revision == w.Revision && sub.Streams.Key() == w.Streams.Key()) {
		return
	}
	o.want = sub
	e.settle(sub.ID, o)
}

// Update takes a subscription's new revision, and does nothing when it is not
// owned or the revision is not new. Changes of what is read or of the order
// begin anew from what is committed; others hold from the next attempt on.
func (e *Engine) Update(sub *stream.Subscription) {
	e.mu.Lock()
	o := e.owned[sub.ID]
	unwanted := o == nil || o.want == nil
	e.mu.Unlock()
	if !unwanted {
		e.Own(sub)
	}
}

// Disown gives subscriptions up: attempts under way are cancelled, what is
// complete is committed. It returns when that is done, and within 3 seconds;
// nothing is sent or committed for them afterwards. What Drain is called for
// before is not cancelled, and so is not delivered again by others.
func (e *Engine) Disown(ids ...string) {
	var wait []chan struct{}
	e.mu.Lock()
	for _, id := range ids {
		if o := e.owned[id]; o != nil {
			o.want, o.drop = nil, true
			e.settle(id, o)
			wait = append(wait, o.settled)
		}
	}
	e.mu.Unlock()
	late := time.NewTimer(disownTime + time.Second) // each worker keeps to disownTime
	defer late.Stop()
	for _, settled := range wait {
		select {
		case <-settled:
		case <-late.C:
			return
		}
	}
}

// Drain lets the deliveries of subscriptions that are under way end, and begins
// no others for them from now on, until they are given up by Disown. It returns
// when they have ended and are committed, or when ctx ends.
func (e *Engine) Drain(ctx context.Context, ids ...string) {
	var ws []*worker
	e.mu.Lock()
	for _, id := range ids {
		if o := e.owned[id]; o != nil {
			o.drain = true
			if o.worker != nil {
				ws = append(ws, o.worker)
			}
		}
	}
	e.mu.Unlock()
	drained := make([]<-chan struct{}, len(ws))
	for i, w := range ws { // all of them, before the first is waited for
		drained[i] = w.drain()
	}
	for i, w := range ws {
		select {
		case <-drained[i]:
		case <-w.ctx.Done(): // it was given up
		case <-ctx.Done():
			return
		}
	}
}

// settle has a goroutine bring the worker to what is wanted. e.mu is held.
func (e *Engine) settle(id string, o *owned) {
	if o.working {
		return
	}
	if o.worker != nil && o.want != nil && !o.drop && o.worker.takes(o.want) {
		return
	}
	o.working = true
	go e.bring(id, o)
}

func (e *Engine) bring(id string, o *owned) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		want, old := o.want, o.worker
		if old != nil && want != nil && !o.drop && old.takes(want) {
			break
		}
		if old != nil {
			e.mu.Unlock()
			old.stop()
			e.mu.Lock()
			o.worker = nil
			continue
		}
		if o.drop {
			o.drop, o.drain = false, false
			close(o.settled)
			o.settled = make(chan struct{})
		}
		if want == nil {
			delete(e.owned, id)
			break
		}
		o.worker = e.start(want)
		if o.drain {
			o.worker.drain()
		}
	}
	o.working = false
}

// workers lists those that run.
func (e *Engine) workers() []*worker {
	e.mu.Lock()
	defer e.mu.Unlock()
	ws := make([]*worker, 0, len(e.owned))
	for _, o := range e.owned {
		if o.worker != nil {
			ws = append(ws, o.worker)
		}
	}
	return ws
}

func (e *Engine) worker(id string) *worker {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.owned[id]; o != nil {
		return o.worker
	}
	return nil
}

// Owned lists the ids of the subscriptions that the engine owns, sorted.
func (e *Engine) Owned() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids := make([]string, 0, len(e.owned))
	for id, o := range e.owned {
		if o.want != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// sameWork says whether a new revision can be carried out without beginning
// anew.
func sameWork(a, b *stream.Subscription) bool {
	return a.Group == b.Group && a.Streams.Key() == b.Streams.Key() && a.Filter == b.Filter &&
		a.Ordering == b.Ordering && a.Batch == b.Batch && a.DeadLetter == b.DeadLetter &&
		a.Generation == b.Generation && a.Redrive.Generation == b.Redrive.Generation
}

// endpointChanged says whether what was learnt of the endpoint still holds.
func endpointChanged(a, b *stream.Subscription) bool {
	return a.Endpoint.URL != b.Endpoint.URL || !slices.EqualFunc(a.Endpoint.Headers, b.Endpoint.Headers,
		func(x, y stream.Header) bool { return x.Name == y.Name && string(x.Value) == string(y.Value) })
}

// group waits for goroutines, but not for ever.
type group struct{ sync.WaitGroup }

// waitFor gives false when they have not all ended after d.
func (g *group) waitFor(d time.Duration) bool {
	done := make(chan struct{})
	go func() { g.Wait(); close(done) }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
