package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sluice/test/bench/measure"
	"sluice/test/bench/process"
)

// server is one that connections are made to.
type server struct {
	name, addr string
	pid        int
}

// crowd is connections that are kept open and publish now and then.
type crowd struct {
	server

	rate   int // requests a second, of all together
	conns  []*conn
	turns  []chan job
	all    sync.WaitGroup
	times  measure.Latencies
	failed atomic.Int64
	mu     sync.Mutex
	why    string // the first failure
}

// connections measures thousands of connections, the limit of them and what
// clients that send nothing do to the others.
func connections(ctx context.Context, o options) error {
	log := &complaints{}
	o.Log = log
	o.Env = []string{fmt.Sprintf("SLUICE_QUOTAS_ADDRESS_CONNECTIONS=%d", o.connections)}
	g, err := startReady(ctx, o.Options)
	if err != nil {
		return err
	}
	defer g.Kill()
	if err := prepare(ctx, g, "sparse"); err != nil {
		return err
	}
	http.DefaultClient.CloseIdleConnections() // each of them counts
	gate := server{"gateway", g.Addr, g.PID()}
	few := min(64, o.connections)
	if err := warmUp(ctx, gate, few, o); err != nil {
		return err
	}
	print("| server | connections | requests/s | p50 ms | p99 ms | failed | RSS MB before | with them | KB each | descriptors | CPU, cores |")
	print("|---|---|---|---|---|---|---|---|---|---|---|")
	p99 := map[server]map[int]float64{}
	bare := server{"bare", o.bare, o.barePID}
	for _, n := range []int{few, o.connections} {
		for _, s := range []server{bare, gate} {
			if p99[s] == nil {
				p99[s] = map[int]float64{}
			}
			if p99[s][n], err = measureCrowd(ctx, s, n, o); err != nil {
				return fmt.Errorf("%s, %d connections: %w", s.name, n, err)
			}
		}
	}
	times := func(s server) float64 { return p99[s][o.connections] / max(p99[s][few], 0.001) }
	print("\nWith %d connections instead of %d the p99 is %.1f times as long at the gateway, and %.1f times at the bare server.\n", o.connections, few, times(gate), times(bare))
	if err := silent(ctx, gate, o); err != nil {
		return err
	}
	print("Warnings and errors in the gateway's log: %d.", log.number())
	return nil
}

// warmUp has some connections publish for a while.
func warmUp(ctx context.Context, s server, n int, o options) error {
	c, err := assemble(ctx, s, n, o.rate)
	if err != nil {
		return err
	}
	defer c.close()
	c.publish(ctx, o.warm)
	return nil
}

// assemble opens n connections, which publish once, and are kept.
func assemble(ctx context.Context, s server, n, rate int) (*crowd, error) {
	c := &crowd{server: s, rate: rate}
	slots := make(chan struct{}, 100)
	for i := range n {
		one, turn := &conn{addr: s.addr, size: 512}, make(chan job, 1024)
		c.conns, c.turns = append(c.conns, one), append(c.turns, turn)
		slots <- struct{}{}
		c.all.Go(func() {
			c.send(ctx, one, job{int64(i), time.Now()})
			<-slots
			for j := range turn {
				c.send(ctx, one, j)
			}
		})
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	if c.failed.Load() > 0 {
		defer c.close()
		return nil, fmt.Errorf("%d of %d connections could not publish: %s", c.failed.Load(), n, c.why)
	}
	c.times.Reset()
	return c, nil
}

func (c *crowd) send(ctx context.Context, one *conn, j job) {
	a, err := one.publish(context.WithoutCancel(ctx), "sparse", j.n)
	if err == nil && a.status != http.StatusCreated {
		err = fmt.Errorf("%d: %.300s", a.status, a.body)
	}
	if err == nil {
		c.times.Add(time.Since(j.due))
		return
	}
	c.failed.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == "" {
		c.why = err.Error()
	}
}

// publish has the connections publish, one after the other, for a while.
func (c *crowd) publish(ctx context.Context, d time.Duration) {
	start, want := time.Now(), int(float64(c.rate)*d.Seconds())
	measure.Pace(ctx, c.rate, want, func(i int) {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(c.rate))
		select {
		case c.turns[i%len(c.turns)] <- job{int64(i), due}:
		default:
			c.failed.Add(1) // too many wait for their turn
		}
	})
	measure.Settle(ctx, int64(want), patience, func() int64 { return int64(c.times.Count()) + c.failed.Load() })
}

