package subscriptions

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"sluice/internal/stream"
)

const (
	// reportNews is how long an owner waits before it tells of a change for the
	// better or worse; reportMore before it tells that all goes on as it did.
	reportNews = 5 * time.Second
	reportMore = 30 * time.Second
	// maxAttemptDetail bounds the text that is told of an attempt, in bytes.
	maxAttemptDetail = 300
)

// healthEntry is what an owner told, and the revision of it.
type healthEntry struct {
	health   stream.Health
	revision int64
}

// storedHealth is how a stream.Health lies in the log.
type storedHealth struct {
	V           int             `json:"v"`
	At          time.Time       `json:"at"`
	InFlight    int             `json:"in_flight,omitempty"`
	Waiting     int             `json:"waiting,omitempty"`
	Slowed      bool            `json:"slowed,omitempty"`
	LastSuccess time.Time       `json:"last_success,omitzero"`
	LastError   storedAttempt   `json:"last_error,omitzero"`
	Attempts    []storedAttempt `json:"attempts,omitempty"`
}

type storedAttempt struct {
	At      time.Time `json:"at"`
	TookMs  int64     `json:"took_ms"`
	Status  int       `json:"status,omitempty"`
	Outcome int       `json:"outcome"`
	Detail  string    `json:"detail,omitempty"`
}

// Report tells the other gateways of the fleet how the deliveries of a
// subscription go, as only its owner knows. It may be called as often as one
// likes: it writes what is news after 5 seconds, and once in 30 seconds that all
// goes on as it did, and does nothing else.
func (s *Store) Report(ctx context.Context, id string, h stream.Health) error {
	e := s.entry(id)
	if !e.live() {
		return nil
	}
	last := s.healthOf(id)
	h.At = now()
	kept := storeHealth(h)
	h = loadHealth(kept)
	if !due(last.health, h) {
		return nil
	}
	value, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	_, err = s.log.Write(ctx, healthEntity+id, last.revision, value)
	return err
}

// due says whether what an owner has to tell is worth a record by now.
func due(last, next stream.Health) bool {
	since := next.At.Sub(last.At)
	switch {
	case next.LastSuccess.Equal(last.LastSuccess) && next.LastError.At.Equal(last.LastError.At) &&
		next.Slowed == last.Slowed && next.Waiting == last.Waiting:
		return false
	case next.Slowed != last.Slowed, !next.LastError.At.Equal(last.LastError.At), (next.Waiting == 0) != (last.Waiting == 0), last.LastSuccess.IsZero():
		return since >= reportNews
	}
	return since >= reportMore
}

func storeHealth(h stream.Health) storedHealth {
	out := storedHealth{
		V: 1, At: h.At, InFlight: h.InFlight, Waiting: h.Waiting, Slowed: h.Slowed,
		LastSuccess: h.LastSuccess.UTC().Truncate(time.Millisecond), LastError: storeAttempt(h.LastError),
	}
	for _, a := range h.Attempts[:min(len(h.Attempts), stream.MaxHealthAttempts)] {
		out.Attempts = append(out.Attempts, storeAttempt(a))
	}
	return out
}

func loadHealth(in storedHealth) stream.Health {
	h := stream.Health{
		At: in.At, InFlight: in.InFlight, Waiting: in.Waiting, Slowed: in.Slowed,
		LastSuccess: in.LastSuccess, LastError: loadAttempt(in.LastError),
	}
	for _, a := range in.Attempts {
		h.Attempts = append(h.Attempts, loadAttempt(a))
	}
	return h
}

func storeAttempt(a stream.Attempt) storedAttempt {
	return storedAttempt{
		At: a.At.UTC().Truncate(time.Millisecond), TookMs: a.Took.Milliseconds(), Status: a.Status, Outcome: int(a.Outcome),
		Detail: strings.ToValidUTF8(a.Detail[:min(len(a.Detail), maxAttemptDetail)], ""),
	}
}

func loadAttempt(a storedAttempt) stream.Attempt {
	return stream.Attempt{
		At: a.At, Took: time.Duration(a.TookMs) * time.Millisecond, Status: a.Status,
		Outcome: stream.DeliveryOutcome(a.Outcome), Detail: a.Detail,
	}
}

// applyHealth takes what an owner told.
func (s *Store) applyHealth(id string, e stream.Entry) error {
	next := &healthEntry{revision: e.Revision}
	var err error
	if e.Value != nil {
		var in storedHealth
		if err = json.Unmarshal(e.Value, &in); err == nil && in.V != 1 {
			err = errors.New("it has another form than this gateway reads")
		}
		if err == nil {
			next.health = loadHealth(in)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health[id] = next
	return err
}

func (s *Store) healthOf(id string) healthEntry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if h := s.health[id]; h != nil {
		return *h
	}
	return healthEntry{}
}

func (s *Store) lastHealth(id string) stream.Health { return s.healthOf(id).health }

// forgetHealth takes out what was told of a subscription that is deleted. What
// stays when it fails is a few bytes, and would be shown for a subscription of
// that id until its owner tells more.
func (s *Store) forgetHealth(ctx context.Context, id string) {
	last := s.healthOf(id)
	if last.revision == 0 || last.health.At.IsZero() {
		return
	}
	if _, err := s.log.Write(context.WithoutCancel(ctx), healthEntity+id, last.revision, nil); err != nil {
		s.logger.Warn("cannot forget how a deleted subscription's deliveries went", slog.String("subscription", id), slog.Any("error", err))
	}
}
