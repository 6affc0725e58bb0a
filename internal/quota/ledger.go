package quota

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	shards = 64
	// looks is how many accounts a newcomer looks at for one that can be
	// forgotten.
	looks = 8
)

// unlocker ends the use of an account.
type unlocker = *sync.Mutex

// ledger has the accounts of one kind, in a bounded number. An account that is
// as good as new is forgotten when a newcomer finds it, so that accounts do not
// outlive their use by much. Where there is no room at all the one is forgotten
// that was used least recently of some: a flood of addresses makes others have
// their full quota again, and has nobody refused.
type ledger[K comparable] struct {
	seed    maphash.Seed
	room    int // in each shard
	classOf func(K) *class
	shards  [shards]shard[K]
}

type shard[K comparable] struct {
	mu       sync.Mutex
	accounts map[K]*account
	_        [40]byte // keeps the locks of two shards apart
}

func newLedger[K comparable](room int, classOf func(K) *class) *ledger[K] {
	l := &ledger[K]{seed: maphash.MakeSeed(), room: max(1, room/shards), classOf: classOf}
	for i := range l.shards {
		l.shards[i].accounts = map[K]*account{}
	}
	return l
}

// lock gives the account of a key, and what to unlock; nil where the key has no
// quotas.
func (l *ledger[K]) lock(k K, now time.Duration) (*account, unlocker) {
	s := &l.shards[maphash.Comparable(l.seed, k)%shards]
	s.mu.Lock()
	a := s.accounts[k]
	if a == nil {
		c := l.classOf(k)
		if !c.limited() {
			s.mu.Unlock()
			return nil, nil
		}
		s.forget(now, l.room)
		a = newAccount(c, now)
		s.accounts[k] = a
	}
	a.seen = now
	return a, &s.mu
}

// forget makes room. Accounts with something open stay: there are no more of
// these than connections.
func (s *shard[K]) forget(now time.Duration, room int) {
	var oldest K
	var since *account
	looked := 0
	for k, a := range s.accounts { // begins anywhere
		if looked++; looked > looks {
			break
		}
		switch {
		case a.full(now):
			delete(s.accounts, k)
		case !a.open() && (since == nil || a.seen < since.seen):
			oldest, since = k, a
		}
	}
	if len(s.accounts) >= room && since != nil {
		delete(s.accounts, oldest)
	}
}

// size gives how many accounts there are.
func (l *ledger[K]) size() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.accounts)
		s.mu.Unlock()
	}
	return n
}
