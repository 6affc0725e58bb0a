package delivery

import (
	"math/rand/v2"
	"time"
)

// The pauses of an endpoint that is in trouble.
const (
	firstPause = time.Second
	maxPause   = time.Minute
)

// throttle decides how many requests an endpoint gets at a time. An endpoint
// that does not answer, or asks for less (429, 502, 503, 504), is tried with
// one request at a time, after pauses that double up to a minute. Once one
// succeeds it gets two, and twice as many whenever that many have succeeded,
// until it is back at the subscription's max_in_flight.
type throttle struct {
	slowed bool
	limit  int           // when slowed: requests at a time
	good   int           // how many have succeeded at this limit
	pause  time.Duration // the last one, without jitter
	until  time.Time     // no request before
	round  int           // raised with each slowing
}

// most gives how many requests may be under way at a time.
func (t *throttle) most(full int) int {
	if t.slowed {
		return min(t.limit, full)
	}
	return full
}

// slow notes that a request of a round found the endpoint in trouble. It gives
// true when the endpoint seemed well until then, which puts the blame on the
// request. Requests of earlier rounds tell nothing new.
func (t *throttle) slow(round int, now time.Time, retryAfter time.Duration) (blame bool) {
	if round < t.round {
		t.wait(now, retryAfter)
		return false
	}
	blame = !t.slowed || t.limit > 1
	if t.slowed {
		t.pause = min(2*t.pause, maxPause)
	} else {
		t.pause = firstPause
	}
	t.slowed, t.limit, t.good = true, 1, 0
	t.round++
	t.wait(now, max(retryAfter, jitter(t.pause)))
	return blame
}

func (t *throttle) wait(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(t.until) {
		t.until = until
	}
}

// success notes that a request of a round succeeded. It gives true for the
// first one after a slowing.
func (t *throttle) success(round, full int) (recovers bool) {
	if !t.slowed || round < t.round {
		return false
	}
	recovers = t.limit == 1
	if t.good++; t.good < t.limit {
		return recovers
	}
	t.good, t.limit = 0, 2*t.limit
	if t.limit > full || t.limit > 1<<20 {
		t.slowed = false
	}
	return recovers
}

// jitter gives a time between 0.8 and 1.2 times d.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // a pause is no secret
}
