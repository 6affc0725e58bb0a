package groups_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/groups"
	"sluice/internal/stream"
)

// world is Kafka as the pool sees it, without one.
type world struct {
	mu        sync.Mutex
	layouts   []stream.Layout
	committed []stream.At
	commits   []string
	looks     int
	consumers []*consumer
}

func (w *world) Layouts(_ context.Context, p stream.Pattern) ([]stream.Layout, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	var found []stream.Layout
	for _, l := range w.layouts {
		if p.Match(l.Stream) {
			found = append(found, l)
		}
	}
	return found, nil
}

func (w *world) Bounds(_ context.Context, ps []stream.Partition) ([]stream.Bounds, error) {
	bs := make([]stream.Bounds, len(ps))
	for i, p := range ps {
		bs[i] = stream.Bounds{End: 100 + int64(p.Number)}
	}
	return bs, nil
}

func (w *world) OffsetsAt(_ context.Context, ps []stream.Partition, _ time.Time) ([]int64, error) {
	at := make([]int64, len(ps))
	for i, p := range ps {
		at[i] = 50 + int64(p.Number)
	}
	return at, nil
}

func (w *world) Committed(context.Context, string) ([]stream.At, error) { return w.committed, nil }

func (w *world) Commit(_ context.Context, group string, ls []stream.Layout, _ stream.Position) error {
	for _, l := range ls {
		w.commits = append(w.commits, group+" "+l.Stream)
	}
	return nil
}

// consumer is a member's, which learns what a test says.
type consumer struct {
	groups.Opening
	events chan func()
	fail   chan error

	mu     sync.Mutex
	set    [][]stream.Layout
	stored map[stream.Partition]int64
	held   bool
	closed bool
}

func (w *world) open(o groups.Opening) (groups.Consumer, error) {
	c := &consumer{Opening: o, events: make(chan func(), 10_000), fail: make(chan error, 1), stored: map[stream.Partition]int64{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.consumers = append(w.consumers, c)
	return c, nil
}

func (c *consumer) SetStreams(ls []stream.Layout) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = append(c.set, ls)
	return nil
}

func (c *consumer) Poll(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case f := <-c.events:
		f()
	case err := <-c.fail:
		return err
	case <-t.C:
	}
	return nil
}

func (c *consumer) Store(p stream.Partition, _ string, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored[p] = offset
}

func (c *consumer) Hold(hold bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = hold
	return nil
}

func (c *consumer) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *consumer) wantStored(t *testing.T, want map[stream.Partition]int64) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := cmp.Diff(want, c.stored); d != "" {
		t.Errorf("stored (-want +got):\n%s", d)
	}
}

// give lets the consumer learn of a record.
func (c *consumer) give(l stream.Layout, partition int32, offset int64, value string) {
	c.events <- func() {
		c.Events.Record(l, &stream.Record{Stream: l.Stream, Partition: partition, Offset: offset, Value: []byte(value)})
	}
}

// plain writes a line a record: where it lies, and the position after it.
type plain struct{}

func (plain) Name() string { return "plain" }

func (plain) Record(dst []byte, r *stream.Record, position []byte) []byte {
	return fmt.Appendf(dst, "%s/%d/%d %s\n", r.Stream, r.Partition, r.Offset, position)
}

func (plain) Gap(dst []byte, g stream.Gap, position []byte) []byte {
	return fmt.Appendf(dst, "gap %s/%d %d-%d %s\n", g.Stream, g.Number, g.From, g.To, position)
}

type short struct{ filter string }

func (s short) Match(r *stream.Record) bool { return !strings.Contains(string(r.Value), s.filter) }
func (s short) String() string              { return s.filter }

var (
	orders = stream.Layout{Stream: "orders", TopicID: "A", Partitions: 2}
	first  = stream.Partition{Stream: "orders", Number: 0}
	second = stream.Partition{Stream: "orders", Number: 1}
)

