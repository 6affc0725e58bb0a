package httpapi

import (
	"context"
	"errors"
	"sync"

	"sluice/internal/stream"
)

// errRevoked is why the context of an event stream ended whose reader may not
// read it any more.
var errRevoked = errors.New("the reader's rights have changed")

// openStreams are the event streams of callers whose rights may change. The
// zero value has none.
type openStreams struct {
	mu   sync.Mutex
	list map[*eventStream]context.CancelCauseFunc
}

// watched gives a context that ends when the stream's reader may not read it any
// more, and what to call when the stream has ended. A stream is looked at once
// it is in the list: rights that change before that are seen now, those that
// change later when all are asked.
func (s *eventStream) watched(ctx context.Context) (context.Context, func()) {
	if s.a.Revocations == nil || s.x.caller == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	o := &s.a.open
	o.mu.Lock()
	if o.list == nil {
		o.list = map[*eventStream]context.CancelCauseFunc{}
	}
	o.list[s] = cancel
	o.mu.Unlock()
	if !s.allowed() {
		cancel(errRevoked)
	}
	return ctx, func() {
		o.mu.Lock()
		delete(o.list, s)
		o.mu.Unlock()
		cancel(nil)
	}
}

// ask ends the streams that are not allowed any more.
func (o *openStreams) ask() {
	o.mu.Lock()
	all := make([]*eventStream, 0, len(o.list))
	for s := range o.list {
		all = append(all, s)
	}
	o.mu.Unlock()
	for _, s := range all {
		if s.allowed() {
			continue
		}
		o.mu.Lock()
		if cancel := o.list[s]; cancel != nil {
			cancel(errRevoked)
		}
		o.mu.Unlock()
	}
}

// allowed says whether the stream may go on: its group may be joined, and it
// names streams that may all be
// read, or what the reader may read is what it was. Of a pattern it cannot be
// told whether the difference matters, so it ends, and its reader comes back for
// what it may read now, missing nothing.
func (s *eventStream) allowed() bool {
	c, rights := s.x.caller, s.a.Revocations.Still(s.x.caller)
	if s.group != "" && !rights.MayGroup(stream.ActionSubscribe, s.group) {
		return false
	}
	now := rights.Subscribe
	asked, err := stream.ParsePattern(s.pattern)
	if err != nil || now.Nothing() {
		return false
	}
	if c.Short { // of the token's streams alone
		streams, err := stream.ParsePattern(c.Subscribe.String())
		if err != nil {
			return false
		}
		now = streams.Within(now)
	}
	if now.Key() == c.Subscribe.Key() {
		return true
	}
	own, all := asked.Within(now).IDs()
	named, _ := asked.IDs()
	return all && len(own) == len(named)
}
