package follow

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// leastPage is the smallest page, in bytes, and mostPage the largest. A
// follower begins with firstPage.
const (
	leastPage = 16 << 10
	firstPage = 64 << 10
	mostPage  = 1 << 20
)

// budget bounds the memory of all pages that are read or being written.
type budget struct {
	mu    sync.Mutex
	total int
	free  int
	wake  chan struct{}
}

func newBudget(total int) *budget { return &budget{total: total, free: total} }

// take reserves memory for a page: want bytes, or less when much is taken
// already. Where there is none, got is 0 and more is closed when there may be.
func (b *budget) take(want int) (got int, more <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	least := min(leastPage, b.total)
	if b.free < least {
		if b.wake == nil {
			b.wake = make(chan struct{})
		}
		return 0, b.wake
	}
	got = min(want, max(least, b.free/4))
	b.free -= got
	return got, nil
}

// give returns what take reserved.
func (b *budget) give(n int) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}

// measure has what is reserved measured when it is asked for.
func (b *budget) measure(reg prometheus.Registerer) {
	gauge := func(name, help string, now func() int) {
		promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{Namespace: "sluice", Subsystem: "follow", Name: name, Help: help}, func() float64 { return float64(now()) })
	}
	gauge("catch_up_bytes", "Bytes of memory for pages of followers that are behind, in use.", func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.total - b.free
	})
	gauge("catch_up_limit_bytes", "Bytes of memory for such pages (limits.catch_up_bytes).", func() int { return b.total })
}
