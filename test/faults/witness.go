package main

import (
	"fmt"
	"sync"
	"time"
)

// witness is a reader, and what it has seen.
type witness struct {
	name string
	// atLeastOnce says that records may come again, as webhooks' may.
	atLeastOnce bool

	mu       sync.Mutex
	seen     map[spot]int
	last     map[string]int64 // by key: the newest offset
	since    map[string]int   // by key: seen since the last restart
	answers  map[string]int
	repeated int
	wrong    []string
	clock    clock
}

func newWitness(name string, atLeastOnce bool) *witness {
	return &witness{name: name, atLeastOnce: atLeastOnce, seen: map[spot]int{}, last: map[string]int64{}, since: map[string]int{}, answers: map[string]int{}}
}

// take notes that a record came. What Kafka has twice comes twice: that is not
// the reader's fault.
func (w *witness) take(r record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	this, where := id{r.Key, r.Data.N}, spot{r.Partition, r.Offset}
	w.seen[where]++
	if w.seen[where] > 1 {
		w.repeated++
		if !w.atLeastOnce {
			w.wrong = append(w.wrong, fmt.Sprintf("%v at %v came again", this, where))
		}
		return
	}
	w.since[r.Key]++
	w.clock.tick(r.Key, time.Now())
	if last, ok := w.last[r.Key]; ok && r.Offset < last {
		w.wrong = append(w.wrong, fmt.Sprintf("%v, at offset %d, came after offset %d of its key", this, r.Offset, last))
	}
	w.last[r.Key] = max(w.last[r.Key], r.Offset)
}

// answer counts an answer other than a good one.
func (w *witness) answer(a string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[a]++
}

func (w *witness) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *witness) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.since)
	clear(w.answers)
	w.repeated = 0
	w.clock.restart()
}

// forget lets progress count from now on.
func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.since)
}

// progress says what keys it has not seen n records of since the restart.
func (w *witness) progress(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys() {
		if w.since[key] < n {
			return fmt.Errorf("%s has seen %d records of %s", w.name, w.since[key], key)
		}
	}
	return nil
}

// missing says how many of the records that Kafka has it has not seen.
func (w *witness) missing(kafka map[spot]id) (n int, example string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for where, this := range kafka {
		if w.seen[where] == 0 {
			n++
			example = fmt.Sprintf("%v at %v", this, where)
		}
	}
	return n, example
}

// strange says what it has seen that Kafka does not have.
func (w *witness) strange(kafka map[spot]id) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for where := range w.seen {
		if _, ok := kafka[where]; !ok {
			w.wrong = append(w.wrong, fmt.Sprintf("%v came, and is not in Kafka", where))
		}
	}
	return w.wrong
}