func pool(t *testing.T, w *world, change ...func(*groups.Options)) *groups.Groups {
	t.Helper()
	o := groups.Options{
		Kafka: w, Offsets: w, Open: w.open, Members: 3,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
	for _, f := range change {
		f(&o)
	}
	g := groups.New(o)
	t.Cleanup(g.Close)
	return g
}

func membership(t *testing.T, pattern string) stream.Membership {
	t.Helper()
	p, err := stream.ParsePattern(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return stream.Membership{
		Group: "g", AutoCommit: true, Interval: time.Second,
		Reading: stream.Reading{Pattern: p, Partition: stream.AnyPartition},
	}
}

func join(t *testing.T, g *groups.Groups, o stream.Membership) *groups.Member {
	t.Helper()
	m, err := g.Join(t.Context(), o, plain{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// next calls Next, and gives the frames without their positions.
func next(t *testing.T, m *groups.Member) string {
	t.Helper()
	frames, err := m.Next(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(frames)) {
		b.WriteString(line[:strings.LastIndex(line, " ")] + ";")
	}
	return b.String()
}

func position(offsets ...int64) string {
	var p stream.Position
	for n, o := range offsets {
		p.Set(orders, int32(n), o)
	}
	return p.String()
}

// What was given is stored with the next call of Next, not before: only then is
// it written.
func TestWhatWasWrittenIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{layouts: []stream.Layout{orders}}
		m := join(t, pool(t, w), membership(t, "orders"))
		c := w.consumers[0]
		c.give(orders, 0, 4, "a")
		synctest.Wait()
		if got := next(t, m); got != "orders/0/4;" {
			t.Errorf("got %q", got)
		}
		if got := string(m.Position()); got != position(5) {
			t.Errorf("position %s, want %s", got, position(5))
		}
		<-time.After(time.Second)
		c.wantStored(t, map[stream.Partition]int64{})
		c.give(orders, 1, 8, "b")
		c.give(orders, 0, 5, "c")
		<-time.After(time.Second)
		if got := next(t, m); got != "orders/1/8;orders/0/5;" {
			t.Errorf("got %q", got)
		}
		<-time.After(time.Second)
		c.wantStored(t, map[stream.Partition]int64{first: 5})
		if frames, err := m.Next(t.Context(), 5*time.Second); frames != nil || err != nil {
			t.Errorf("idle: got %q, %v", frames, err)
		}
		c.wantStored(t, map[stream.Partition]int64{first: 6, second: 9})
	})
}

// What a filter leaves out is done with, and moves the position.
func TestFilteredRecordsAreDoneWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{layouts: []stream.Layout{orders}}
		o := membership(t, "orders")
		o.Filter = short{"no"}
		m := join(t, pool(t, w), o)
		c := w.consumers[0]
		c.give(orders, 0, 0, "no")
		if frames, err := m.Next(t.Context(), time.Second); frames != nil || err != nil {
			t.Errorf("got %q, %v", frames, err)
		}
		c.wantStored(t, map[stream.Partition]int64{first: 1})
		c.give(orders, 0, 1, "yes")
		c.give(orders, 0, 2, "no")
		synctest.Wait()
		if got := next(t, m); got != "orders/0/1;" {
			t.Errorf("got %q", got)
		}
		if got := string(m.Position()); got != position(3) {
			t.Errorf("position %s, want %s", got, position(3))
		}
	})
}

// What a partition had queued goes with it, and no position names it any more:
// committed by hand, that would lose what nobody was given, or take the next
// member back.
func TestRevokedPartitionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{layouts: []stream.Layout{orders}}
		o := membership(t, "orders")
		o.AutoCommit = false
		m := join(t, pool(t, w), o)
		c := w.consumers[0]
		c.give(orders, 0, 0, "a")
		c.give(orders, 1, 0, "b")
		synctest.Wait()
		next(t, m)
		c.give(orders, 0, 1, "never given")
		c.give(orders, 1, 1, "c")
		c.events <- func() { c.Events.Revoked([]stream.Partition{first}) }
		synctest.Wait()
		if got := next(t, m); got != "orders/1/1;" {
			t.Errorf("got %q", got)
		}
		if got := string(m.Position()); got != position(-1, 2) {
			t.Errorf("position %s, want %s", got, position(-1, 2))
		}
		if c.CommitEvery != 0 {
			t.Errorf("the consumer commits every %v", c.CommitEvery)
		}
		c.wantStored(t, map[stream.Partition]int64{})
	})
}

// A rebalance waits a little for a write under way.
func TestRevokeWaitsForTheWrite(t *testing.T) {
	for name, tc := range map[string]struct {
		write time.Duration
		want  map[stream.Partition]int64
	}{
		"soon": {300 * time.Millisecond, map[stream.Partition]int64{first: 1}},
		"late": {3 * time.Second, map[stream.Partition]int64{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{layouts: []stream.Layout{orders}}
				m := join(t, pool(t, w), membership(t, "orders"))
				c := w.consumers[0]
				c.give(orders, 0, 0, "a")
				synctest.Wait()
				next(t, m)
				revoked := make(chan time.Time, 1)
				start := time.Now()
				c.events <- func() { c.Events.Revoked([]stream.Partition{first}); revoked <- time.Now() }
				<-time.After(tc.write)
				if _, err := m.Next(t.Context(), time.Second); err != nil {
					t.Fatal(err)
				}
				if took := (<-revoked).Sub(start); took > 1200*time.Millisecond {
					t.Errorf("the rebalance was held up for %v", took)
				}
				c.wantStored(t, tc.want)
			})
		})
	}
}

