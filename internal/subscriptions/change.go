package subscriptions

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"time"

	"sluice/internal/stream"
)

const (
	// pendingFor is how long a creation may be under way; after that whoever
	// did it is taken for dead, and the id and the group are free again.
	pendingFor = 30 * time.Second
	// rotation is how long a secret signs after a new one took its place.
	rotation = 24 * time.Hour
	// maxStored bounds a stored subscription, in bytes: the log's topic takes
	// records of 1 MiB.
	maxStored = 900 << 10
	// tries bounds how often a PUT that meets a creation or a deletion at the
	// same time begins anew.
	tries = 5
)

// errUnchanged ends a change that has nothing to do.
var errUnchanged = errors.New("nothing to change")

// Create stores a new subscription as the body asks for it; its id is made up
// where it names none. The answer is the only one that has the secret. Errors:
// InvalidRequest with all that is wrong, MalformedJSON, SubscriptionConflict
// when the id is taken, GroupInUse, UnknownStream for a plain id that does not
// exist, and those of the log.
func (s *Store) Create(ctx context.Context, body []byte) (*stream.Subscription, error) {
	if err := s.log.Sync(ctx); err != nil {
		return nil, err
	}
	r, err := s.prepare(ctx, "", body, nil)
	if err != nil {
		return nil, err
	}
	return s.create(ctx, r)
}

// Put creates the subscription, or replaces what is there: what the body leaves
// out takes its default, but secrets, header values, the group, the place it has
// come to and the state stay. Errors are those of Create, and EtagMismatch.
func (s *Store) Put(ctx context.Context, id string, body []byte, c stream.Condition) (sub *stream.Subscription, created bool, err error) {
	for range tries {
		if err = s.log.Sync(ctx); err != nil {
			return nil, false, err
		}
		e := s.entry(id)
		switch {
		case e != nil && e.broken, e.live() && !visible(ctx, e.sub):
			return nil, false, s.taken(ctx, id, e)
		case e.live():
			sub, err = s.replace(ctx, id, body, c)
			if stream.CodeOf(err) != stream.UnknownSubscription {
				return sub, false, err
			}
		default:
			if err = c.Check(0); err != nil {
				return nil, false, err
			}
			var r *request
			if r, err = s.prepare(ctx, id, body, nil); err != nil {
				return nil, false, err
			}
			sub, err = s.create(ctx, r)
			if stream.CodeOf(err) != stream.SubscriptionConflict || c.Absent {
				return sub, err == nil, err
			}
		}
	}
	return nil, false, err
}

// prepare reads a body and checks all of it, on top of the subscription there
// is, if any.
func (s *Store) prepare(ctx context.Context, id string, body []byte, old *stream.Subscription) (*request, error) {
	var found problems
	r, err := s.read(id, body, &found)
	if err != nil {
		return nil, err
	}
	var was stream.Endpoint
	if old != nil {
		was = old.Endpoint
		r.keep(old, &found)
	}
	if err := own(ctx, r.Subscription); err != nil {
		return nil, err
	}
	r.Endpoint.Headers = r.headersOn(was.Headers, &found)
	if r.Endpoint.URL != was.URL && checkURL(r.Endpoint.URL) == "" {
		if err := s.o.CheckURL(ctx, r.Endpoint.URL); err != nil {
			e := asClientError(err)
			if e == nil {
				return nil, err
			}
			found = append(found, stream.Violation{Pointer: "#/endpoint/url", Keyword: "url", Detail: e.Message})
		}
	}
	return r, found.err()
}

// keep takes over what a replacement does not change.
func (r *request) keep(old *stream.Subscription, found *problems) {
	if !r.hasGroup {
		r.Group = old.Group
	} else if r.Group != old.Group {
		found.add("/group", "cannot change, because the offsets are committed under it; create another subscription")
	}
	if !r.hasFrom {
		r.From = old.From
		r.start, _ = parseFrom(old.From)
	} else if r.From != old.From {
		found.add("/from", "was decided at creation; POST /subscriptions/{id}/position moves the position")
	}
	if !r.hasState || r.paused == (old.State == stream.StatePaused) {
		r.State, r.Reason = old.State, old.Reason
	} else if r.paused {
		r.Reason = stream.ReasonRequest
	}
	r.Created, r.Generation, r.Begin, r.Redrive = old.Created, old.Generation, old.Begin, old.Redrive
	r.Endpoint.Secrets = old.Endpoint.Secrets
}

