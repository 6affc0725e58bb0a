package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/kafkatest"
)

// fleet is the gateways that readers and publishers take turns with.
type fleet struct {
	mu       sync.Mutex
	gateways []*gateway
	turn     int
}

// next gives the gateway whose turn it is.
func (f *fleet) next() *gateway {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	return f.gateways[f.turn%len(f.gateways)]
}

func (f *fleet) replace(i int, g *gateway) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gateways[i] = g
}

// reader follows a pattern as EventSource does: when its stream ends it
// connects again, to the next gateway, with the last id that it saw. Offsets in
// the tests' streams have no holes, so each record must be the next of its
// partition.
type reader struct {
	fleet   *fleet
	pattern string

	mu     sync.Mutex
	next   map[string]int64 // by stream/partition
	seen   map[int]bool     // ids of the data
	wrong  []string
	gaps   int
	ends   int
	lastID string
}

func (r *reader) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.connect(ctx); err != nil && ctx.Err() == nil {
			pause(ctx, 20*time.Millisecond) // between two tries
		}
	}
}

func (r *reader) connect(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, "GET", r.fleet.next().url+"/streams/"+r.pattern+"/events?from=earliest", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if r.lastID != "" {
		req.Header.Set("Last-Event-ID", r.lastID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.wrong = append(r.wrong, "status "+resp.Status)
		return errors.New(resp.Status)
	}
	return r.read(bufio.NewReader(resp.Body))
}

// read takes events until the stream ends. An event that was cut off does not
// count, nor does its id.
func (r *reader) read(lines *bufio.Reader) error {
	var id, name, data string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if id != "" {
				r.lastID = id
			}
			r.take(name, data)
			name, data = "", ""
		}
	}
}

func (r *reader) take(name, data string) {
	if data == "" {
		return
	}
	var event struct {
		Stream            string
		Partition         int
		Offset, From, To  int64
		Data              struct{ ID int }
		Type, Detail, End string
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := json.Unmarshal([]byte(data), &event); err != nil {
		r.wrong = append(r.wrong, err.Error()+": "+data)
		return
	}
	place := fmt.Sprint(event.Stream, "/", event.Partition)
	switch name {
	case "":
		if event.Offset != r.next[place] {
			r.wrong = append(r.wrong, fmt.Sprintf("%s: offset %d, expected %d", place, event.Offset, r.next[place]))
		}
		r.next[place] = event.Offset + 1
		r.seen[event.Data.ID] = true
	case "gap":
		r.gaps++
		if event.From != r.next[place] {
			r.wrong = append(r.wrong, fmt.Sprintf("%s: a gap from %d, expected %d", place, event.From, r.next[place]))
		}
		r.next[place] = event.To
	case "end":
		r.ends++
	default:
		r.wrong = append(r.wrong, name+": "+data)
	}
}

// missing says what of the accepted ids the reader has not seen.
func (r *reader) missing(accepted []int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, example := 0, 0
	for _, id := range accepted {
		if !r.seen[id] {
			n++
			example = id
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d records did not come, for example %d", n, len(accepted), example)
	}
	return nil
}

// publishers publish records with ever new ids until they are stopped, and
// remember which were accepted.
type publishers struct {
	fleet    *fleet
	ids      atomic.Int64
	mu       sync.Mutex
	accepted []int
	all      sync.WaitGroup
	stopped  context.CancelFunc
}

func (p *publishers) start(ctx context.Context, streams ...string) {
	ctx, p.stopped = context.WithCancel(ctx)
	for _, s := range streams {
		for range 2 {
			p.all.Go(func() {
				for ctx.Err() == nil {
					p.publish(ctx, s)
					pause(ctx, time.Millisecond) // a load, not a flood
				}
			})
		}
	}
}

func (p *publishers) publish(ctx context.Context, s string) {
	id := int(p.ids.Add(1))
	a, err := p.fleet.next().try(context.WithoutCancel(ctx), request{"POST", "/streams/" + s, fmt.Sprintf(`{"id":%d}`, id), nil})
	if err == nil && a.status == 201 {
		p.mu.Lock()
		p.accepted = append(p.accepted, id)
		p.mu.Unlock()
	}
}

// more waits until n more records were accepted.
func (p *publishers) more(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.accepted)
	}
	want := count() + n
	kafkatest.Eventually(t, 2*patience, func() error {
		if got := count(); got < want {
			return fmt.Errorf("%d of %d records were accepted", got, want)
		}
		return nil
	})
}

