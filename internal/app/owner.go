package app

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice/internal/delivery"
	"sluice/internal/kafka"
	"sluice/internal/stream"
	"sluice/internal/subscriptions"
)

// How long one look at the subscriptions, or one report, may take, when a look
// that failed is tried again, and how many reports may wait. One that finds no
// room is left out: there is another soon.
const (
	ownTimeout    = 10 * time.Second
	ownRetry      = time.Second
	ownPauses     = 10                     // after a look it waits so many times as long as that took,
	ownPause      = 250 * time.Millisecond // and this at most
	reportsQueued = 1024
	// revokeGrace is how long deliveries under way may take to end when their
	// share goes to another gateway; with what giving up takes (2 seconds) it
	// makes kafka.RevokeTimeout.
	revokeGrace = time.Second
	// forgetTimeout is for the offsets of all subscriptions that are found
	// deleted at once: a share that is revoked meanwhile waits for it.
	forgetTimeout = time.Second
)

// owner keeps what the engine delivers equal to the subscriptions in this
// gateway's shares.
type owner struct {
	store  *subscriptions.Store
	forget func(ctx context.Context, group string) error // its offsets
	engine *delivery.Engine
	rights rights
	fleet  *kafka.Fleet
	log    *slog.Logger

	mu     sync.Mutex // held while the engine is given subscriptions, or gives them up
	shares map[int32]bool
	groups map[string]string // of what the engine was given, by id
	closed bool              // nothing is taken over any more

	wake    chan struct{}
	reports chan report
	running sync.WaitGroup
	ctx     context.Context // ends with close
	stop    context.CancelFunc
}

type report struct {
	id     string
	health stream.Health
}

func newOwner(store *subscriptions.Store, may rights, log *slog.Logger) *owner {
	o := &owner{store: store, rights: may, log: log, shares: map[int32]bool{}, groups: map[string]string{}, wake: make(chan struct{}, 1), reports: make(chan report, reportsQueued)}
	o.ctx, o.stop = context.WithCancel(context.Background())
	return o
}

func (o *owner) start() {
	o.running.Go(o.watch)
	o.running.Go(o.tell)
	o.fleet.Start()
}

// close ends the deliveries and leaves the fleet, which gives up all shares.
// Those under way may take half of the time that ctx has left to end, while the
// shares are still this gateway's: what was answered is committed before others
// go on, so that a gateway that is asked to stop has nothing repeated.
func (o *owner) close(ctx context.Context) {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	if deadline, ok := ctx.Deadline(); ok {
		grace, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
		o.engine.Drain(grace, o.engine.Owned()...)
		cancel()
	}
	o.fleet.Close()
	o.stop()
	o.running.Wait()
}

// assigned takes shares over.
func (o *owner) assigned(partitions []int32) {
	o.mu.Lock()
	for _, p := range partitions {
		o.shares[p] = true
	}
	o.mu.Unlock()
	o.ask()
}

// ask has all subscriptions looked at soon: shares or rights have changed.
func (o *owner) ask() {
	select {
	case o.wake <- struct{}{}:
	default: // it will look already
	}
}

// revoked gives up shares, and returns when nothing is done for them any more.
func (o *owner) revoked(partitions []int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range partitions {
		delete(o.shares, p)
	}
	leaving := slices.DeleteFunc(o.engine.Owned(), func(id string) bool { return o.shares[shareOf(id)] })
	if o.fleet.Alive() { // else they may be delivered by another already
		grace, cancel := context.WithTimeout(o.ctx, revokeGrace)
		o.engine.Drain(grace, leaving...)
		cancel()
	}
	o.engine.Disown(leaving...)
}

func shareOf(id string) int32 { return kafka.PartitionOf(subscriptions.Entity(id), shares) }

// watch looks whenever shares or subscriptions have changed.
func (o *owner) watch() {
	changed, end := o.store.Watch()
	defer end()
	again := time.NewTimer(ownRetry)
	defer again.Stop()
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-o.wake:
		case <-changed:
		case <-again.C:
		}
		begun := time.Now()
		if err := o.look(); err != nil {
			o.log.Debug("the subscriptions cannot be looked up", slog.Any("error", err))
			again.Reset(ownRetry)
		}
		// Each look goes through all subscriptions: while thousands are made one
		// after the other it is not to be for each.
		select {
		case <-o.ctx.Done():
		case <-time.After(min(ownPauses*time.Since(begun), ownPause)):
		}
	}
}

// look gives the engine what is in this gateway's shares, and takes away what
// is not.
func (o *owner) look() error {
	o.mu.Lock()
	mine := slices.Collect(maps.Keys(o.shares))
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(o.ctx, ownTimeout)
	defer cancel()
	found, err := o.store.Owned(ctx, mine)
	if err != nil {
		return err
	}
	found, err = o.permitted(ctx, found)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	there := map[string]bool{}
	for _, sub := range found {
		if o.shares[shareOf(sub.ID)] { // still
			there[sub.ID] = true
			o.groups[sub.ID] = sub.Group
			o.engine.Own(sub)
		}
	}
	gone := slices.DeleteFunc(o.engine.Owned(), func(id string) bool { return there[id] || !slices.Contains(mine, shareOf(id)) })
	o.engine.Disown(gone...)
	o.tidy(gone)
	return err
}

// permitted gives the subscriptions that their owners may have, as far as they
// may. The others are paused; the error is one of pausing.
func (o *owner) permitted(ctx context.Context, found []*stream.Subscription) ([]*stream.Subscription, error) {
	if o.rights == nil {
		return found, nil
	}
	var list []*stream.Subscription
	var failed error
	for _, sub := range found {
		own, err := o.rights.bound(sub)
		if err == nil {
			list = append(list, own)
			continue
		}
		o.log.Warn("a subscription is paused, because its owner may not have it", slog.String("subscription", sub.ID), slog.String("owner", sub.Owner.Name), slog.Any("error", err))
		if err := o.store.Suspend(ctx, sub.ID, sub.Revision, stream.ReasonForbidden); err != nil && stream.CodeOf(err) != stream.EtagMismatch {
			failed = errors.Join(failed, err)
		}
	}
	return list, failed
}

// tidy has Kafka forget how far subscriptions had come that were deleted. A
// group that the client named stays: it was, or will be, another program's. So
// does one that cannot be forgotten now, for which Kafka has a time limit of its
// own (offsets.retention.minutes). o.mu is held: while the share is ours nobody
// begins under the same id.
func (o *owner) tidy(gone []string) {
	ctx, cancel := context.WithTimeout(o.ctx, forgetTimeout)
	defer cancel()
	for _, id := range gone {
		group := o.groups[id]
		delete(o.groups, id)
		if group != id || !o.store.Deleted(id) || o.store.Group(group) != "" || !o.fleet.Alive() {
			continue
		}
		if err := o.forget(ctx, group); err != nil {
			o.log.Warn("the offsets of a deleted subscription stay until Kafka forgets them; granting DELETE on its group would let the gateway do that",
				slog.String("subscription", id), slog.Any("error", err))
		}
	}
}

// report takes how a subscription does, to be told to the other gateways.
func (o *owner) report(id string, h stream.Health) {
	select {
	case o.reports <- report{id, h}:
	default:
	}
}

func (o *owner) tell() {
	for {
		select {
		case <-o.ctx.Done():
			return
		case r := <-o.reports:
			ctx, cancel := context.WithTimeout(o.ctx, ownTimeout)
			if err := o.store.Report(ctx, r.id, r.health); err != nil {
				o.log.Debug("how a subscription does was not told", slog.String("subscription", r.id), slog.Any("error", err))
			}
			cancel()
		}
	}
}