// create writes a new subscription in two steps. Only one that was seen by all,
// with a group that is nobody else's, is delivered: of two with one group that
// are created at the same time, at least one sees the other.
func (s *Store) create(ctx context.Context, r *request) (*stream.Subscription, error) {
	sub := r.Subscription
	if err := s.checkMost(sub); err != nil {
		return nil, err
	}
	if r.paused {
		sub.Reason = stream.ReasonRequest
	}
	key := r.secret
	if key == nil {
		key = generateSecret()
	}
	sub.Endpoint.Secrets = []stream.Secret{{Key: key}}
	begin, err := s.begin(ctx, sub, r.start, nil)
	if err != nil {
		return nil, err
	}
	for {
		seen, err := s.slot(ctx, sub)
		if err != nil {
			return nil, err
		}
		sub.Created = now()
		sub.Changed = sub.Created
		sub.Generation, sub.Begin = seen+1, generation(begin, seen+1)
		won, err := s.write(ctx, sub, seen, true)
		if err != nil {
			return nil, err
		}
		if won {
			return s.activate(ctx, sub)
		}
	}
}

// slot gives the revision on which a new subscription is written. The log was
// read to its end.
func (s *Store) slot(ctx context.Context, sub *stream.Subscription) (seen int64, err error) {
	if err := s.freeGroup(ctx, sub); err != nil {
		return 0, err
	}
	e := s.entry(sub.ID)
	switch {
	case e == nil:
		return 0, nil
	case e.broken:
		return 0, unreadable(sub.ID)
	case e.live():
		return 0, stream.Errorf(stream.SubscriptionConflict, "there is a subscription %q already; choose another id, or change it with PUT /subscriptions/%s", sub.ID, sub.ID)
	case e.pending && !e.abandoned():
		return 0, stream.Errorf(stream.SubscriptionConflict, "the subscription %q is being created by another request at this moment; look at it in a moment", sub.ID)
	}
	return e.revision, nil
}

// abandoned says of a pending entry whether its creation is not under way any
// more.
func (e *entry) abandoned() bool { return time.Since(e.sub.Created) > pendingFor }

// freeGroup says whether a group is free. A creation that was given up does not
// hold it: it is taken away first, so that it cannot come to life later.
func (s *Store) freeGroup(ctx context.Context, sub *stream.Subscription) error {
	for {
		e := s.holder(sub.Group, sub.ID)
		switch {
		case e == nil:
			return nil
		case !e.pending || !e.abandoned():
			return groupInUse(sub.Group, e.sub.ID)
		}
		if _, err := s.log.Write(ctx, Entity(e.sub.ID), e.revision, nil); err != nil {
			return err
		}
	}
}

func groupInUse(group, by string) error {
	return stream.Errorf(stream.GroupInUse, "the group %q holds the offsets of the subscription %q; choose another group, or leave group out to have one of its own", group, by)
}

// activate makes a pending subscription one that is delivered. It goes on when
// the client has gone: a subscription that is half created helps nobody.
func (s *Store) activate(ctx context.Context, sub *stream.Subscription) (*stream.Subscription, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pendingFor/2)
	defer cancel()
	pending := sub.Generation
	if err := s.log.Sync(ctx); err != nil {
		return nil, err
	}
	if other := s.holder(sub.Group, sub.ID); other != nil {
		if _, err := s.log.Write(ctx, Entity(sub.ID), pending, nil); err != nil {
			return nil, err
		}
		return nil, groupInUse(sub.Group, other.sub.ID)
	}
	won, err := s.write(ctx, sub, pending, false)
	switch {
	case err != nil:
		return nil, err
	case !won:
		return nil, stream.Errorf(stream.SubscriptionConflict, "the subscription %q was changed by another request while it was created; look at what it is now", sub.ID)
	}
	s.logger.Info("subscription created", slog.String("subscription", sub.ID))
	return sub, nil
}

// write stores a subscription on top of the revision seen, and sets its own.
func (s *Store) write(ctx context.Context, sub *stream.Subscription, seen int64, pending bool) (won bool, err error) {
	value, err := s.encode(sub, pending)
	if err != nil {
		return false, err
	}
	if len(value) > maxStored {
		return false, stream.Errorf(stream.PatternTooWide, "the pattern selects so many partitions that the place to begin in each does not fit into the subscription; use several subscriptions with narrower patterns")
	}
	won, err = s.log.Write(ctx, Entity(sub.ID), seen, value)
	if won {
		sub.Revision = seen + 1
	}
	return won, err
}

// change changes a subscription. apply is given a copy, and the revision that it
// will have; it may be called again, for another copy.
func (s *Store) change(ctx context.Context, id string, c stream.Condition, apply func(sub *stream.Subscription, revision int64) error) (*stream.Subscription, error) {
	for {
		old, err := s.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := c.Check(old.Revision); err != nil {
			return nil, err
		}
		sub := old.Clone()
		if err := apply(sub, old.Revision+1); err != nil {
			if errors.Is(err, errUnchanged) {
				return old, nil
			}
			return nil, err
		}
		sub.Changed = now()
		won, err := s.write(ctx, sub, old.Revision, false)
		if err != nil {
			return nil, err
		}
		if won {
			return sub, nil
		}
	}
}

