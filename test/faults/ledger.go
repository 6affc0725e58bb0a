package main

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// record is what a reader sees of one; n counts within the key.
type record struct {
	Partition int32
	Offset    int64
	Key       string
	Data      struct{ N int }
}

// id names a record.
type id struct {
	key string
	n   int
}

// spot is where a record lies in its stream.
type spot struct {
	partition int32
	offset    int64
}

// fate is what the client knows of a record.
type fate int

const (
	refused fate = iota // not_stored, and not tried again
	unclear             // unknown, or no answer at all
	stored              // 201
)

// ledger is what publishers know, and then what Kafka has.
type ledger struct {
	mu      sync.Mutex
	fates   map[id]fate
	places  map[id]string // where 201 said they are
	answers map[string]int
	since   map[string]int // by key: stored since the last restart
	clock   clock

	kafka  map[spot]id // what lies where
	behind int         // records of an unclear fate that lie after younger ones of their key
}

func newLedger() *ledger {
	return &ledger{fates: map[id]fate{}, places: map[id]string{}, answers: map[string]int{}, since: map[string]int{}, kafka: map[spot]id{}}
}

// note writes an answer down.
func (l *ledger) note(r id, f fate, answer, where string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[answer]++
	l.fates[r] = f
	if f == stored {
		l.places[r] = where
		l.since[r.key]++
		l.clock.tick(r.key, time.Now())
	}
}

// restart counts and measures from now on.
func (l *ledger) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.answers)
	clear(l.since)
	l.clock.restart()
}

// forget lets progress count from now on.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.since)
}

// progress says what keys have not had n records stored since the restart.
func (l *ledger) progress(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys() {
		if l.since[key] < n {
			return fmt.Errorf("%d records of %s were stored", l.since[key], key)
		}
	}
	return nil
}

// audit holds what Kafka has against what publishers were told.
func (l *ledger) audit(records []*kgo.Record) (missing, repeated int, broken []string) {
	newest, found := map[string]int{}, map[id]string{}
	for _, r := range records {
		var value struct{ Data struct{ N int } }
		if err := json.Unmarshal(r.Value, &value); err != nil {
			broken = append(broken, fmt.Sprintf("offset %d of partition %d is none of ours: %v", r.Offset, r.Partition, err))
			continue
		}
		this := id{string(r.Key), value.Data.N}
		where := fmt.Sprintf("%d/%d", r.Partition, r.Offset)
		if first, twice := found[this]; twice {
			repeated++
			broken = append(broken, fmt.Sprintf("%v is in Kafka twice, at %s and %s, after %v", this, first, where, l.fates[this]))
		}
		if found[this] == "" || where == l.places[this] {
			found[this] = where
		}
		l.kafka[spot{r.Partition, r.Offset}] = this
		f, known := l.fates[this]
		switch {
		case !known:
			broken = append(broken, fmt.Sprintf("%v at %s was never sent", this, where))
		case f == refused:
			broken = append(broken, fmt.Sprintf("%v was not_stored, and is at %s", this, where))
		case this.n < newest[this.key] && f == stored:
			broken = append(broken, fmt.Sprintf("%v at %s lies after %d of its key", this, where, newest[this.key]))
		case this.n < newest[this.key]:
			l.behind++
		}
		newest[this.key] = max(newest[this.key], this.n)
	}
	for this, f := range l.fates {
		switch where, ok := found[this]; {
		case f == stored && !ok:
			missing++
			broken = append(broken, fmt.Sprintf("%v was answered 201 (%s), and is not in Kafka", this, l.places[this]))
		case f == stored && where != l.places[this]:
			broken = append(broken, fmt.Sprintf("%v was said to be at %s, and is at %s", this, l.places[this], where))
		}
	}
	return missing, repeated, broken
}

// clock measures how long nothing happened, with any key and with one.
// The zero value is ready.
type clock struct {
	last   map[string]time.Time
	pauses map[string]time.Duration
}

// anyKey is the name of all keys together.
const anyKey = ""

func (c *clock) tick(key string, now time.Time) {
	if c.pauses == nil {
		c.last, c.pauses = map[string]time.Time{}, map[string]time.Duration{}
	}
	for _, k := range []string{key, anyKey} {
		if last, ok := c.last[k]; ok {
			c.pauses[k] = max(c.pauses[k], now.Sub(last))
		}
		c.last[k] = now
	}
}

func (c *clock) restart() { clear(c.pauses) }

// all gives the longest pause of everything, worst the longest one of a key.
func (c *clock) all() time.Duration { return c.pauses[anyKey] }

func (c *clock) worst() (d time.Duration) {
	for _, p := range c.pauses {
		d = max(d, p)
	}
	return d
}
