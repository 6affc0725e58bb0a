package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sluice/test/bench/measure"
)

// audience is readers of one stream's events that behave as EventSource does:
// each comes back after the time that it was told, with the id of its last
// event, for as long as it gets status 200 or no answer at all.
type audience struct {
	addr, path string
	timed      int  // how many of them measure latencies
	attended   bool // only of records that were made while the reader was there, not of what it caught up on

	events, repeated, missing atomic.Int64
	gaps                      atomic.Int64 // control events that tell of records that are gone
	opened, refused           atomic.Int64 // answers, and connections that nobody took
	breaks                    atomic.Int64 // streams that ended
	open                      atomic.Int64 // streams that are open
	turned                    atomic.Int64 // streams that ended with "overloaded"
	lost                      atomic.Int64 // readers that gave up, as EventSource does
	latencies                 measure.Latencies

	mu       sync.Mutex
	strange  string       // the first answer that made a reader give up
	openings []time.Time  // of streams, since the last reset
	tries    atomic.Int64 // connections tried
	all      sync.WaitGroup
	stop     context.CancelFunc
}

// start begins n readers, at most atOnce of them connecting at a time.
func (a *audience) start(ctx context.Context, n, atOnce int) {
	ctx, a.stop = context.WithCancel(ctx)
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		r := &reader{audience: a, times: i < a.timed, retry: 3 * time.Second, begun: sync.OnceFunc(func() { <-slots })}
		a.all.Go(func() { r.run(ctx) })
	}
}

// close ends all readers.
func (a *audience) close() {
	a.stop()
	a.all.Wait()
}

// reset forgets when streams were opened.
func (a *audience) reset() {
	a.mu.Lock()
	a.openings = nil
	a.mu.Unlock()
}

// openedSince gives how long after a moment each stream was opened.
func (a *audience) openedSince(t time.Time) []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var after []time.Duration
	for _, o := range a.openings {
		after = append(after, o.Sub(t))
	}
	return after
}

func (a *audience) giveUp(why string) {
	a.lost.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.strange == "" {
		a.strange = why
	}
}

// reader is one of them.
type reader struct {
	*audience

	times bool
	begun func() // called when the first stream is open, and again
	retry time.Duration
	id    []byte            // of the last event
	next  [partitions]int64 // the offset that must come next
	since int64             // when the stream was opened, in Unix nanoseconds
	buf   []byte
}

func (r *reader) run(ctx context.Context) {
	defer r.begun()
	r.buf = make([]byte, 0, 4<<10)
	for ctx.Err() == nil {
		r.tries.Add(1)
		again := r.follow(ctx)
		if !again || measure.Rest(ctx, r.retry) != nil {
			return
		}
	}
}

// follow reads one stream to its end, and says whether to come back. It speaks
// HTTP/1.0, in which an answer comes as it is, without chunks.
func (r *reader) follow(ctx context.Context) (again bool) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		r.refused.Add(1)
		return true
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })() // it only ends the reading
	request := fmt.Appendf(nil, "GET %s HTTP/1.0\r\nHost: %s\r\nAccept: text/event-stream\r\nCache-Control: no-store\r\n", r.path, r.addr)
	if len(r.id) > 0 {
		request = fmt.Appendf(request, "Last-Event-ID: %s\r\n", r.id)
	}
	if _, err := c.Write(append(request, "\r\n"...)); err != nil {
		r.refused.Add(1)
		return true
	}
	r.buf = r.buf[:0]
	ok, err := r.head(c)
	switch {
	case err != nil:
		r.refused.Add(1)
		return true
	case !ok:
		r.giveUp(fmt.Sprintf("%.300s", r.buf))
		return false
	}
	r.begun()
	r.opened.Add(1)
	r.open.Add(1)
	opened := time.Now()
	r.since = opened.UnixNano()
	r.mu.Lock()
	r.openings = append(r.openings, opened)
	r.mu.Unlock()
	r.frames(c)
	r.open.Add(-1)
	r.breaks.Add(1)
	return true
}

// head reads the answer's head, and says whether it is one that EventSource
// takes.
func (r *reader) head(c net.Conn) (bool, error) {
	for {
		n, err := c.Read(r.buf[len(r.buf):cap(r.buf)])
		if err != nil {
			return false, err
		}
		r.buf = r.buf[:len(r.buf)+n]
		if end := bytes.Index(r.buf, []byte("\r\n\r\n")); end >= 0 {
			if !bytes.Contains(r.buf[:min(len(r.buf), 16)], []byte(" 200 ")) {
				return false, nil
			}
			r.buf = r.buf[:copy(r.buf, r.buf[end+4:])]
			return true, nil
		}
	}
}

// frames reads events until the stream ends.
func (r *reader) frames(c net.Conn) {
	for {
		r.take()
		if len(r.buf) == cap(r.buf) {
			r.buf = append(r.buf, 0)[:len(r.buf)] // an event that is longer than the buffer
		}
		n, err := c.Read(r.buf[len(r.buf):cap(r.buf)])
		if err != nil {
			return
		}
		r.buf = r.buf[:len(r.buf)+n]
	}
}

// take takes the events that are complete.
func (r *reader) take() {
	rest, now := r.buf, int64(0)
	if r.times {
		now = time.Now().UnixNano()
	}
	events := int64(0)
	for {
		event, after, found := bytes.Cut(rest, []byte("\n\n"))
		if !found {
			break
		}
		if r.event(event, now) {
			events++
		}
		rest = after
	}
	if events > 0 {
		r.events.Add(events)
	}
	r.buf = r.buf[:copy(r.buf, rest)]
}

// event takes one event, and says whether it is a record.
func (r *reader) event(event []byte, now int64) bool {
	var name, data []byte
	for len(event) > 0 {
		var line []byte
		line, event, _ = bytes.Cut(event, []byte{'\n'})
		field, value, _ := bytes.Cut(line, []byte(": "))
		switch string(field) {
		case "id":
			r.id = append(r.id[:0], value...)
		case "event":
			name = value
		case "data":
			data = value
		case "retry":
			if ms, err := strconv.Atoi(string(value)); err == nil {
				r.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	switch {
	case data == nil:
		return false
	case len(name) == 0:
		r.record(data, now)
		return true
	case string(name) == "gap":
		r.gaps.Add(1)
	case string(name) == "end" && bytes.Contains(data, []byte("overloaded")):
		r.turned.Add(1)
	}
	return false
}

// record checks that a record is the one that must come next of its partition.
func (r *reader) record(data []byte, now int64) {
	p, offset := number(data, `"partition":`), number(data, `"offset":`)
	if p < 0 || p >= partitions {
		r.missing.Add(1)
		return
	}
	switch want := r.next[p]; {
	case offset < want:
		r.repeated.Add(1)
		return
	case offset > want:
		r.missing.Add(offset - want)
	}
	r.next[p] = offset + 1
	if r.times {
		if t := number(data, `"t":`); t > 0 && (!r.attended || t >= r.since) {
			r.latencies.Add(time.Duration(now - t))
		}
	}
}

// number gives the digits after a mark, -1 where there are none.
func number(text []byte, mark string) int64 {
	i := bytes.Index(text, []byte(mark))
	if i < 0 {
		return -1
	}
	n, digits := int64(0), 0
	for _, c := range text[i+len(mark):] {
		if c < '0' || c > '9' {
			break
		}
		n, digits = n*10+int64(c-'0'), digits+1
	}
	if digits == 0 {
		return -1
	}
	return n
}