func (s *Store) replace(ctx context.Context, id string, body []byte, c stream.Condition) (*stream.Subscription, error) {
	return s.change(ctx, id, c, func(sub *stream.Subscription, revision int64) error {
		old := sub.Clone()
		r, err := s.prepare(ctx, id, body, old)
		if err != nil {
			return err
		}
		if r.secret != nil {
			r.Endpoint.Secrets = rotate(r.Endpoint.Secrets, r.secret)
		}
		if r.Streams.String() != old.Streams.String() || r.DeadLetter != old.DeadLetter {
			begin, err := s.begin(ctx, r.Subscription, r.start, old)
			if err != nil {
				return err
			}
			r.Generation = revision
			r.Begin = append(r.still(), generation(begin, revision)...)
		}
		*sub = *r.Subscription
		return nil
	})
}

// rotate makes a key the current one; the others sign for a while.
func rotate(secrets []stream.Secret, key []byte) []stream.Secret {
	at := now()
	if len(secrets) > 0 && subtle.ConstantTimeCompare(secrets[0].Key, key) == 1 {
		return secrets
	}
	next := []stream.Secret{{Key: key}}
	for _, old := range secrets {
		if old.Until.IsZero() {
			old.Until = at.Add(rotation)
		}
		if at.Before(old.Until) && subtle.ConstantTimeCompare(old.Key, key) == 0 {
			next = append(next, old)
		}
	}
	return next
}

// Delete deletes a subscription. Its dead letters and the group's offsets stay
// until Kafka forgets them. Errors: UnknownSubscription, EtagMismatch.
func (s *Store) Delete(ctx context.Context, id string, c stream.Condition) error {
	for {
		if err := s.log.Sync(ctx); err != nil {
			return err
		}
		e := s.entry(id)
		if e == nil || !e.broken || !visible(ctx, &stream.Subscription{}) {
			if _, err := s.found(ctx, id); err != nil {
				return err
			}
		}
		if e == nil {
			continue // it came at this moment
		}
		if err := c.Check(e.revision); err != nil {
			return err
		}
		won, err := s.log.Write(ctx, Entity(id), e.revision, nil)
		if err != nil {
			return err
		}
		if won {
			s.logger.Info("subscription deleted", slog.String("subscription", id))
			s.forgetHealth(ctx, id)
			return nil
		}
	}
}

// Pause stops deliveries until Resume. What is under way ends.
func (s *Store) Pause(ctx context.Context, id string, c stream.Condition) (*stream.Subscription, error) {
	return s.change(ctx, id, c, func(sub *stream.Subscription, _ int64) error {
		if sub.State == stream.StatePaused {
			return errUnchanged
		}
		sub.State, sub.Reason = stream.StatePaused, stream.ReasonRequest
		return nil
	})
}

// Resume goes on with deliveries where they stopped, whatever the reason was.
func (s *Store) Resume(ctx context.Context, id string, c stream.Condition) (*stream.Subscription, error) {
	return s.change(ctx, id, c, func(sub *stream.Subscription, _ int64) error {
		if sub.State == stream.StateActive {
			return errUnchanged
		}
		if err := adopt(ctx, sub); err != nil {
			return err
		}
		sub.State, sub.Reason = stream.StateActive, ""
		return nil
	})
}

// Suspend is the owner's pause, for a reason that it met with a revision of the
// subscription: the error is EtagMismatch when it was changed since, perhaps so
// that the reason is gone.
func (s *Store) Suspend(ctx context.Context, id string, revision int64, reason string) error {
	c := stream.Condition{Revisions: []int64{revision}}
	_, err := s.change(ctx, id, c, func(sub *stream.Subscription, _ int64) error {
		if sub.State == stream.StatePaused {
			return errUnchanged
		}
		sub.State, sub.Reason = stream.StatePaused, reason
		return nil
	})
	return err
}

// Rotate makes the secret of the body, or a new one, the current one; the one
// before signs too for 24 hours. The answer has the secret.
func (s *Store) Rotate(ctx context.Context, id string, body []byte, c stream.Condition) (*stream.Subscription, error) {
	var found problems
	o, err := parse(body, &found)
	if err != nil {
		return nil, err
	}
	var text string
	o.text("secret", &text)
	key := generateSecret()
	if o.given("secret") {
		var ok bool
		if key, ok = parseSecret(text); !ok {
			o.badSecret()
		}
	}
	o.rest()
	if err := found.err(); err != nil {
		return nil, err
	}
	return s.change(ctx, id, c, func(sub *stream.Subscription, _ int64) error {
		sub.Endpoint.Secrets = rotate(sub.Endpoint.Secrets, key)
		return nil
	})
}

// now is the time as it is stored: with milliseconds.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
