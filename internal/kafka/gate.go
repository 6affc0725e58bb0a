package kafka

import "sync"

// gate lets those in who use a client's handle, which must not be freed under
// them: the process would crash. The zero value is open. It is shut once, and
// for good.
type gate struct {
	inside sync.RWMutex
	shut   bool
}

// enter lets somebody in, who must leave. It is false when the gate is shut.
func (g *gate) enter() bool {
	g.inside.RLock()
	if g.shut {
		g.inside.RUnlock()
		return false
	}
	return true
}

func (g *gate) leave() { g.inside.RUnlock() }

// hold waits until nobody is inside, and lets nobody in until release.
func (g *gate) hold() { g.inside.Lock() }

// release ends hold, and with it shuts the gate, or leaves it as it was.
func (g *gate) release(shut bool) {
	g.shut = g.shut || shut
	g.inside.Unlock()
}

// close shuts the gate, when nobody is inside any more.
func (g *gate) close() {
	g.hold()
	g.release(true)
}
