package subscriptions

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice/internal/stream"
)

// The bounds of what can be asked for.
const (
	maxID        = 200 // bytes; the stream of the dead letters is named after it
	maxGroup     = 249
	maxFilter    = 4096
	maxBatch     = 1000
	maxBatchWait = time.Minute
	maxInFlight  = 100
	minTimeout   = 100 * time.Millisecond
	maxTimeout   = 5 * time.Minute
	minPause     = 100 * time.Millisecond
	maxPause     = 24 * time.Hour
	maxFactor    = 100
	maxAttempts  = 1000
	maxStatuses  = 50
	statusGone   = 410 // it has a meaning of its own
	maxAge       = 30 * 24 * time.Hour
)

// internalMark is part of the ids that belong to the gateway itself.
const internalMark = "_sluice."

// defaults gives a subscription as it is when the body names nothing: with the
// retries of Standard Webhooks, ten attempts over more than two days.
func defaults(id string) *stream.Subscription {
	return &stream.Subscription{
		ID: id, Group: id, From: "latest",
		View:        stream.ViewRecord,
		Batch:       stream.Batch{MaxRecords: 1},
		Ordering:    stream.OrderingKey,
		MaxInFlight: 10,
		Timeout:     15 * time.Second,
		Retry: stream.Retry{
			Initial: 5 * time.Second, Max: maxPause, Multiplier: 4, Jitter: 0.2, MaxAttempts: 10,
		},
		OnExhausted: stream.OnExhaustedDeadLetter,
		DeadLetter:  id + stream.DeadLetterSuffix,
		State:       stream.StateActive,
	}
}

// request is what a body asks for.
type request struct {
	*stream.Subscription // with defaults; the secrets are not in it yet

	start    stream.Start       // what From means
	headers  map[string]*string // nil: left out; a nil value: the one there is
	secret   []byte             // nil: left out
	paused   bool
	hasGroup bool
	hasFrom  bool
	hasState bool
}

// read takes a body apart and checks all that can be checked without asking
// anybody. id is the one of the path, "" where the body has to name it, or one
// is made up.
func (s *Store) read(id string, body []byte, found *problems) (*request, error) {
	o, err := parse(body, found)
	if err != nil {
		return nil, err
	}
	given := id
	o.text("id", &given)
	if id != "" && given != id {
		o.bad("id", "is not the id in the path, and cannot change")
		given = id
	}
	if given == "" {
		given = newID()
	}
	r := &request{Subscription: defaults(given)}
	s.readID(o, r)
	s.readStreams(o, r)
	r.readEndpoint(o.object("endpoint"))
	r.readDelivery(o)
	r.readRetry(o.object("retry"))
	r.readState(o)
	o.rest()
	return r, nil
}

func (s *Store) readID(o *object, r *request) {
	if len(r.ID) > maxID {
		o.bad("id", "is longer than %d bytes", maxID)
	} else if err := s.o.Topics.CheckID(r.ID); err != nil {
		o.bad("id", "is made of A-Z a-z 0-9 . _ -, and does not begin with _")
	}
	r.hasGroup = o.given("group")
	o.text("group", &r.Group)
	switch {
	case r.Group == "" || len(r.Group) > maxGroup || !utf8.ValidString(r.Group) || strings.ContainsFunc(r.Group, unicode.IsControl):
		o.bad("group", "has 1 to %d bytes and no control characters", maxGroup)
	case strings.Contains(r.Group, internalMark):
		o.bad("group", "cannot have %q in it, which is for the gateway's own groups", internalMark)
	}
}

// readStreams reads what is delivered, and from where on.
func (s *Store) readStreams(o *object, r *request) {
	var text string
	o.text("streams", &text)
	if text == "" && !o.asIs("streams") {
		o.bad("streams", "is missing: the stream to deliver, or a pattern such as orders.*")
	} else if text != "" {
		r.Streams = s.pattern(o, "streams", text)
	}
	o.text("dead_letter", &r.DeadLetter)
	if err := s.o.Topics.CheckID(r.DeadLetter); err != nil {
		o.bad("dead_letter", "is no stream id: those are made of A-Z a-z 0-9 . _ -, begin with no _, and are not too long")
	} else if slices.Contains(s.o.Reserved, r.DeadLetter) {
		o.bad("dead_letter", "is a stream of the gateway's own, which takes nothing from others; name another")
	}
	ids, _ := r.Streams.IDs()
	for _, id := range ids {
		if id == r.DeadLetter {
			o.bad("dead_letter", "is one of the streams to deliver, so that what fails would come back for ever; name another")
		}
	}
	o.text("publishes", &r.Publishes)
	if r.Publishes != "" {
		s.pattern(o, "publishes", r.Publishes)
	}
	r.hasFrom = o.given("from")
	r.readFrom(o)
	o.text("filter", &r.Filter)
	if len(r.Filter) > maxFilter {
		o.bad("filter", "is longer than %d bytes", maxFilter)
	} else if r.Filter != "" {
		if _, err := s.o.Filters.Compile(r.Filter); err != nil {
			o.bad("filter", "cannot be used: %s", clientMessage(err, "it is not understood"))
		}
	}
}

