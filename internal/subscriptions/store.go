package subscriptions

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/stream"
)

// Log is the replicated log that the store lives in.
type Log interface {
	// Sync returns when the state holds all that was written before the call.
	Sync(ctx context.Context) error
	// Write stores an entity's value, nil to delete it, on top of the revision
	// seen; won is false when somebody else was faster.
	Write(ctx context.Context, entity string, seen int64, value []byte) (won bool, err error)
	// Partition gives the partition of the log that an entity is in: who owns
	// that of a subscription delivers it.
	Partition(entity string) int32
}

// Streams is what is asked of Kafka about streams.
type Streams interface {
	// Layouts gives the streams that a pattern selects, sorted. Ids that do
	// not exist are left out.
	Layouts(ctx context.Context, p stream.Pattern) ([]stream.Layout, error)
	Bounds(ctx context.Context, ps []stream.Partition) ([]stream.Bounds, error)
	// OffsetsAt gives the first offsets at or after a time, the end where
	// there are none.
	OffsetsAt(ctx context.Context, ps []stream.Partition, at time.Time) ([]int64, error)
}

// Offsets are those that groups have committed.
type Offsets interface {
	// Committed gives a group's, none for one that nobody knows.
	Committed(ctx context.Context, group string) ([]stream.GroupOffset, error)
}

// Filters understands filters.
type Filters interface {
	Compile(text string) (stream.Filter, error)
}

// Sender makes one attempt of a delivery.
type Sender interface {
	Send(ctx context.Context, d *stream.Delivery) stream.Attempt
}

// Options is what a Store needs. All fields without a note are required.
type Options struct {
	Log     *slog.Logger
	Open    func(stream.State) Log // gives the log that keeps the state up to date
	Topics  stream.Topics
	Streams Streams
	Offsets Offsets
	Filters Filters
	Sender  Sender

	Reserved []string // streams that take no dead letters

	// CheckURL says whether records may be sent to a URL, by where its host
	// leads. It is asked when the URL is new.
	CheckURL func(ctx context.Context, url string) error
	// Mark says which generation an offset was committed under, and whether it
	// is one in this stream as it is now, not in one of that name before.
	Mark func(o stream.GroupOffset, l stream.Layout) (generation int64, ok bool)
	// Blocked says why this gateway may not deliver anything, nil while it may.
	// Without the function it always may.
	Blocked func() error
	// Most says how many subscriptions a principal may own, 0 for any number.
	// Without the function it is any number. Of several that are created at the
	// same moment a few more may come to be.
	Most func(principal string) int
	// Keys encrypt secrets and header values in the log, 32 bytes each: the
	// first one what is written from now on. None: they are not encrypted.
	Keys [][]byte
}

// Store holds all subscriptions in memory, kept up to date by its log. Whatever
// is asked of it, it reads the log to its end first. It may be used by any
// number of goroutines.
type Store struct {
	o      Options
	log    Log
	logger *slog.Logger
	box    sealer

	mu       sync.RWMutex
	entries  map[string]*entry       // by id; those that were deleted too, for their revisions
	health   map[string]*healthEntry // by id
	resets   int                     // how often the log was read anew
	watchers map[chan struct{}]bool
}

// entry is what the log says of a subscription. It is replaced by its next
// revision, never changed.
type entry struct {
	sub      *stream.Subscription // nil: deleted, or unreadable
	revision int64
	pending  bool // being created: its group is not sure to be its own yet
	broken   bool // written by a newer gateway, or sealed with a key that is not ours
}

// live says whether clients may see it.
func (e *entry) live() bool { return e != nil && e.sub != nil && !e.pending }

// The kinds of entities in the log.
const (
	subscriptionEntity = "subscription/"
	healthEntity       = "health/"
)

// Entity gives the log's name of a subscription.
func Entity(id string) string { return subscriptionEntity + id }

// New makes a store. The error tells of keys that cannot be used.
func New(o Options) (*Store, error) {
	box, err := newSealer(o.Keys)
	if err != nil {
		return nil, err
	}
	s := &Store{o: o, box: box, logger: o.Log.With(slog.String("component", "subscriptions")), watchers: map[chan struct{}]bool{}}
	s.Reset()
	s.log = o.Open(s)
	return s, nil
}

// Reset is for the log: everything is read anew.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = map[string]*entry{}
	s.health = map[string]*healthEntry{}
	s.resets++
	s.notify()
}

// Apply is for the log: it takes an entity's new state.
func (s *Store) Apply(e stream.Entry) {
	var err error
	if id, ok := strings.CutPrefix(e.Entity, subscriptionEntity); ok {
		err = s.applySubscription(id, e)
	} else if id, ok := strings.CutPrefix(e.Entity, healthEntity); ok {
		err = s.applyHealth(id, e)
	}
	if err != nil {
		s.logger.Error("an entry of the log cannot be read; it is passed over", slog.String("entity", e.Entity), slog.Any("error", err))
	}
}