func (p *publishers) stop() []int {
	p.stopped()
	p.all.Wait()
	return p.accepted
}

// follow starts readers, and gives them and what ends them.
func follow(t *testing.T, f *fleet, pattern string, n int) []*reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait() })
	readers := make([]*reader, n)
	for i := range readers {
		readers[i] = &reader{fleet: f, pattern: pattern, next: map[string]int64{}, seen: map[int]bool{}}
		all.Go(func() { readers[i].run(ctx) })
	}
	return readers
}

// wantAll waits until each reader has all, and fails if one saw anything twice,
// out of order, or not at all.
func wantAll(t *testing.T, readers []*reader, accepted []int) {
	t.Helper()
	for i, r := range readers {
		kafkatest.Eventually(t, patience, func() error { return r.missing(accepted) })
		r.mu.Lock()
		for _, w := range r.wrong[:min(len(r.wrong), 5)] {
			t.Errorf("reader %d: %s", i, w)
		}
		r.mu.Unlock()
	}
}

// Readers that come and go between gateways see each record once, in order:
// while one gateway is killed and another one stopped, streams are made and
// grow, and publishing goes on.
func TestReadersMissNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		for _, topic := range []string{"live.a", "live.b", "live.c", "_sluice.schemas"} {
			b.DeleteLater(t, b.Prefix()+topic)
		}
		f := &fleet{gateways: []*gateway{start(t, b), start(t, b)}}
		first := f.gateways[0]
		first.register(t, "Order", order)
		first.put(t, "/streams/live.a", `{"schema":"Order:1","partitions":2}`).want(t, 201)
		first.put(t, "/streams/live.b", `{"schema":"Order:1","partitions":1}`).want(t, 201)
		p := &publishers{fleet: f}
		p.start(t.Context(), "live.a", "live.b")
		p.more(t, 50)
		readers := follow(t, f, "live.*", 6)
		p.more(t, 50)

		first.signal(t, syscall.SIGKILL)
		f.replace(0, start(t, b))
		p.more(t, 50)
		second := f.gateways[1]
		second.put(t, "/streams/live.c", `{"schema":"Order:1","partitions":2}`).want(t, 201)
		second.put(t, "/streams/live.a", `{"partitions":4}`).want(t, 200)
		for range 10 {
			p.publish(t.Context(), "live.c")
		}
		p.more(t, 50)
		second.signal(t, syscall.SIGTERM)
		f.replace(1, start(t, b))
		p.more(t, 50)

		wantAll(t, readers, p.stop())
		ends := 0
		for _, r := range readers {
			r.mu.Lock()
			ends += r.ends
			r.mu.Unlock()
		}
		if ends == 0 {
			t.Error("no reader was told that the gateway stops")
		}
	})
}

// A stream that is deleted and made again is a gap to those who follow it, and
// to those who come back, and then its beginning.
func TestReadersOfAStreamThatIsMadeAnew(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		b.DeleteLater(t, b.Prefix()+"again.a", b.Prefix()+"_sluice.schemas")
		f := &fleet{gateways: []*gateway{start(t, b)}}
		g := f.gateways[0]
		g.register(t, "Order", order)
		p := &publishers{fleet: f}
		put := func() { g.put(t, "/streams/again.a", `{"schema":"Order:1","partitions":1}`).want(t, 201) }
		put()
		for range 5 {
			p.publish(t.Context(), "again.a")
		}
		readers := follow(t, f, "again.*", 2)
		wantAll(t, readers, p.accepted)

		g.do(t, request{method: "DELETE", path: "/streams/again.a"}).want(t, 204)
		put()
		for range 3 {
			p.publish(t.Context(), "again.a")
		}
		wantAll(t, readers, p.accepted)
		for i, r := range readers {
			r.mu.Lock()
			if r.gaps != 1 {
				t.Errorf("reader %d: %d gaps", i, r.gaps)
			}
			r.mu.Unlock()
		}
	})
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