// asIs says whether a problem with a member was told already.
func (o *object) asIs(name string) bool {
	for _, v := range *o.found {
		if v.Pointer == "#"+o.place(name) {
			return true
		}
	}
	return false
}

func (s *Store) pattern(o *object, name, text string) stream.Pattern {
	p, err := stream.ParsePattern(text)
	if err != nil {
		o.bad(name, "cannot be used: %s", clientMessage(err, "it is no pattern"))
		return p
	}
	ids, _ := p.IDs()
	for _, id := range ids {
		if err := s.o.Topics.CheckID(id); err != nil {
			o.bad(name, "cannot be used: %s", clientMessage(err, "a part of it is no stream id"))
		}
	}
	return p
}

func (r *request) readFrom(o *object) {
	o.text("from", &r.From)
	var err error
	if r.start, err = parseFrom(r.From); err != nil {
		o.bad("from", "%s", clientMessage(err, "cannot be read"))
	}
}

// parseFrom reads where to begin.
func parseFrom(s string) (stream.Start, error) {
	switch {
	case s == "earliest":
		return stream.Start{Kind: stream.FromEarliest}, nil
	case s == "latest":
		return stream.Start{Kind: stream.FromLatest}, nil
	case strings.HasPrefix(s, "p"):
		p, err := stream.ParsePosition(s)
		if err != nil {
			return stream.Start{}, stream.Errorf(stream.InvalidRequest, "is not a position: pass one on as it was received, whole")
		}
		return stream.Start{Kind: stream.FromPosition, Position: p}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.UnixMilli() < 0 || t.Year() > 9999 {
		return stream.Start{}, stream.Errorf(stream.InvalidRequest, "is earliest, latest, a time such as 2026-01-31T12:00:00.123Z, or a position as it was received")
	}
	return stream.Start{Kind: stream.FromTime, Time: t.UTC()}, nil
}

// readDelivery reads how records are sent.
func (r *request) readDelivery(o *object) {
	o.choice("view", &r.View, stream.ViewRecord, stream.ViewData, stream.ViewValue, stream.ViewCloudEvents, stream.ViewCloudEventsStructured)
	batch := o.object("batch")
	batch.integer("max_records", &r.Batch.MaxRecords, 1, maxBatch)
	batch.duration("max_wait", &r.Batch.MaxWait, 0, maxBatchWait)
	batch.rest()
	o.choice("ordering", &r.Ordering, stream.OrderingKey, stream.OrderingPartition, stream.OrderingNone)
	o.integer("max_in_flight", &r.MaxInFlight, 1, maxInFlight)
	o.duration("timeout", &r.Timeout, minTimeout, maxTimeout)
	o.choice("on_exhausted", &r.OnExhausted, stream.OnExhaustedDeadLetter, stream.OnExhaustedDrop, stream.OnExhaustedPause)
}

func (r *request) readRetry(o *object) {
	o.duration("initial", &r.Retry.Initial, minPause, maxPause)
	o.duration("max", &r.Retry.Max, minPause, maxPause)
	o.number("multiplier", &r.Retry.Multiplier, 1, maxFactor)
	o.number("jitter", &r.Retry.Jitter, 0, 1)
	o.integer("max_attempts", &r.Retry.MaxAttempts, 0, maxAttempts)
	o.duration("max_age", &r.Retry.MaxAge, 0, maxAge)
	o.statuses("statuses", &r.Retry.Statuses)
	if r.Retry.Max < r.Retry.Initial {
		o.bad("max", "is shorter than initial, the first pause")
	}
	if o.given("max_age") && r.Retry.MaxAge > 0 && !o.given("max_attempts") {
		r.Retry.MaxAttempts = 0 // who names an age means it
	}
	r.Retry.Multiplier = math.Round(r.Retry.Multiplier*1000) / 1000
	o.rest()
}

// readState reads the state, and the members that GET answers and nobody can
// set.
func (r *request) readState(o *object) {
	r.hasState = o.given("state")
	o.choice("state", &r.State, stream.StateActive, stream.StatePaused)
	r.paused = r.State == stream.StatePaused
	for _, name := range []string{"reason", "owner", "created", "changed"} {
		o.value(name)
	}
}
