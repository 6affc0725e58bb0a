package kafka

import (
	"strings"
	"sync"
	"time"
)

// repeatInterval is how long a message of librdkafka's is not logged again, and
// repeatShapes how many different ones are remembered.
const (
	repeatInterval = time.Minute
	repeatShapes   = 1000
)

// repeats tells messages that were logged a short while ago. librdkafka says
// the same with every attempt, about one a second, for each client and broker.
type repeats struct {
	mu   sync.Mutex
	last map[string]time.Time // by shape
}

// again says whether the message was heard within the last minute.
func (r *repeats) again(message string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, now := shape(message), time.Now()
	if now.Sub(r.last[s]) < repeatInterval {
		return true
	}
	if r.last == nil || len(r.last) >= repeatShapes {
		r.last = map[string]time.Time{}
	}
	r.last[s] = now
	return false
}

// shape takes away what differs between equal messages: how long the attempt
// took, and how many there were.
func shape(message string) string {
	s, _, _ := strings.Cut(message, " (after ")
	return s
}
