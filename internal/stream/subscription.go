package stream

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Subscription is a stored request to push the records of a pattern to a
// webhook endpoint. It is not changed once others have it: a change makes
// another, with a higher Revision.
type Subscription struct {
	ID          string
	Revision    int64 // of its entry in the log; 0: not stored yet
	Group       string
	Streams     Pattern
	From        string // as the client wrote it: "earliest", "latest", a time, a position
	Endpoint    Endpoint
	View        string // one of the views below
	Filter      string // "": every record
	Batch       Batch
	Ordering    string // one of the orderings below
	MaxInFlight int    // attempts under way at a time; at least 1
	Timeout     time.Duration
	Retry       Retry
	OnExhausted string    // what becomes of a record that was tried often enough; see below
	DeadLetter  string    // the stream for what could not be delivered
	Publishes   string    // pattern of the streams to which answers may publish; "": none
	State       string    // StateActive or StatePaused
	Reason      string    // of a pause, one of the reasons below; "" when active
	Owner       Principal // whose rights it has; no name: nobody's, it was made where nobody is asked
	Created     time.Time
	Changed     time.Time // by a request, or a pause of the owner's

	// Generation is raised when the position is moved by a request; it is the
	// revision that did so. Whoever commits offsets of the subscription writes
	// the generation that they belong to beside them.
	Generation int64
	// Begin says where reading begins in partitions whose offsets were
	// committed under a lower generation, or never. Ask BeginAt.
	Begin []Beginning
	// Redrive is the last request to deliver the dead letters again.
	Redrive Redrive
}

// Endpoint is where a subscription's records go.
type Endpoint struct {
	URL     string
	Headers []Header // sent with each delivery; the values are secrets
	Secrets []Secret // what signs, the current one first
}

// String gives the URL alone: the rest is secret, and this is what logs and
// errors get to see.
func (e Endpoint) String() string { return e.URL }

// GoString hides what is secret from %#v.
func (e Endpoint) GoString() string { return strconv.Quote(e.URL) }

// MarshalText hides what is secret from JSON: nobody writes an Endpoint as it
// is.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e.URL), nil }

// Secret is a key that signs deliveries.
type Secret struct {
	Key   []byte    // the bytes behind "whsec_"
	Until time.Time // zero: the current one; else it signs too up to then
}

// String hides the key: a secret is shown once, on purpose.
func (Secret) String() string { return "<redacted>" }

