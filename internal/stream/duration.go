package stream

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// day is the one unit that Go's durations lack and retention needs.
const day = 24 * time.Hour

// ParseDuration reads a duration as the API and the configuration write it:
// a number of seconds ("20", "0.5") or a number with a unit ("500ms", "20s",
// "15m", "12h", "7d"; several may follow each other, as in "1d12h"). It is not
// negative. The error's code is InvalidRequest.
func ParseDuration(s string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		return fromSeconds(seconds)
	}
	var days time.Duration
	rest := s
	if n, after, found := strings.Cut(s, "d"); found {
		count, err := strconv.ParseUint(n, 10, 32)
		if err != nil || count > uint64(math.MaxInt64/day) {
			return 0, badDuration()
		}
		days, rest = time.Duration(count)*day, after
	}
	if rest == "" && s != "" {
		return days, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || days+d < 0 {
		return 0, badDuration()
	}
	return days + d, nil
}

// FormatDuration writes d so that ParseDuration reads it back: with the
// largest unit that divides it.
func FormatDuration(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if d != 0 && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.name
		}
	}
	return d.String()
}

func fromSeconds(s float64) (time.Duration, error) {
	// Rounded to a float the limit is itself too large, and NaN is not less.
	if !(s >= 0 && s < math.MaxInt64/float64(time.Second)) {
		return 0, badDuration()
	}
	return time.Duration(s * float64(time.Second)), nil
}

func badDuration() error {
	return Errorf(InvalidRequest, `a duration is a number of seconds, or a number with a unit: "500ms", "20s", "15m", "12h", "7d"`)
}
