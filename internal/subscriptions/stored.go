package subscriptions

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sluice/internal/stream"
)

// storedVersion is the version of the form in which subscriptions are stored.
// A gateway that meets a higher one leaves the subscription alone.
const storedVersion = 1

// stored is how a subscription lies in the log. Durations are milliseconds.
// Members may be added; what an older gateway does not know must be such that
// it may pass it over, or the version has to rise.
type stored struct {
	V           int            `json:"v"`
	Pending     bool           `json:"pending,omitempty"`
	Group       string         `json:"group"`
	Streams     string         `json:"streams"`
	From        string         `json:"from"`
	URL         string         `json:"url"`
	Private     *private       `json:"private,omitempty"` // one of these two
	Sealed      []byte         `json:"sealed,omitempty"`
	View        string         `json:"view"`
	Filter      string         `json:"filter,omitempty"`
	MaxRecords  int            `json:"max_records"`
	MaxWait     int64          `json:"max_wait,omitempty"`
	Ordering    string         `json:"ordering"`
	MaxInFlight int            `json:"max_in_flight"`
	Timeout     int64          `json:"timeout"`
	Retry       storedRetry    `json:"retry"`
	OnExhausted string         `json:"on_exhausted"`
	DeadLetter  string         `json:"dead_letter"`
	Publishes   string         `json:"publishes,omitempty"`
	Owner       *storedOwner   `json:"owner,omitempty"` // nil: nobody
	State       string         `json:"state"`
	Reason      string         `json:"reason,omitempty"`
	Created     time.Time      `json:"created"`
	Changed     time.Time      `json:"changed"`
	Generation  int64          `json:"generation,omitempty"`
	Begin       []storedBegin  `json:"begin,omitempty"`
	Redrive     *storedRedrive `json:"redrive,omitempty"`
}

type storedOwner struct {
	Name   string              `json:"name"`
	Claims map[string][]string `json:"claims,omitempty"`
}

type storedRetry struct {
	Initial     int64   `json:"initial"`
	Max         int64   `json:"max"`
	Multiplier  float64 `json:"multiplier"`
	Jitter      float64 `json:"jitter"`
	MaxAttempts int     `json:"max_attempts,omitempty"`
	MaxAge      int64   `json:"max_age,omitempty"`
	Statuses    []int   `json:"statuses,omitempty"`
}

// private is what nobody may read in the log when there is a key.
type private struct {
	Headers []storedHeader `json:"headers,omitempty"`
	Secrets []storedSecret `json:"secrets"`
}

type storedHeader struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

type storedSecret struct {
	Key   []byte    `json:"key"`
	Until time.Time `json:"until,omitzero"`
}

type storedBegin struct {
	Stream     string  `json:"stream"`
	TopicID    string  `json:"topic_id"`
	Generation int64   `json:"generation,omitempty"`
	Offsets    []int64 `json:"offsets"`
}

type storedRedrive struct {
	Generation int64         `json:"generation"`
	Until      []storedBegin `json:"until"`
}

// encode writes a subscription for the log.
func (s *Store) encode(sub *stream.Subscription, pending bool) ([]byte, error) {
	out := stored{
		V: storedVersion, Pending: pending, Group: sub.Group, Streams: sub.Streams.String(), From: sub.From, URL: sub.Endpoint.URL,
		View: sub.View, Filter: sub.Filter, MaxRecords: sub.Batch.MaxRecords, MaxWait: sub.Batch.MaxWait.Milliseconds(),
		Ordering: sub.Ordering, MaxInFlight: sub.MaxInFlight, Timeout: sub.Timeout.Milliseconds(),
		Retry: storedRetry{
			Initial: sub.Retry.Initial.Milliseconds(), Max: sub.Retry.Max.Milliseconds(), Multiplier: sub.Retry.Multiplier,
			Jitter: sub.Retry.Jitter, MaxAttempts: sub.Retry.MaxAttempts, MaxAge: sub.Retry.MaxAge.Milliseconds(),
			Statuses: sub.Retry.Statuses,
		},
		OnExhausted: sub.OnExhausted, DeadLetter: sub.DeadLetter, Publishes: sub.Publishes, State: sub.State, Reason: sub.Reason,
		Created: sub.Created, Changed: sub.Changed, Generation: sub.Generation, Begin: storeBegin(sub.Begin),
	}
	if sub.Owner.Name != "" {
		out.Owner = &storedOwner{sub.Owner.Name, sub.Owner.Claims}
	}
	if sub.Redrive.Generation != 0 {
		out.Redrive = &storedRedrive{sub.Redrive.Generation, storeBegin(sub.Redrive.Until)}
	}
	if err := s.hide(&out, sub); err != nil {
		return nil, err
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write subscription %s: %w", sub.ID, err)
	}
	return b, nil
}

