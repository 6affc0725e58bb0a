package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sluice/test/bench/measure"
)

// followers are connections that read an event stream as cheaply as can be:
// they count events, and some look at the time that each event carries.
type followers struct {
	conns  []net.Conn
	events atomic.Int64
	cut    atomic.Int64 // connections that ended before close
	closed atomic.Bool
	all    sync.WaitGroup

	latencies measure.Latencies
}

// timed is how many followers measure latencies.
const timed = 50

// open connects n followers and returns when each has had the first bytes of
// its stream.
func open(ctx context.Context, target string, n int, latencies bool) (*followers, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	f := &followers{}
	opened := make(chan error, n)
	const atOnce = 100
	for i := 0; i < n; i += atOnce {
		batch := min(atOnce, n-i)
		for k := range batch {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
			if err != nil {
				f.close()
				return nil, err
			}
			f.conns = append(f.conns, c)
			f.all.Go(func() { f.read(c, u, latencies && i+k < timed, n > 5000, opened) })
		}
		for range batch {
			if err := <-opened; err != nil {
				f.close()
				return nil, err
			}
		}
	}
	return f, nil
}

// read reads one stream to its end. It speaks HTTP/1.0, in which an answer
// comes as it is, for chunks would cut events apart.
func (f *followers) read(c net.Conn, u *url.URL, times, small bool, opened chan<- error) {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		opened <- err
		return
	}
	size := 64 << 10
	if small {
		size = 2 << 10
	}
	buf := make([]byte, 0, size)
	started := false
	for {
		n, err := c.Read(buf[len(buf):cap(buf)])
		if err != nil {
			if !started {
				opened <- fmt.Errorf("no stream: %w: %.300s", err, buf)
			} else if !f.closed.Load() {
				f.cut.Add(1)
			}
			return
		}
		buf = buf[:len(buf)+n]
		if !started && bytes.Contains(buf, []byte("retry: ")) {
			started = true
			opened <- nil
		}
		buf = f.take(buf, times)
	}
}

var dataLine = []byte("\ndata: ")

// take counts what is complete in buf, and gives the rest, at its beginning.
func (f *followers) take(buf []byte, times bool) []byte {
	end := bytes.LastIndex(buf, []byte("\n\n"))
	if end < 0 {
		if len(buf) == cap(buf) { // the head of an answer, or an event longer than the buffer
			return buf[:0]
		}
		return buf
	}
	whole := buf[:end+1]
	f.events.Add(int64(bytes.Count(whole, dataLine)))
	if times {
		f.time(whole)
	}
	return buf[:copy(buf[:cap(buf)], buf[end+1:])]
}

// time notes how old the events are.
func (f *followers) time(whole []byte) {
	now := time.Now().UnixNano()
	mark := []byte(`"t":`)
	for {
		i := bytes.Index(whole, mark)
		if i < 0 {
			return
		}
		whole = whole[i+len(mark):]
		digits := whole[:max(0, bytes.IndexByte(whole, ','))]
		if t, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
			f.latencies.Add(time.Duration(now - t))
		}
	}
}

// wait waits until so many events came, or none for patience.
func (f *followers) wait(ctx context.Context, events int64, patience time.Duration) {
	measure.Settle(ctx, events, patience, f.events.Load)
}

func (f *followers) close() {
	f.closed.Store(true)
	for _, c := range f.conns {
		_ = c.Close() // it only ends the reading
	}
	f.all.Wait()
}
