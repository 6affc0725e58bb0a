package main

import (
	"errors"
	"fmt"
	"slices"
)

// growth is what a line through the values, by least squares, gains from the
// first of them to the last.
func growth(values []float64) float64 {
	n := float64(len(values))
	if n < 2 {
		return 0
	}
	var sx, sy, sxx, sxy float64
	for i, y := range values {
		x := float64(i)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx) * (n - 1)
}

// mean is the arithmetic mean, 0 of nothing.
func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// flat says whether values do not grow: in their second half by less than a
// twentieth of their mean, or less than an amount.
func flat(values []float64, amount float64) (grown float64, ok bool) {
	half := values[len(values)/2:]
	grown = growth(half)
	return grown, grown < max(mean(half)/20, amount)
}

// steady says whether latencies of the last third are at most half as long
// again, and 5 ms, as those of the first third, by their medians.
func steady(values []float64) (first, last float64, ok bool) {
	third := max(len(values)/3, 1)
	first, last = median(values[:third]), median(values[len(values)-third:])
	return first, last, last <= 1.5*first+5
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// judge prints for each measure whether it is flat. The error says what is not.
func judge(minutes []minute) error {
	column := func(of func(minute) float64) []float64 {
		values := make([]float64, len(minutes))
		for i, m := range minutes {
			values[i] = of(m)
		}
		return values
	}
	var failed []error
	verdict := func(what, how string, ok bool) {
		word := "flat"
		if !ok {
			word = "NOT flat"
			failed = append(failed, fmt.Errorf("%s is not flat: %s", what, how))
		}
		print("| %s | %s | %s |", what, how, word)
	}
	print("| measure | change | verdict |")
	print("|---|---|---|")
	for _, row := range []struct {
		what   string
		of     func(minute) float64
		amount float64
	}{
		{"RSS, MB", func(m minute) float64 { return m.resident }, 16},
		{"heap, MB", func(m minute) float64 { return m.heap }, 16},
		{"goroutines", func(m minute) float64 { return m.goroutines }, 20},
		{"descriptors", func(m minute) float64 { return m.open }, 20},
		{"threads", func(m minute) float64 { return m.threads }, 3},
	} {
		grown, ok := flat(column(row.of), row.amount)
		verdict(row.what, fmt.Sprintf("%+.1f over the second half", grown), ok)
	}
	for what, of := range map[string]func(minute) float64{
		"p99 of publishing, ms": func(m minute) float64 { return m.p99 },
		"p99 of events, ms":     func(m minute) float64 { return m.sse },
	} {
		first, last, ok := steady(column(of))
		verdict(what, fmt.Sprintf("%.1f in the first third, %.1f in the last", first, last), ok)
	}
	print("")
	return errors.Join(failed...)
}
