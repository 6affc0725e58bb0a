package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"sluice/internal/stream"
)

// How long it is remembered that a token was found good, and how many tokens
// are remembered at most: twice as many as checkedHalf.
const (
	checkedFor  = time.Minute
	checkedHalf = 5000
)

// finding is what was found out about a good token.
type finding struct {
	caller stream.Caller // with what the rules allow, for which this is
	until  time.Time     // when to check it again
	keys   uint64        // the fetch of the issuer's keys that it was checked with
}

// checked remembers tokens that were found good, by their SHA-256: a signature
// costs more to check than everything else about a request. What is remembered
// ends with the token, after a minute, and whenever the issuer's keys were
// fetched: a key that the issuer took back must not live on here. Tokens that
// were refused are not remembered, so that forged ones drive nothing out.
//
// It has two halves: when the newer one is full, the older one is forgotten, so
// that its memory is bounded without a list of who came when.
type checked struct {
	mu         sync.Mutex
	newer, old map[[sha256.Size]byte]finding
}

// find gives what is remembered of a token, if that still holds.
func (m *checked) find(sum [sha256.Size]byte, keys uint64, now time.Time) (c stream.Caller, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.newer[sum]
	if !ok {
		if f, ok = m.old[sum]; ok {
			m.put(sum, f)
		}
	}
	return f.caller, ok && f.keys == keys && now.Before(f.until)
}

// add remembers a token.
func (m *checked) add(sum [sha256.Size]byte, f finding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(sum, f)
}

// put is add while m.mu is held.
func (m *checked) put(sum [sha256.Size]byte, f finding) {
	if m.newer == nil || len(m.newer) >= checkedHalf {
		m.old, m.newer = m.newer, map[[sha256.Size]byte]finding{}
	}
	m.newer[sum] = f
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
