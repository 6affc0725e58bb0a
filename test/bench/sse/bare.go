package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sluice/test/bench/measure"
)

// keepAlive is how often each connection is sent a sign of life, as by a gateway
// with its defaults.
const keepAlive = 15 * time.Second

// hub is the least that a server of events can do: it appends one shared frame
// to a queue for each connection, which writes and flushes what is queued.
type hub struct {
	mu        sync.Mutex
	followers map[*queue]struct{}
}

type queue struct {
	mu     sync.Mutex
	frames [][]byte
	wake   chan struct{}
}

// bare serves GET / as an event stream, and POST /?rate=&n= which sends n
// frames at that rate per second to every follower.
func bare(ctx context.Context, addr string) error {
	h := &hub{followers: map[*queue]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", h.follow)
	mux.HandleFunc("POST /", h.send)
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: mux}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		_ = s.Close() // nothing is under way that matters
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (h *hub) follow(w http.ResponseWriter, r *http.Request) {
	q := &queue{wake: make(chan struct{}, 1)}
	h.mu.Lock()
	h.followers[q] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.followers, q)
		h.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	if _, err := w.Write([]byte("retry: 2000\n\n")); err != nil || flush() != nil {
		return
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-alive.C:
			if _, err := fmt.Fprintf(w, ": keep-alive\nid: p1.%092d\n\n", 0); err != nil {
				return
			}
		case <-q.wake:
		}
		q.mu.Lock()
		frames := q.frames
		q.frames = nil
		q.mu.Unlock()
		for _, f := range frames {
			if _, err := w.Write(f); err != nil {
				return
			}
		}
		if flush() != nil {
			return
		}
	}
}

func (h *hub) send(w http.ResponseWriter, r *http.Request) {
	rate, err1 := strconv.Atoi(r.FormValue("rate"))
	n, err2 := strconv.Atoi(r.FormValue("n"))
	if err1 != nil || err2 != nil {
		http.Error(w, "rate and n are numbers", http.StatusBadRequest)
		return
	}
	measure.Pace(r.Context(), rate, n, func(i int) {
		h.broadcast(fmt.Appendf(nil, "id: p1.%092d\ndata: %s\n\n", i, bareRecord(i)))
	})
}

func (h *hub) broadcast(frame []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for q := range h.followers {
		q.mu.Lock()
		q.frames = append(q.frames, frame)
		q.mu.Unlock()
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// bareRecord is as long as the gateway's record object.
func bareRecord(i int) string {
	return fmt.Sprintf(`{"stream":"live","partition":0,"offset":%d,"timestamp":"2026-01-31T12:00:00.123Z","key":null,"headers":{},"schema":"Bench:1","data":%s}`, i, payload(i))
}
