package stream

// Entry is the newest state of one entity in a replicated log.
type Entry struct {
	Entity   string // for example "schema/Order/1"
	Revision int64  // from 1; grows with each change
	Value    []byte // JSON; nil: deleted
}

// State is what a replicated log keeps up to date. The log calls it from one
// goroutine, in the order of the log; the calls must return quickly.
type State interface {
	// Reset forgets everything: the log is read anew from its beginning.
	Reset()
	// Apply takes an entity's new state.
	Apply(Entry)
}
