package peers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"sluice/test/bench/measure"
)

// Load is how records are published: over so many connections, each of which
// sends the next request when it has the answer to the last one.
type Load struct {
	Connections int
	// Data is the JSON of each record of a request.
	Data []string
	For  time.Duration
}

// Published is what came of a load. Only requests whose answer proves that
// every record was stored count as requests.
type Published struct {
	Requests, Failed int
	Took             time.Duration
	// First is the first failure.
	First     error
	latencies *measure.Latencies
}

// PerSecond gives requests per second.
func (p Published) PerSecond() float64 { return float64(p.Requests) / p.Took.Seconds() }

// Percentile gives a latency in milliseconds; p is from 0 to 1.
func (p Published) Percentile(at float64) float64 { return p.latencies.Percentile(at) }

// Publish loads the target. It fails only if it cannot begin.
func (t Target) Publish(ctx context.Context, p *Publish, load Load) (Published, error) {
	request, err := t.request(p.Call, "records", t.records(p, load.Data))
	if err != nil {
		return Published{}, err
	}
	u, err := url.Parse(t.Base)
	if err != nil {
		return Published{}, err
	}
	start := time.Now()
	until := start.Add(load.For)
	latencies := &measure.Latencies{}
	publishers := make([]publisher, load.Connections)
	var all sync.WaitGroup
	for i := range publishers {
		publishers[i] = publisher{Published: Published{latencies: latencies}, publish: p, request: request, host: u.Host, records: len(load.Data)}
		all.Go(func() { publishers[i].run(ctx, until) })
	}
	all.Wait()
	sum := Published{Took: time.Since(start), latencies: latencies}
	for _, one := range publishers {
		sum.Requests += one.Requests
		sum.Failed += one.Failed
		if sum.First == nil {
			sum.First = one.First
		}
	}
	return sum, nil
}

// Sender publishes one request after the other over one connection.
type Sender struct {
	target Target
	publisher
}

// Sender makes one. It connects when it is used.
func (t Target) Sender(p *Publish) (*Sender, error) {
	u, err := url.Parse(t.Base)
	if err != nil {
		return nil, err
	}
	return &Sender{t, publisher{publish: p, host: u.Host}}, nil
}

// Send publishes records, and fails unless the answer proves that all were
// stored.
func (s *Sender) Send(ctx context.Context, data ...string) error {
	request, err := s.target.request(s.publish.Call, "records", s.target.records(s.publish, data))
	if err != nil {
		return err
	}
	s.request, s.records = request, len(data)
	err = s.once(ctx)
	if err != nil {
		s.hangUp()
	}
	return err
}

// Close ends the connection.
func (s *Sender) Close() { s.hangUp() }

// publisher is one connection of a load.
type publisher struct {
	Published
	publish *Publish
	request []byte
	host    string
	records int
	conn    net.Conn
	answers *bufio.Reader
}

// run sends requests until the time is up, and at least one. What is under way
// then counts in full.
func (p *publisher) run(ctx context.Context, until time.Time) {
	for first := true; first || (time.Now().Before(until) && ctx.Err() == nil); first = false {
		begun := time.Now()
		if err := p.once(ctx); err != nil {
			p.Failed++
			if p.First == nil {
				p.First = err
			}
			p.hangUp()
			// One that refuses at once is not asked in a loop.
			measure.Pause(ctx, 10*time.Millisecond)
			continue
		}
		p.Requests++
		p.latencies.Add(time.Since(begun))
	}
	p.hangUp()
}

// once sends one request and reads the answer. Where the target closes the
// connection after it, as some do, the next one has a new one.
func (p *publisher) once(ctx context.Context) error {
	if p.conn == nil {
		c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", p.host)
		if err != nil {
			return err
		}
		p.conn, p.answers = c, bufio.NewReaderSize(c, 32<<10)
	}
	if err := p.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := p.conn.Write(p.request); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	resp, err := http.ReadResponse(p.answers, nil)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.Close {
		p.hangUp()
	}
	return p.publish.check(resp.StatusCode, body, p.records)
}

func (p *publisher) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close() // nothing is under way on it
		p.conn = nil
	}
}
