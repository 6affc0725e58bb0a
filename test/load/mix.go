package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/test/bench/gateway"
	"sluice/test/bench/measure"
)

// What the mix is of, besides followers and a webhook.
const (
	mixConnections = 64   // that are kept, and publish
	liveFollowers  = 50   // of the stream live
	linesEach      = 100  // records of an NDJSON request
	mixTurn        = 1000 // requests after which the mix begins anew
)

// mix is the mixed load.
type mix struct {
	gateway *gateway.Gateway
	next    atomic.Int64
	queue   chan job

	orders, live ledger       // offsets that a 201 told of
	lines        atomic.Int64 // records that NDJSON requests counted as stored
	times        measure.Latencies
	done         atomic.Int64
	failed       atomic.Int64
	strange      atomic.Int64 // refusals that were not as they must be

	mu    sync.Mutex
	first string // failure
}

// job is a request and when it is due.
type job struct {
	n   int64
	due time.Time
}

func newMix(g *gateway.Gateway) *mix { return &mix{gateway: g, queue: make(chan job, 1<<20)} }

// reset begins to count anew what is told by the minute.
func (m *mix) reset() {
	m.times.Reset()
	m.done.Store(0)
}

func (m *mix) waiting() int { return len(m.queue) }

// capacity gives how many requests a second there are when each connection
// asks again as soon as it has its answer.
func (m *mix) capacity(ctx context.Context, warm time.Duration) (float64, error) {
	closed, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	for range mixConnections {
		all.Go(func() {
			c := &conn{addr: m.gateway.Addr}
			defer c.close()
			for closed.Err() == nil {
				m.do(ctx, c, job{m.next.Add(1), time.Now()})
			}
		})
	}
	defer all.Wait()
	defer stop()
	if err := measure.Rest(ctx, warm); err != nil {
		return 0, err
	}
	before, start := m.done.Load(), time.Now()
	if err := measure.Rest(ctx, capacityTime); err != nil {
		return 0, err
	}
	return float64(m.done.Load()-before) / time.Since(start).Seconds(), nil
}

// paced makes n requests, rate a second, whatever becomes of those before.
func (m *mix) paced(ctx context.Context, rate, n int) {
	var all sync.WaitGroup
	for range mixConnections {
		all.Go(func() {
			c := &conn{addr: m.gateway.Addr}
			defer c.close()
			for j := range m.queue {
				m.do(ctx, c, j)
			}
		})
	}
	start := time.Now()
	measure.Pace(ctx, rate, n, func(i int) {
		m.queue <- job{m.next.Add(1), start.Add(time.Duration(float64(i) / float64(rate) * float64(time.Second)))}
	})
	close(m.queue)
	all.Wait()
}

// do makes one request. Of a thousand, most publish one record on a connection
// that is kept, one in ten of these with a key to the stream that is followed
// and pushed; the others are spread among them.
func (m *mix) do(ctx context.Context, c *conn, j job) {
	ctx = context.WithoutCancel(ctx) // what is begun is counted
	var err error
	switch turn := j.n % mixTurn; turn {
	case 0, 500:
		err = m.ndjson(ctx)
	case 100, 600:
		err = m.page(ctx)
	case 200:
		err = m.look(ctx, [...]string{"/streams", "/streams/live", "/schemas", "/subscriptions/load/status", "/health/ready"}[j.n/mixTurn%5])
	case 300, 700, 301, 701:
		err = m.passing(ctx, j.n)
	case 400, 800:
		err = m.tear(ctx)
	case 450, 850, 451, 851:
		m.refused(ctx, j.n)
	default:
		err = m.publish(ctx, c, j)
	}
	m.done.Add(1)
	if err != nil {
		m.fail(err)
	}
}

func (m *mix) fail(err error) {
	m.failed.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first == "" {
		m.first = err.Error()
	}
}

// why gives the first failure.
func (m *mix) why() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.first
}

// publish publishes one record, and notes how long that took since it was due.
func (m *mix) publish(ctx context.Context, c *conn, j job) error {
	to, path := &m.orders, "orders"
	if j.n%10 == 5 {
		to, path = &m.live, "live?key=customer-"+strconv.FormatInt(j.n%10_000, 10)
	}
	a, err := c.publish(ctx, path, j.n)
	if err != nil {
		return err
	}
	m.times.Add(time.Since(j.due))
	if a.status != http.StatusCreated {
		return fmt.Errorf("a publish was answered %d: %.300s", a.status, a.body)
	}
	return to.note(a.partition, a.offset)
}

// passing is a client that connects, publishes and goes.
func (m *mix) passing(ctx context.Context, n int64) error {
	c := &conn{addr: m.gateway.Addr}
	defer c.close()
	a, err := c.publish(ctx, "orders", n)
	if err == nil && a.status != http.StatusCreated {
		err = fmt.Errorf("a passing client's publish was answered %d: %.300s", a.status, a.body)
	}
	if err == nil {
		err = m.orders.note(a.partition, a.offset)
	}
	return err
}

// ndjson publishes many records in one request.
func (m *mix) ndjson(ctx context.Context) error {
	var body []byte
	for n := range linesEach {
		body = append(body, `{"data":`...)
		body = append(appendRecord(body, int64(n)), "}\n"...)
	}
	text, err := m.ask(ctx, http.MethodPost, "/streams/lines", "application/x-ndjson", body)
	if err != nil {
		return err
	}
	var counts struct{ Stored, Failed int64 }
	if err := json.Unmarshal(text, &counts); err != nil {
		return err
	}
	m.lines.Add(counts.Stored)
	if counts.Stored != linesEach {
		return fmt.Errorf("of %d lines %d were stored", linesEach, counts.Stored)
	}
	return nil
}

// page reads the records of the last second.
func (m *mix) page(ctx context.Context) error {
	from := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	_, err := m.ask(ctx, http.MethodGet, "/streams/orders/records?limit=100&from="+from, "", nil)
	return err
}

func (m *mix) look(ctx context.Context, path string) error {
	_, err := m.ask(ctx, http.MethodGet, path, "", nil)
	return err
}

// ask makes a request that must be answered with a 2xx.
func (m *mix) ask(ctx context.Context, method, path, kind string, body []byte) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, method, m.gateway.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, text)
	}
	return text, err
}

// tear cuts a request off in the middle of its body: nothing of it may be
// stored.
func (m *mix) tear(ctx context.Context) error {
	d, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", m.gateway.Addr)
	if err != nil {
		return err
	}
	defer d.Close()
	body := appendRecord(nil, 1)
	_, err = fmt.Fprintf(d, "POST /streams/torn HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", m.gateway.Addr, len(body), body[:len(body)/2])
	return err
}

// refused makes a request that must be refused with a certain status.
func (m *mix) refused(ctx context.Context, n int64) {
	one := [...]struct {
		path, body string
		want       string
	}{
		{"/streams/nowhere", `{"n":1}`, " 404 "},
		{"/streams/torn", `{"n":-1,"t":0,"name":"x"}`, " 422 "},
		{"/streams/torn", `{"n":`, " 400 "},
		{"/streams/torn?colour=red", `{}`, " 400 "},
	}[n/mixTurn%4]
	_, err := m.ask(ctx, http.MethodPost, one.path, "application/json", []byte(one.body))
	if err == nil || !strings.Contains(err.Error(), one.want) {
		m.strange.Add(1)
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.first == "" {
			m.first = fmt.Sprintf("not refused with%sas it must be: %v", one.want, err)
		}
	}
}