// applySubscription takes a subscription's new state. One that cannot be read
// is not delivered: nobody knows whether its last change was not to send to
// that endpoint any more.
func (s *Store) applySubscription(id string, e stream.Entry) error {
	next := &entry{revision: e.Revision}
	var err error
	if e.Value != nil {
		next.sub, next.pending, err = s.decode(id, e.Value)
		if err != nil {
			next.sub, next.broken = nil, true
		} else {
			next.sub.Revision = e.Revision
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[id] = next
	s.notify()
	return err
}

// notify wakes the watchers. The lock is held.
func (s *Store) notify() {
	for c := range s.watchers {
		select {
		case c <- struct{}{}:
		default: // it was woken already
		}
	}
}

// Watch gives a channel that has a value whenever subscriptions may have
// changed since the one before, and a function that ends it. What they are now,
// Owned says.
func (s *Store) Watch() (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers[c] = true
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, c)
	}
}

// Owned gives the subscriptions that lie in partitions of the log, sorted by
// id, those that are paused too. They are those at the time of the call, or
// later ones: where the log cannot be read, or is being read anew, it is an
// error, never a part of them.
func (s *Store) Owned(ctx context.Context, partitions []int32) ([]*stream.Subscription, error) {
	return s.pick(ctx, func(id string) bool { return slices.Contains(partitions, s.log.Partition(Entity(id))) })
}

// List gives all subscriptions that the caller may see, sorted by id.
func (s *Store) List(ctx context.Context) ([]*stream.Subscription, error) {
	all, err := s.pick(ctx, func(string) bool { return true })
	return slices.DeleteFunc(all, func(sub *stream.Subscription) bool { return !visible(ctx, sub) }), err
}

func (s *Store) pick(ctx context.Context, want func(id string) bool) ([]*stream.Subscription, error) {
	for {
		before := s.readings()
		if err := s.log.Sync(ctx); err != nil {
			return nil, err
		}
		if found, whole := s.collect(want, before); whole {
			return found, nil
		}
	}
}

func (s *Store) readings() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.resets
}

// collect gives the live subscriptions, unless the log began to be read anew
// since.
func (s *Store) collect(want func(id string) bool, resets int) (found []*stream.Subscription, whole bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, e := range s.entries {
		if e.live() && want(id) {
			found = append(found, e.sub)
		}
	}
	slices.SortFunc(found, func(a, b *stream.Subscription) int { return cmp.Compare(a.ID, b.ID) })
	return found, s.resets == resets
}

// Deleted says whether a subscription was there and was deleted, as far as
// memory tells. One that cannot be read was not.
func (s *Store) Deleted(id string) bool {
	e := s.entry(id)
	return e != nil && e.sub == nil && !e.broken
}

// Get gives a subscription. The error is UnknownSubscription where there is
// none, or the caller may not know of it.
func (s *Store) Get(ctx context.Context, id string) (*stream.Subscription, error) {
	if err := s.log.Sync(ctx); err != nil {
		return nil, err
	}
	return s.found(ctx, id)
}

func (s *Store) found(ctx context.Context, id string) (*stream.Subscription, error) {
	e := s.entry(id)
	if e != nil && e.broken && visible(ctx, &stream.Subscription{}) {
		return nil, unreadable(id)
	}
	if !e.live() || !visible(ctx, e.sub) {
		return nil, stream.Errorf(stream.UnknownSubscription, "there is no subscription %q; GET /subscriptions lists those there are", id)
	}
	return e.sub, nil
}

// entry gives what is known of an id; nil: nothing, ever.
func (s *Store) entry(id string) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entries[id]
}

// Group gives the subscription whose group it is, as far as memory tells; ""
// where it is nobody's.
func (s *Store) Group(group string) (id string) {
	if holder := s.holder(group, ""); holder != nil {
		return holder.sub.ID
	}
	return ""
}

// holder gives the entry of another subscription that has the group, pending
// ones too.
func (s *Store) holder(group, except string) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, e := range s.entries {
		if e.sub != nil && e.sub.Group == group && id != except {
			return e
		}
	}
	return nil
}

func unreadable(id string) error {
	return stream.Errorf(stream.SubscriptionConflict, "the subscription %q cannot be read by this gateway: a newer one wrote it, or its secrets are encrypted with a key that is not configured here (webhooks.secret_keys); correct the configuration or delete the subscription", id)
}

// asClientError gives the error that is made for clients, or nil.
func asClientError(err error) *stream.Error {
	e, _ := errors.AsType[*stream.Error](err)
	return e
}

// clientMessage gives the message that an error has for clients.
func clientMessage(err error, otherwise string) string {
	if e := asClientError(err); e != nil {
		return e.Message
	}
	return otherwise
}
