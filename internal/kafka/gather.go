package kafka

import (
	"sync"
	"time"
)

// How long a value waits for others at most, and, while gatherBursts of them are
// away, for one to be back. Go's timers may take a millisecond longer on a
// machine that has nothing else to do.
const (
	gatherFor    = time.Millisecond
	gatherRoom   = 5 * time.Millisecond
	gatherBursts = 2
)

// gather makes bursts of the values that many goroutines bring one at a time.
// A request to the broker costs the broker, and the thread that makes it, far
// more than a record does, and it is answered so soon that few records come
// meanwhile. So a record waits until half of all that are under way are held,
// and these go at once. Who publishes alone never waits; many are halved into
// those whose records are away and those whose are being gathered. That adapts
// to the load within two bursts, where a linger would not.
//
// A third burst waits until one of two is back. It would not leave librdkafka
// sooner, which has one request on its way and one ready; and while it has more
// than that, its thread asks without a pause whether it can send, which took a
// third of the gateway's time with sixteen publishers. It waits only so long,
// for with several brokers one may be dead.
//
// It knows nothing of Kafka. Any number of goroutines may use it.
type gather[T any] struct {
	release func([]T, *burst) // takes a burst, in order; must not keep the slice

	mu      sync.Mutex
	held    []T
	spare   []T  // an array for the next burst
	due     bool // what is held goes as soon as there is room
	crowded bool // it has waited for others, and waits for room
	bursts  int  // of which some are away
	away    int  // went and are not back
	peak    int  // the most that were held and away together since the last burst
	last    int  // the same, between that and the one before
	level   int  // the larger of the two when the last burst went
	timer   *time.Timer
	armed   bool
}

// burst is one of those that went: how many of it are not back.
type burst struct{ left int }

func newGather[T any](release func([]T, *burst)) *gather[T] { return &gather[T]{release: release} }

// add holds v until its burst goes: at once, on this goroutine, or within
// gatherFor, or gatherFor and gatherRoom.
func (g *gather[T]) add(v T) {
	g.mu.Lock()
	g.held = append(g.held, v)
	g.peak = max(g.peak, len(g.held)+g.away)
	if 2*len(g.held) >= g.level && g.bursts < gatherBursts {
		g.letGo()
		return
	}
	if !g.armed {
		g.arm(gatherFor)
	}
	g.due = g.due || 2*len(g.held) >= g.level
	g.mu.Unlock()
}

// back says that one of a burst is away no more.
func (g *gather[T]) back(b *burst) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away--
	if b.left--; b.left > 0 {
		return
	}
	if g.bursts--; g.due && g.armed && g.bursts < gatherBursts {
		g.arm(0) // not on this goroutine, which has more to report
	}
}

// flush lets go what is held.
func (g *gather[T]) flush() {
	g.mu.Lock()
	g.letGo()
}

// late lets go what has waited long enough for others, and for room.
func (g *gather[T]) late() {
	g.mu.Lock()
	switch {
	case !g.armed: // it went while this waited for the lock
		g.mu.Unlock()
	case g.bursts >= gatherBursts && !g.crowded:
		g.due, g.crowded = true, true
		g.arm(gatherRoom)
		g.mu.Unlock()
	default:
		g.letGo()
	}
}

func (g *gather[T]) arm(wait time.Duration) {
	g.armed = true
	if g.timer == nil {
		g.timer = time.AfterFunc(wait, g.late)
		return
	}
	g.timer.Reset(wait)
}

// letGo releases what is held. It is called with the lock held, and gives it
// back before it releases, so that others are gathered meanwhile.
func (g *gather[T]) letGo() {
	if len(g.held) == 0 {
		g.mu.Unlock()
		return
	}
	values, b := g.held, &burst{left: len(g.held)}
	g.held, g.spare = g.spare, nil
	g.away += len(values)
	g.bursts++
	g.level = max(g.peak, g.last)
	g.last, g.peak = g.peak, 0
	g.due, g.crowded = false, false
	if g.armed {
		g.armed = false
		g.timer.Stop()
	}
	g.mu.Unlock()
	g.release(values, b)
	clear(values)
	g.mu.Lock()
	g.spare = values[:0]
	g.mu.Unlock()
}