func (s *Store) hide(out *stored, sub *stream.Subscription) error {
	p := &private{}
	for _, h := range sub.Endpoint.Headers {
		p.Headers = append(p.Headers, storedHeader(h))
	}
	for _, k := range sub.Endpoint.Secrets {
		p.Secrets = append(p.Secrets, storedSecret(k))
	}
	if !s.box.seals() {
		out.Private = p
		return nil
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write subscription %s: %w", sub.ID, err)
	}
	out.Sealed = s.box.seal(sub.ID, text)
	return nil
}

// decode reads a subscription of the log.
func (s *Store) decode(id string, value []byte) (sub *stream.Subscription, pending bool, err error) {
	var in stored
	if err := json.Unmarshal(value, &in); err != nil {
		return nil, false, errors.New("it is not a subscription") // the JSON error may hold a secret
	}
	if in.V != storedVersion {
		return nil, false, fmt.Errorf("it has the form %d, and this gateway reads form %d", in.V, storedVersion)
	}
	pattern, err := stream.ParsePattern(in.Streams)
	if err != nil {
		return nil, false, err
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	sub = &stream.Subscription{
		ID: id, Group: in.Group, Streams: pattern, From: in.From, View: in.View, Filter: in.Filter,
		Batch:    stream.Batch{MaxRecords: max(1, in.MaxRecords), MaxWait: ms(in.MaxWait)},
		Ordering: in.Ordering, MaxInFlight: max(1, in.MaxInFlight), Timeout: ms(in.Timeout),
		Retry: stream.Retry{
			Initial: ms(in.Retry.Initial), Max: ms(in.Retry.Max), Multiplier: in.Retry.Multiplier, Jitter: in.Retry.Jitter,
			MaxAttempts: in.Retry.MaxAttempts, MaxAge: ms(in.Retry.MaxAge), Statuses: in.Retry.Statuses,
		},
		OnExhausted: in.OnExhausted, DeadLetter: in.DeadLetter, Publishes: in.Publishes, State: in.State, Reason: in.Reason,
		Created: in.Created, Changed: in.Changed, Generation: in.Generation, Begin: loadBegin(in.Begin),
	}
	if in.Owner != nil {
		sub.Owner = stream.Principal{Name: in.Owner.Name, Claims: in.Owner.Claims}
	}
	if in.Redrive != nil {
		sub.Redrive = stream.Redrive{Generation: in.Redrive.Generation, Until: loadBegin(in.Redrive.Until)}
	}
	sub.Endpoint, err = s.show(id, &in)
	return sub, in.Pending, err
}

func (s *Store) show(id string, in *stored) (stream.Endpoint, error) {
	e := stream.Endpoint{URL: in.URL}
	p := in.Private
	if p == nil {
		text, err := s.box.open(id, in.Sealed)
		if err != nil {
			return e, err
		}
		p = &private{}
		if json.Unmarshal(text, p) != nil {
			return e, errors.New("its secrets cannot be read")
		}
	}
	for _, h := range p.Headers {
		e.Headers = append(e.Headers, stream.Header(h))
	}
	for _, k := range p.Secrets {
		e.Secrets = append(e.Secrets, stream.Secret(k))
	}
	return e, nil
}

func storeBegin(list []stream.Beginning) []storedBegin {
	var out []storedBegin
	for _, b := range list {
		out = append(out, storedBegin(b))
	}
	return out
}

func loadBegin(list []storedBegin) []stream.Beginning {
	var out []stream.Beginning
	for _, b := range list {
		out = append(out, stream.Beginning(b))
	}
	return out
}
