package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/test/bench/measure"
)

// receiver is an endpoint that answers at once. It notes which records each
// subscription's path got, and how old they were. Reset begins anew.
type receiver struct {
	url  string
	http *http.Server

	deliveries, repeated, strange atomic.Int64
	last                          atomic.Int64 // when the last one came, in Unix nanoseconds

	mu        sync.Mutex
	seen      []bits // by subscription
	latencies measure.Latencies
}

// bits is a set of small numbers.
type bits []uint64

func listen(ctx context.Context) (*receiver, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + l.Addr().String()}
	r.http = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: r}
	go func() {
		if err := r.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // nothing can be measured any more
		}
	}()
	return r, nil
}

// reset begins a measurement with so many subscriptions and records.
func (r *receiver) reset(subscriptions, records int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deliveries.Store(0)
	r.repeated.Store(0)
	r.strange.Store(0)
	r.seen = make([]bits, subscriptions)
	for i := range r.seen {
		r.seen[i] = make(bits, records/64+1)
	}
	r.latencies.Reset()
}

// ServeHTTP takes a delivery to /NUMBER.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body := make([]byte, req.ContentLength)
	if _, err := io.ReadFull(req.Body, body); err != nil {
		http.Error(w, "the body is not whole", http.StatusBadRequest)
		return
	}
	now := time.Now().UnixNano()
	to, err := strconv.Atoi(strings.TrimPrefix(req.URL.Path, "/"))
	n, at := number(body, `"n":`), number(body, `"t":`)
	if err != nil || !r.note(to, n, time.Duration(now-at)) {
		r.strange.Add(1)
		return
	}
	r.deliveries.Add(1)
	r.last.Store(now)
}

// note gives false for a delivery that is not one of the measurement's.
func (r *receiver) note(to int, n int64, age time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to >= len(r.seen) || n < 0 || int(n/64) >= len(r.seen[to]) {
		return false
	}
	mask := uint64(1) << (n % 64)
	if r.seen[to][n/64]&mask != 0 {
		r.repeated.Add(1)
		return true
	}
	r.seen[to][n/64] |= mask
	r.latencies.Add(age)
	return true
}

// number gives the digits after a mark, -1 where there are none.
func number(body []byte, mark string) int64 {
	_, after, _ := bytes.Cut(body, []byte(mark))
	digits, _, _ := bytes.Cut(after, []byte{','})
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// got gives how many records came, each counted once.
func (r *receiver) got() int { return int(r.deliveries.Load() - r.repeated.Load()) }

// wait waits until so many records came, or none for patience.
func (r *receiver) wait(ctx context.Context, want int, patience time.Duration) {
	measure.Settle(ctx, int64(want), patience, func() int64 { return int64(r.got()) })
}
