package httpapi

import (
	"encoding/base64"
	"time"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// secretMark begins a secret, by Standard Webhooks.
const secretMark = "whsec_"

// subscriptionInfo is a subscription as it is answered. What GET answers, PUT
// takes.
type subscriptionInfo struct {
	ID          string       `json:"id"`
	Streams     string       `json:"streams"`
	Group       string       `json:"group"`
	From        string       `json:"from"`
	Endpoint    endpointInfo `json:"endpoint"`
	View        string       `json:"view"`
	Filter      *string      `json:"filter"` // null: every record
	Batch       batchInfo    `json:"batch"`
	Ordering    string       `json:"ordering"`
	MaxInFlight int          `json:"max_in_flight"`
	Timeout     duration     `json:"timeout"`
	Retry       retryInfo    `json:"retry"`
	OnExhausted string       `json:"on_exhausted"`
	DeadLetter  string       `json:"dead_letter"`
	Publishes   *string      `json:"publishes"` // null: none
	State       string       `json:"state"`
	Reason      *string      `json:"reason"`          // null: active
	Owner       string       `json:"owner,omitempty"` // of those made where callers say who they are
	Created     string       `json:"created"`
	Changed     string       `json:"changed"`
}

// endpointInfo shows secrets and the values of headers only to whoever has just
// set them.
type endpointInfo struct {
	URL           string             `json:"url"`
	Headers       map[string]*string `json:"headers"` // null: there is a value
	Secret        string             `json:"secret,omitempty"`
	PreviousSigns string             `json:"previous_secret_until,omitempty"`
}

type batchInfo struct {
	MaxRecords int      `json:"max_records"`
	MaxWait    duration `json:"max_wait"`
}

type retryInfo struct {
	Initial     duration `json:"initial"`
	Max         duration `json:"max"`
	Multiplier  float64  `json:"multiplier"`
	Jitter      float64  `json:"jitter"`
	MaxAttempts int      `json:"max_attempts"` // 0: no bound
	MaxAge      duration `json:"max_age"`      // 0: no bound
	Statuses    []int    `json:"statuses,omitempty"`
}

// duration is written with the largest unit that divides it.
type duration time.Duration

// MarshalText writes a duration as bodies have it.
func (d duration) MarshalText() ([]byte, error) {
	return []byte(stream.FormatDuration(time.Duration(d))), nil
}

func newSubscriptionInfo(sub *stream.Subscription, secrets bool) subscriptionInfo {
	return subscriptionInfo{
		ID: sub.ID, Streams: sub.Streams.String(), Group: sub.Group, From: sub.From,
		Endpoint: newEndpointInfo(&sub.Endpoint, secrets),
		View:     sub.View, Filter: optional(sub.Filter),
		Batch:    batchInfo{sub.Batch.MaxRecords, duration(sub.Batch.MaxWait)},
		Ordering: sub.Ordering, MaxInFlight: sub.MaxInFlight, Timeout: duration(sub.Timeout),
		Retry: retryInfo{
			duration(sub.Retry.Initial), duration(sub.Retry.Max), sub.Retry.Multiplier, sub.Retry.Jitter,
			sub.Retry.MaxAttempts, duration(sub.Retry.MaxAge), sub.Retry.Statuses,
		},
		OnExhausted: sub.OnExhausted, DeadLetter: sub.DeadLetter, Publishes: optional(sub.Publishes),
		State: sub.State, Reason: optional(sub.Reason), Owner: sub.Owner.Name,
		Created: sub.Created.UTC().Format(recordjson.TimeLayout), Changed: sub.Changed.UTC().Format(recordjson.TimeLayout),
	}
}

func newEndpointInfo(e *stream.Endpoint, secrets bool) endpointInfo {
	out := endpointInfo{URL: e.URL, Headers: map[string]*string{}}
	for _, h := range e.Headers {
		out.Headers[h.Name] = nil
		if secrets {
			value := string(h.Value)
			out.Headers[h.Name] = &value
		}
	}
	if secrets && len(e.Secrets) > 0 {
		out.Secret = secretMark + base64.StdEncoding.EncodeToString(e.Secrets[0].Key)
	}
	var until time.Time
	for _, s := range e.Secrets {
		if s.Until.After(until) {
			until = s.Until
		}
	}
	if until.After(time.Now()) {
		out.PreviousSigns = until.UTC().Format(recordjson.TimeLayout)
	}
	return out
}

// optional gives nil for a text that is not there.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// optionalTime gives nil for a time that is not there.
func optionalTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(recordjson.TimeLayout)
	return &s
}

// attemptInfo is one attempt of a delivery.
type attemptInfo struct {
	At      string   `json:"at"`
	Took    duration `json:"took"`
	Outcome string   `json:"outcome"`
	Status  *int     `json:"status"` // null: there was no answer
	Detail  *string  `json:"detail"`
}

func newAttemptInfo(a *stream.Attempt) attemptInfo {
	out := attemptInfo{
		At: a.At.UTC().Format(recordjson.TimeLayout), Took: duration(a.Took.Truncate(time.Millisecond)),
		Outcome: a.Outcome.String(), Detail: optional(a.Detail),
	}
	if a.Status != 0 {
		out.Status = &a.Status
	}
	return out
}

// statusInfo is how far a subscription has come.
type statusInfo struct {
	ID          string          `json:"id"`
	State       string          `json:"state"`
	Reason      *string         `json:"reason"`
	Detail      string          `json:"detail,omitempty"`
	Lag         int64           `json:"lag"`
	DeadLetters int64           `json:"dead_letters"`
	Partitions  []partitionInfo `json:"partitions"`
	// What the owner told last; null at: no owner has told anything yet.
	Reported    *string       `json:"reported"`
	InFlight    int           `json:"in_flight"`
	Waiting     int           `json:"waiting"`
	Slowed      bool          `json:"slowed"`
	LastSuccess *string       `json:"last_success"`
	LastError   *attemptInfo  `json:"last_error"`
	Attempts    []attemptInfo `json:"attempts"`
}

type partitionInfo struct {
	Stream    string `json:"stream"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"`
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
}

func newStatusInfo(s *stream.SubscriptionStatus) statusInfo {
	h := &s.Health
	out := statusInfo{
		ID: s.ID, State: s.State, Reason: optional(s.Reason), Detail: s.Detail, Lag: s.Lag, DeadLetters: s.DeadLetters,
		Partitions: []partitionInfo{}, Reported: optionalTime(h.At), InFlight: h.InFlight, Waiting: h.Waiting,
		Slowed: h.Slowed, LastSuccess: optionalTime(h.LastSuccess), Attempts: []attemptInfo{},
	}
	for _, p := range s.Partitions {
		out.Partitions = append(out.Partitions, partitionInfo{p.Stream, p.Number, p.Next, p.End, p.Lag})
	}
	if !h.LastError.At.IsZero() {
		last := newAttemptInfo(&h.LastError)
		out.LastError = &last
	}
	for i := range h.Attempts {
		out.Attempts = append(out.Attempts, newAttemptInfo(&h.Attempts[i]))
	}
	return out
}
