package subscriptions

import (
	"context"

	"sluice/internal/stream"
)

// visible says whether the caller may know of a subscription, and change it: it
// is its own, or it may manage all streams. So what nobody owns is for those
// who may manage everything. Who asks without a caller is the gateway itself, or
// nobody is asked who they are.
func visible(ctx context.Context, sub *stream.Subscription) bool {
	c := stream.CallerOf(ctx)
	return c == nil || c.Name == sub.Owner.Name || c.Manage.Everything()
}

// own makes the caller the owner of what it asks for, if its rights suffice:
// whoever decided last where records go is who has to be allowed to have them.
func own(ctx context.Context, sub *stream.Subscription) error {
	c := stream.CallerOf(ctx)
	if c == nil {
		return nil
	}
	sub.Owner = c.Principal
	return sub.Permitted(c.Rights)
}

// checkMost says whether the owner may have one more. The log was read to its
// end.
func (s *Store) checkMost(sub *stream.Subscription) error {
	if s.o.Most == nil || sub.Owner.Name == "" {
		return nil
	}
	most := s.o.Most(sub.Owner.Name)
	if most <= 0 {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	have := 0
	for id, e := range s.entries {
		if id != sub.ID && e.sub != nil && e.sub.Owner.Name == sub.Owner.Name && (!e.pending || !e.abandoned()) {
			have++
		}
	}
	if have >= most {
		return stream.Errorf(stream.Forbidden, "%s owns %d subscriptions, and its quota is %d: delete one, or ask whoever runs the gateway for more", sub.Owner.Name, have, most)
	}
	return nil
}

// adopt makes the caller the owner of what nobody owns, and takes over what its
// credentials say of an owner now. What others own stays theirs.
func adopt(ctx context.Context, sub *stream.Subscription) error {
	if c := stream.CallerOf(ctx); c != nil && (sub.Owner.Name == "" || sub.Owner.Name == c.Name) {
		return own(ctx, sub)
	}
	return nil
}

// taken is the error for an id under which there is something that the caller
// cannot replace.
func (s *Store) taken(ctx context.Context, id string, e *entry) error {
	if e.broken && visible(ctx, &stream.Subscription{}) {
		return unreadable(id)
	}
	return stream.Errorf(stream.SubscriptionConflict, "the id %q is taken; choose another id", id)
}
