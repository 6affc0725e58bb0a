package stream

import (
	"sync"
	"time"
)

// newestFor is how long the records of one request take a version for the
// newest before they ask again.
const newestFor = 100 * time.Millisecond

// Newest remembers, for the records of one request, which version of a schema
// is its newest: to know that for certain takes a reading of a log to its end,
// which is too much for every line of many. The zero value remembers nothing;
// of a nil *Newest every question is asked anew. It may be used by several
// goroutines.
type Newest struct {
	mu    sync.Mutex
	known map[string]knownVersion // by schema name
}

type knownVersion struct {
	ref   SchemaRef
	asked time.Time // before the answer was looked for
}

// Find gives what find says of ref. For a ref without a version that was asked
// for less than 100 ms ago find is asked about the version it was then, and
// about ref itself only if that fails: the version may have been deleted.
func (n *Newest) Find(ref SchemaRef, find func(SchemaRef) (SchemaRef, error)) (SchemaRef, error) {
	if n == nil || ref.Version != 0 {
		return find(ref)
	}
	now := time.Now()
	n.mu.Lock()
	k := n.known[ref.Name]
	n.mu.Unlock()
	if now.Sub(k.asked) < newestFor {
		if got, err := find(k.ref); err == nil {
			return got, nil
		}
	}
	got, err := find(ref)
	if err != nil {
		return got, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = map[string]knownVersion{}
	}
	n.known[ref.Name] = knownVersion{got, now}
	return got, nil
}
