package httpapi

import "sync"

// window bounds what one request has in flight, in records and bytes. It never
// refuses a single record, however large.
type window struct {
	mu         sync.Mutex
	freed      sync.Cond
	records    int
	bytes      int
	maxRecords int
	maxBytes   int
}

func newWindow(l Limits) *window {
	w := &window{maxRecords: l.WindowRecords, maxBytes: l.WindowBytes}
	w.freed.L = &w.mu
	return w
}

// take waits until there is room for a record of n bytes. Every record in
// flight ends by itself, at the latest with its publish timeout, so the wait
// needs no other end.
func (w *window) take(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.records > 0 && (w.records >= w.maxRecords || w.bytes+n > w.maxBytes) {
		w.freed.Wait()
	}
	w.records++
	w.bytes += n
}

// give returns what take took.
func (w *window) give(n int) {
	w.mu.Lock()
	w.records--
	w.bytes -= n
	w.mu.Unlock()
	w.freed.Signal()
}

// drain waits until nothing is in flight. Only the goroutine that takes may
// call it.
func (w *window) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.records > 0 {
		w.freed.Wait()
	}
}
