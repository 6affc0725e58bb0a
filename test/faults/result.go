package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// result is what a fault did.
type result struct {
	fault   fault
	lasted  time.Duration
	records int // in Kafka, from before the fault to after it

	answers map[string]int // of publishers, since the fault began
	reads   map[string]int // of readers of pages; and why event streams were read anew

	publishing, publishingKey, eventsKey, hookKey time.Duration // the longest pauses

	missing, repeated, again int // again: deliveries that came more than once
	behind                   int
	broken                   []string
}

// collect adds what publishers and readers have counted and measured.
func (r *result) collect(t *trial) {
	r.reads = map[string]int{}
	for _, w := range t.witnesses() {
		for _, wrong := range w.strange(t.published.kafka) {
			r.broken = append(r.broken, w.name+": "+wrong)
		}
		w.mu.Lock()
		for a, n := range w.answers {
			r.reads[a] += n
		}
		if !w.atLeastOnce {
			r.repeated += w.repeated
		}
		w.mu.Unlock()
	}
	for _, w := range t.events {
		r.eventsKey = max(r.eventsKey, w.clock.worst())
	}
	r.hookKey, r.again = t.hook.clock.worst(), t.hook.repeated
	l := t.published
	r.answers, r.behind = l.answers, l.behind
	r.publishing, r.publishingKey = l.clock.all(), l.clock.worst()
	for a := range r.answers {
		if !described(a, t.fault.ends) {
			r.broken = append(r.broken, fmt.Sprintf("the answer %q came %d times", a, r.answers[a]))
		}
	}
	for a := range r.reads {
		if !describedForReaders(a, t.fault.ends) {
			r.broken = append(r.broken, fmt.Sprintf("a reader was told %q %d times", a, r.reads[a]))
		}
	}
}

// describedForReaders says whether what a reader was told is described for such
// times.
func describedForReaders(a string, gatewaysEnd bool) bool {
	switch a {
	case "connected again", "problem", "end", "503 kafka-unavailable", "503 overloaded", "504 outcome-unknown":
		return true
	}
	return gatewaysEnd && a == noAnswer
}

// counts gives how many requests to publish were answered 201, refused, of an
// unknown outcome, and not answered.
func (r *result) counts() (stored, refused, unknown, none int) {
	for a, n := range r.answers {
		switch {
		case a == "201":
			stored += n
		case a == noAnswer:
			none += n
		case strings.HasSuffix(a, " not_stored"):
			refused += n
		default:
			unknown += n
		}
	}
	return stored, refused, unknown, none
}

// line is for who watches.
func (r *result) line() string {
	s, f, u, n := r.counts()
	return fmt.Sprintf("%s: lasted %s; 201 %d, refused %d, unknown %d, no answer %d; pauses: publishing %s, of a key %s, events %s, webhook %s; missing %d, repeated %d, delivered again %d",
		r.fault.name, seconds(r.lasted), s, f, u, n, seconds(r.publishing), seconds(r.publishingKey), seconds(r.eventsKey), seconds(r.hookKey), r.missing, r.repeated, r.again)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// sorted gives what was counted, the most frequent first.
func sorted(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s: %d", name, counts[name]))
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, "; ")
}
