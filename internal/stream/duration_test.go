package stream_test

import (
	"math"
	"testing"
	"time"

	"sluice/internal/stream"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"0": 0, "20": 20 * time.Second, "0.5": 500 * time.Millisecond, "1e3": 1000 * time.Second,
		"500ms": 500 * time.Millisecond, "20s": 20 * time.Second, "15m": 15 * time.Minute, "12h": 12 * time.Hour,
		"7d": 7 * day, "1d12h": 36 * time.Hour, "0d": 0, "0s": 0, "1h30m": 90 * time.Minute, "106751d": 106751 * day,
		"9223372036": 9223372036 * time.Second,
	} {
		if got, err := stream.ParseDuration(s); got != want || err != nil {
			t.Errorf("%s: got %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "d", "s", "-1", "-1s", "-1d", "1d-1h", "+1d", "1.5d", "1d1d", "1 d", " 1", "x", "nan", "inf", "1e300",
		"106752d", "106751d24h", "4294967297d", "9223372036.854775807", "9223372037", "1d5", "1w", "99999999h",
	} {
		if got, err := stream.ParseDuration(s); stream.CodeOf(err) != stream.InvalidRequest {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1: "1ns", 1500 * time.Microsecond: "1.5ms", 1500 * time.Millisecond: "1500ms", 90 * time.Second: "90s",
		time.Hour: "1h", 24 * time.Hour: "1d", 36 * time.Hour: "36h", 7 * 24 * time.Hour: "7d",
	} {
		if got := stream.FormatDuration(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func FuzzFormatDuration(f *testing.F) {
	f.Add(int64(0))
	f.Add(int64(math.MaxInt64))
	f.Add(int64(time.Hour))
	f.Fuzz(func(t *testing.T, n int64) {
		if n < 0 {
			return
		}
		text := stream.FormatDuration(time.Duration(n))
		if got, err := stream.ParseDuration(text); got != time.Duration(n) || err != nil {
			t.Errorf("%d is written %q, and read %d, %v", n, text, got, err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"1d12h", "0x1p-2", "9223372036.854775807", "106751d23h47m16.854775808s", "1e-9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := stream.ParseDuration(s); d < 0 || err != nil && d != 0 {
			t.Errorf("%q: got %d, %v", s, d, err)
		}
	})
}