// GoString hides the key.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the key.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Keys gives the keys that sign at a time, the current one first.
func (e Endpoint) Keys(now time.Time) [][]byte {
	var keys [][]byte
	for _, s := range e.Secrets {
		if s.Until.IsZero() || now.Before(s.Until) {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// Batch says how many records make a delivery. They are of one partition.
type Batch struct {
	MaxRecords int           // at least 1
	MaxWait    time.Duration // how long the first one waits for others
}

// Retry says when a delivery that failed is tried again, and how often.
type Retry struct {
	Initial     time.Duration // before the second attempt
	Max         time.Duration // the longest pause
	Multiplier  float64       // from one pause to the next; at least 1
	Jitter      float64       // the part of a pause that is random, 0 to 1
	MaxAttempts int           // 0: no bound
	MaxAge      time.Duration // since the first attempt; 0: no bound
	Statuses    []int         // that are tried again though they are final otherwise: of 300 to 499, not 410
}

// The views of a subscription: what a delivery's body is.
const (
	ViewRecord                = "record"                 // the record object
	ViewData                  = "data"                   // the data alone
	ViewValue                 = "value"                  // the stored bytes
	ViewCloudEvents           = "cloudevents"            // binary mode
	ViewCloudEventsStructured = "cloudevents-structured" // structured mode, or batched
)

// The orderings: what is delivered one after the other.
const (
	OrderingKey       = "key"       // the records of one key
	OrderingPartition = "partition" // the records of one partition
	OrderingNone      = "none"      // nothing
)

// What becomes of a record that was tried often enough, or that the endpoint
// refuses.
const (
	OnExhaustedDeadLetter = "dead_letter"
	OnExhaustedDrop       = "drop"
	OnExhaustedPause      = "pause"
)

// The states of a subscription.
const (
	StateActive = "active"
	StatePaused = "paused"
)

// StateBlocked is the state of a status alone: the subscription is active, and
// the gateway that is asked may not deliver it. The reason is ReasonForbidden
// where Kafka refuses that, else ReasonRefused.
const (
	StateBlocked  = "blocked"
	ReasonRefused = "refused"
)

// The reasons of a pause.
const (
	ReasonRequest   = "request"   // somebody asked for it
	ReasonGone      = "gone"      // the endpoint answered 410
	ReasonExhausted = "exhausted" // a record was tried often enough, and on_exhausted is "pause"
	ReasonForbidden = "forbidden" // its owner may not do (any more) what it does; of a status that is blocked: the gateway may not
)

// Beginning says where reading begins in the partitions of a stream.
type Beginning struct {
	Stream     string
	TopicID    string // the offsets mean nothing in another topic of that name
	Generation int64
	Offsets    []int64 // by partition; those missing or negative are not meant
}

// BeginAt says where reading begins in a partition whose committed offset has a
// lower generation than the one given here, or that has none. ok is false where
// nothing was said: then a committed offset holds whatever its generation, and
// without one the partition is read from its beginning.
func (s *Subscription) BeginAt(l Layout, partition int32) (offset, generation int64, ok bool) {
	for _, b := range s.Begin {
		if b.Stream == l.Stream && b.TopicID == l.TopicID && b.Generation >= generation &&
			int(partition) < len(b.Offsets) && b.Offsets[partition] >= 0 {
			offset, generation, ok = b.Offsets[partition], b.Generation, true
		}
	}
	return offset, generation, ok
}

// Redrive asks the owner to deliver the dead letters again: those from the
// place that the group has committed in the dead-letter stream, or its
// beginning, up to Until. A redrive of the same or a higher generation that was
// carried out is known by its commit.
type Redrive struct {
	Generation int64       // the revision that asked for it; 0: nobody did
	Until      []Beginning // the ends of the dead-letter stream's partitions then
}

// Clone gives a copy that shares nothing that a change would touch.
func (s *Subscription) Clone() *Subscription {
	c := *s
	c.Endpoint.Headers = slices.Clone(s.Endpoint.Headers)
	c.Endpoint.Secrets = slices.Clone(s.Endpoint.Secrets)
	c.Begin = slices.Clone(s.Begin)
	for i := range c.Begin {
		c.Begin[i].Offsets = slices.Clone(c.Begin[i].Offsets)
	}
	c.Redrive.Until = slices.Clone(s.Redrive.Until)
	return &c
}

// Reads says whether the subscription delivers the records of a stream: its
// pattern selects it, and it is not a stream of dead letters. Those would come
// back to it, or go round between subscriptions; a plain id of the pattern
// selects those of others all the same, never its own.
func (s *Subscription) Reads(id string) bool {
	if id == s.DeadLetter || !s.Streams.Match(id) {
		return false
	}
	if !strings.HasSuffix(id, DeadLetterSuffix) {
		return true
	}
	ids, _ := s.Streams.IDs()
	return slices.Contains(ids, id)
}

// Permitted says whether rights suffice for what the subscription does: to read
// its streams, to publish to those that answers name, and to use a stream of
// dead letters, and a consumer group, that have other names than its own. Of patterns it is enough that
// there may be such streams: what they select is bounded elsewhere. The code is
// Forbidden.
func (s *Subscription) Permitted(r Rights) error {
	c := &Caller{Principal: s.Owner, Rights: r}
	if err := c.CheckPattern(ActionSubscribe, s.Streams); err != nil {
		return err
	}
	if s.Publishes != "" {
		targets, err := ParsePattern(s.Publishes)
		if err != nil {
			return err
		}
		if err := c.CheckPattern(ActionPublish, targets); err != nil {
			return err
		}
	}
	if s.Group != s.ID && !r.MayGroup(ActionSubscribe, s.Group) {
		return c.RefuseGroup(ActionSubscribe, s.Group)
	}
	if s.DeadLetter == s.ID+DeadLetterSuffix {
		return nil
	}
	for _, a := range []Action{ActionPublish, ActionSubscribe} {
		if !r.May(a, s.DeadLetter) {
			return c.Refuse(a, s.DeadLetter)
		}
	}
	return nil
}

// DeadLetterSuffix follows a subscription's id in the name of the stream of its
// dead letters, unless it names another.
const DeadLetterSuffix = ".dead-letter"

// Condition holds a change back unless the entity is as the client has seen it.
// The zero value holds nothing back.
type Condition struct {
	Exists    bool    // If-Match: *
	Absent    bool    // If-None-Match: *
	Revisions []int64 // If-Match: one of these; nil: not asked
}

// Check says whether the condition holds for a revision, 0 where there is no
// such entity. The error's code is EtagMismatch.
func (c Condition) Check(revision int64) error {
	switch {
	case c.Absent && revision != 0:
		return Errorf(EtagMismatch, "it exists already (If-None-Match: *); leave the condition out to change it")
	case c.Exists && revision == 0, c.Revisions != nil && revision == 0:
		return Errorf(EtagMismatch, "it does not exist (any more), and If-Match asks for it; leave the condition out to create it")
	case c.Revisions != nil && !slices.Contains(c.Revisions, revision):
		return Errorf(EtagMismatch, "it was changed since you read it: read it again, apply your change to what is there now, and send it with the new ETag")
	}
	return nil
}
