package kafka

import (
	"sync"
	"time"
)

// gatherFor is how long a value waits for others at most. Go's timers may take
// a millisecond longer on a machine that has nothing else to do.
const gatherFor = time.Millisecond

// gather makes bursts of the values that many goroutines bring one at a time.
// A request to the broker costs the broker, and the thread that makes it, far
// more than a record does, and it is answered so soon that few records come
// meanwhile. So a record waits until half of all that are under way are held,
// and these go at once. Who publishes alone never waits; many are halved into
// those whose records are away and those whose are being gathered. That adapts
// to the load within two bursts, where a linger would not.
//
// It knows nothing of Kafka. Any number of goroutines may use it.
type gather[T any] struct {
	release func([]T) // takes a burst, in order; must not keep the slice

	mu    sync.Mutex
	held  []T
	spare []T // an array for the next burst
	away  int // went and are not back
	peak  int // the most that were held and away together since the last burst
	last  int // the same, between that and the one before
	level int // the larger of the two when the last burst went
	timer *time.Timer
	armed bool
}

func newGather[T any](release func([]T)) *gather[T] { return &gather[T]{release: release} }

// add holds v until its burst goes: at once, on this goroutine, or within
// gatherFor.
func (g *gather[T]) add(v T) {
	g.mu.Lock()
	g.held = append(g.held, v)
	g.peak = max(g.peak, len(g.held)+g.away)
	if 2*len(g.held) >= g.level {
		g.letGo()
		return
	}
	if !g.armed {
		g.arm()
	}
	g.mu.Unlock()
}

// back says that one of those that went is away no more.
func (g *gather[T]) back() {
	g.mu.Lock()
	g.away--
	g.mu.Unlock()
}

// flush lets go what is held.
func (g *gather[T]) flush() {
	g.mu.Lock()
	g.letGo()
}

// late lets go what has waited long enough.
func (g *gather[T]) late() {
	g.mu.Lock()
	if !g.armed { // it went while this waited for the lock
		g.mu.Unlock()
		return
	}
	g.letGo()
}

func (g *gather[T]) arm() {
	g.armed = true
	if g.timer == nil {
		g.timer = time.AfterFunc(gatherFor, g.late)
		return
	}
	g.timer.Reset(gatherFor)
}

// letGo releases what is held. It is called with the lock held, and gives it
// back before it releases, so that others are gathered meanwhile.
func (g *gather[T]) letGo() {
	if len(g.held) == 0 {
		g.mu.Unlock()
		return
	}
	burst := g.held
	g.held, g.spare = g.spare, nil
	g.away += len(burst)
	g.level = max(g.peak, g.last)
	g.last, g.peak = g.peak, 0
	if g.armed {
		g.armed = false
		g.timer.Stop()
	}
	g.mu.Unlock()
	g.release(burst)
	clear(burst)
	g.mu.Lock()
	g.spare = burst[:0]
	g.mu.Unlock()
}