// A stream that was made anew takes the place of the earlier one in positions.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{layouts: []stream.Layout{orders}}
		m := join(t, pool(t, w), membership(t, "orders"))
		c := w.consumers[0]
		c.give(orders, 0, 41, "a")
		anew := orders
		anew.TopicID = "B"
		c.events <- func() { c.Events.Gap(anew, stream.Gap{Partition: first, From: 42, To: 0}) }
		c.give(anew, 0, 0, "b")
		<-time.After(time.Second)
		if got := next(t, m); got != "orders/0/41;gap orders/0 42-0;orders/0/0;" {
			t.Errorf("got %q", got)
		}
		var want stream.Position
		want.Set(anew, 0, 1)
		if got := string(m.Position()); got != want.String() {
			t.Errorf("position %s, want %s", got, want)
		}
	})
}

// A reader who takes nothing stops the fetching, not the polling; when it takes
// again everything comes, once and in order.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{layouts: []stream.Layout{orders}}
		m := join(t, pool(t, w), membership(t, "orders"))
		c := w.consumers[0]
		big := strings.Repeat("x", 100<<10)
		for n := range int64(6) {
			c.give(orders, 0, n, big)
		}
		<-time.After(5 * time.Second)
		held := func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.held }
		if !held() {
			t.Error("the consumer is not on hold")
		}
		polled := make(chan struct{})
		c.events <- func() { close(polled) }
		<-polled
		var got string
		for !strings.HasSuffix(got, "/5;") {
			got += next(t, m)
		}
		if want := "orders/0/0;orders/0/1;orders/0/2;orders/0/3;orders/0/4;orders/0/5;"; got != want {
			t.Errorf("got %q", got)
		}
		<-time.After(time.Second)
		if held() {
			t.Error("the consumer is still on hold")
		}
	})
}

// The position of very many partitions cannot be committed by hand; where the
// gateway commits nobody needs it.
func TestWidePosition(t *testing.T) {
	wide := stream.Layout{Stream: "wide", TopicID: "A", Partitions: 2000}
	for _, auto := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{layouts: []stream.Layout{wide}}
			o := membership(t, "wide")
			o.AutoCommit = auto
			m := join(t, pool(t, w), o)
			for n := range int32(2000) {
				w.consumers[0].give(wide, n, 1<<40, "")
			}
			<-time.After(time.Second)
			frames, err := m.Next(t.Context(), time.Second)
			for frames != nil && err == nil {
				frames, err = m.Next(t.Context(), time.Second)
			}
			if got := stream.CodeOf(err); (got == "") != auto || !auto && got != stream.PatternTooWide {
				t.Errorf("auto_commit=%v: got %v", auto, err)
			}
			if p := m.Position(); len(p) > 0 {
				t.Errorf("a position of %d bytes", len(p))
			}
		})
	}
}

// A consumer that fails ends its membership, after what it gave.
func TestFailedConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{layouts: []stream.Layout{orders}}
		m := join(t, pool(t, w), membership(t, "orders"))
		c := w.consumers[0]
		c.give(orders, 0, 0, "a")
		synctest.Wait()
		c.fail <- stream.Errorf(stream.Forbidden, "no")
		synctest.Wait()
		if got := next(t, m); got != "orders/0/0;" {
			t.Errorf("got %q", got)
		}
		_, err := m.Next(t.Context(), time.Second)
		if stream.CodeOf(err) != stream.Forbidden || !c.closed {
			t.Errorf("got %v, closed %v", err, c.closed)
		}
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{layouts: []stream.Layout{orders}}
		g := pool(t, w)
		m := join(t, g, membership(t, "orders"))
		c := w.consumers[0]
		c.give(orders, 0, 0, "a")
		synctest.Wait()
		next(t, m)
		go func() { <-time.After(time.Second); g.Drain() }()
		if _, err := m.Next(t.Context(), time.Minute); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		if _, err := g.Join(t.Context(), membership(t, "orders"), plain{}); stream.CodeOf(err) != stream.Overloaded {
			t.Errorf("join: got %v", err)
		}
		m.Close()
		c.wantStored(t, map[stream.Partition]int64{first: 1})
		if !c.closed {
			t.Error("the consumer is not closed")
		}
	})
}
