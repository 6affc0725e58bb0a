package stream_test

import (
	"math"
	"testing"
	"time"

	"sluice/internal/stream"
)

func TestRetryPause(t *testing.T) {
	plain := stream.Retry{Initial: 5 * time.Second, Max: time.Hour, Multiplier: 4}
	half := plain
	half.Jitter = 0.5
	all := plain
	all.Jitter = 1
	shrinking := plain
	shrinking.Multiplier = 0.1
	for name, tc := range map[string]struct {
		retry   stream.Retry
		attempt int
		asked   time.Duration
		random  float64
		want    time.Duration
	}{
		"after the first":         {plain, 1, 0, 0, 5 * time.Second},
		"after the third":         {plain, 3, 0, 0.9, 80 * time.Second},
		"no more than the cap":    {plain, 10, 0, 0, time.Hour},
		"very many":               {plain, math.MaxInt, 0, 0, time.Hour},
		"no attempt yet":          {plain, 0, 0, 0, 5 * time.Second},
		"half random, least":      {half, 1, 0, 0, 2500 * time.Millisecond},
		"half random, more":       {half, 1, 0, 0.5, 3750 * time.Millisecond},
		"all random, least":       {all, 1, 0, 0, 0},
		"all random, at the cap":  {all, 100, 0, 0.5, 30 * time.Minute},
		"it never shrinks":        {shrinking, 3, 0, 0, 5 * time.Second},
		"asked for more":          {plain, 1, time.Minute, 0, time.Minute},
		"asked for less":          {plain, 1, time.Second, 0, 5 * time.Second},
		"asked for beyond a cap":  {plain, 1, 2 * time.Hour, 0, 2 * time.Hour},
		"nothing said":            {stream.Retry{}, 3, 0, 0.5, 0},
		"nothing said, but asked": {stream.Retry{}, 3, time.Second, 0.5, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.retry.Pause(tc.attempt, tc.asked, tc.random); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRetryExhausted(t *testing.T) {
	both := stream.Retry{MaxAttempts: 3, MaxAge: time.Hour}
	for name, tc := range map[string]struct {
		retry    stream.Retry
		attempts int
		age      time.Duration
		want     bool
	}{
		"neither":            {both, 2, 59 * time.Minute, false},
		"attempts":           {both, 3, time.Second, true},
		"age":                {both, 1, time.Hour, true},
		"no bound":           {stream.Retry{}, math.MaxInt, math.MaxInt64, false},
		"attempts alone":     {stream.Retry{MaxAttempts: 1}, 1, 0, true},
		"of age no bound":    {stream.Retry{MaxAttempts: 5}, 4, math.MaxInt64, false},
		"of number no bound": {stream.Retry{MaxAge: time.Hour}, math.MaxInt, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.retry.Exhausted(tc.attempts, tc.age); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