func (c *crowd) close() {
	for _, t := range c.turns {
		close(t)
	}
	c.all.Wait()
	for _, one := range c.conns {
		one.close()
	}
}

// measureCrowd prints what n connections to a server cost, and gives its p99.
// At the limit it says what one more is told.
func measureCrowd(ctx context.Context, s server, n int, o options) (p99 float64, err error) {
	before := process.Resident(s.pid)
	c, err := assemble(ctx, s, n, o.rate)
	if err != nil {
		return 0, err
	}
	defer c.close()
	used, start := process.CPU(s.pid), time.Now()
	c.publish(ctx, o.steady)
	cores := (process.CPU(s.pid) - used).Seconds() / time.Since(start).Seconds()
	with := process.Resident(s.pid)
	p99 = c.times.Percentile(0.99)
	print("| %s | %d | %.0f | %.1f | %.1f | %d | %d | %d | %d | %d | %.2f |", s.name, n, float64(c.times.Count())/time.Since(start).Seconds(),
		c.times.Percentile(0.5), p99, c.failed.Load(), before, with, (with-before)*1024/n, process.Open(s.pid), cores)
	if c.failed.Load() > 0 {
		return p99, fmt.Errorf("%d requests failed: %s", c.failed.Load(), c.why)
	}
	if n == o.connections && s.addr != o.bare {
		return p99, oneMore(ctx, s, n)
	}
	return p99, nil
}

// oneMore opens a connection beyond the limit.
func oneMore(ctx context.Context, s server, n int) error {
	more := &conn{addr: s.addr}
	defer more.close()
	a, err := more.publish(ctx, "sparse", 0)
	if err == nil {
		return fmt.Errorf("the limit is %d connections, and one more was answered %d", n, a.status)
	}
	fmt.Printf("\nOne more connection than `quotas.address.connections` (%d) is closed at once: its request ended with %q, and the others did not notice.\n", n, err)
	return nil
}

// silent measures connections that publish beside such as send nothing, or
// only a part, and how long the gateway keeps those.
func silent(ctx context.Context, s server, o options) error {
	const each = 500
	parts := map[string]string{
		"nothing at all":           "",
		"half a head":              "POST /streams/sparse HTTP/1.1\r\nHost: x",
		"a head without its body":  "POST /streams/sparse HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
		"half a body of JSON":      "POST /streams/sparse HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"n\":",
		"a line of NDJSON, no end": "POST /streams/sparse HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100\r\n\r\n{\"data\":",
	}
	c, err := assemble(ctx, s, 64, o.rate)
	if err != nil {
		return err
	}
	defer c.close()
	c.publish(ctx, o.steady)
	alone := fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", c.times.Percentile(0.5), c.times.Percentile(0.99))
	c.times.Reset()
	held, start := map[string]*atomic.Int64{}, time.Now()
	var all sync.WaitGroup
	defer all.Wait()
	for what, text := range parts {
		last := &atomic.Int64{}
		held[what] = last
		for range each {
			d, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", s.addr)
			if err != nil {
				return err
			}
			all.Go(func() { hold(ctx, d, text, func() { last.Store(max(last.Load(), int64(time.Since(start)))) }) })
		}
	}
	c.publish(ctx, o.steady)
	print("With 64 connections alone: %s. With %d more that send nothing, or only a part of a request: p50 %.1f ms, p99 %.1f ms, %d failed.\n",
		alone, each*len(parts), c.times.Percentile(0.5), c.times.Percentile(0.99), c.failed.Load())
	all.Wait()
	print("| what a client sent | the last of %d was cut off after s |", each)
	print("|---|---|")
	for what, last := range held {
		print("| %s | %.0f |", what, time.Duration(last.Load()).Seconds())
	}
	print("")
	if c.failed.Load() > 0 {
		return fmt.Errorf("%d requests failed beside silent connections: %s", c.failed.Load(), c.why)
	}
	return nil
}

// longest is how long a silent connection may be kept.
const longest = 3 * time.Minute

// hold sends a part of a request and waits until the connection is closed.
func hold(ctx context.Context, d net.Conn, text string, ended func()) {
	defer d.Close()
	defer context.AfterFunc(ctx, func() { _ = d.Close() })() // it only ends the waiting
	_ = d.SetDeadline(time.Now().Add(longest))
	if _, err := d.Write([]byte(text)); err != nil {
		ended()
		return
	}
	buf := make([]byte, 512)
	for {
		if _, err := d.Read(buf); err != nil {
			ended()
			return
		}
	}
}
