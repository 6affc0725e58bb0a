package stream

import (
	"math"
	"time"
)

// Pause says how long to wait after the failed attempt of that number (from 1)
// before the next: Initial, growing by Multiplier to Max at most. Of that pause
// the part Jitter is random; random is a number from 0 up to 1. An endpoint
// that asked for more (asked, 0 for nothing) gets more, even beyond Max; the
// sender has bounded what it may ask for.
func (r Retry) Pause(attempt int, asked time.Duration, random float64) time.Duration {
	grown := float64(r.Initial) * math.Pow(max(1, r.Multiplier), float64(max(1, attempt)-1))
	if !(grown < float64(r.Max)) { // an overflow is infinite
		grown = float64(r.Max)
	}
	pause := grown * (1 - min(1, max(0, r.Jitter))*(1-random))
	return max(0, asked, time.Duration(pause))
}

// Exhausted says whether a delivery was tried often enough, after so many
// attempts of which the first was made so long ago.
func (r Retry) Exhausted(attempts int, age time.Duration) bool {
	return r.MaxAttempts > 0 && attempts >= r.MaxAttempts || r.MaxAge > 0 && age >= r.MaxAge
}
