package follow_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"sluice/internal/follow"
	"sluice/internal/stream"
)

// cluster is Kafka as far as the hub sees it: topics with partitions in memory.
type cluster struct {
	mu     sync.Mutex
	topics map[string]*fakeTopic
	made   int
	news   chan struct{}
	blind  error         // what Bounds answers, when set
	down   error         // what every call answers, when set
	late   time.Duration // the most that a call takes
	apart  bool          // offsets of topics that are made anew do not overlap those of earlier ones
	rng    *rand.Rand
	reads  int
	tails  []*fakeTail
	frozen bool                                   // tails see nothing
	block  func(p stream.Pattern) <-chan struct{} // what an answer about layouts waits for
}

type fakeTopic struct {
	id    string
	base  int64
	parts []*fakePart
}

type fakePart struct {
	begin, end int64
	records    map[int64]*stream.Record // those that were removed, too
}

func newCluster(seed uint64) *cluster {
	return &cluster{topics: map[string]*fakeTopic{}, news: make(chan struct{}), rng: rand.New(rand.NewPCG(seed, 1))}
}

func (c *cluster) create(name string, partitions int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	t := &fakeTopic{id: "id" + strconv.Itoa(c.made)}
	if c.apart {
		t.base = int64(c.made) * 1_000_000
	}
	c.topics[name] = t
	c.widen(t, partitions)
}

func (c *cluster) widen(t *fakeTopic, partitions int) {
	for range partitions {
		t.parts = append(t.parts, &fakePart{begin: t.base, end: t.base, records: map[int64]*stream.Record{}})
	}
}

func (c *cluster) grow(name string, partitions int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.widen(c.topics[name], partitions)
}

func (c *cluster) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.topics, name)
	c.tell()
}

// put appends a record, or a hole as transactions leave it.
func (c *cluster) put(name string, n int32, hole bool) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.topics[name]
	p := t.parts[n]
	o := p.end
	p.end++
	if !hole {
		p.records[o] = &stream.Record{Stream: name, Partition: n, Offset: o, Timestamp: time.Now(), Data: []byte(t.id)}
	}
	c.tell()
	return o
}

// expire removes the records before an offset.
func (c *cluster) expire(name string, n int32, begin int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.topics[name].parts[n]
	p.begin = max(p.begin, min(begin, p.end))
}

// truncate removes the records from an offset on.
func (c *cluster) truncate(name string, n int32, end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.topics[name].parts[n]
	maps.DeleteFunc(p.records, func(o int64, _ *stream.Record) bool { return o >= end })
	p.end = end
	c.tell()
}

func (c *cluster) set(down error, frozen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down, c.frozen = down, frozen
	c.tell()
}

// settle makes all calls quick.
func (c *cluster) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = 0
}

func (c *cluster) tell() {
	close(c.news)
	c.news = make(chan struct{})
}

// pass takes the time that a call takes.
func (c *cluster) pass(ctx context.Context) error {
	c.mu.Lock()
	late, down := time.Duration(0), c.down
	if c.late > 0 {
		late = time.Duration(c.rng.Int64N(int64(c.late)))
	}
	c.mu.Unlock()
	if late > 0 {
		select {
		case <-time.After(late):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return down
}

func (c *cluster) Layouts(ctx context.Context, p stream.Pattern) ([]stream.Layout, error) {
	c.mu.Lock()
	block := c.block
	c.mu.Unlock()
	if block != nil {
		if wait := block(p); wait != nil {
			<-wait
		}
	}
	before, err := c.layouts(p), c.pass(ctx)
	if err != nil {
		return nil, err
	}
	if len(before)%2 == 0 { // an answer may be of any moment of the call
		return before, nil
	}
	return c.layouts(p), nil
}

func (c *cluster) layouts(p stream.Pattern) []stream.Layout {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ls []stream.Layout
	for name, t := range c.topics {
		if p.Match(name) {
			ls = append(ls, stream.Layout{Stream: name, TopicID: t.id, Partitions: len(t.parts)})
		}
	}
	slices.SortFunc(ls, func(a, b stream.Layout) int { return cmp.Compare(a.Stream, b.Stream) })
	return ls
}

func (c *cluster) part(id stream.Partition) *fakePart {
	t := c.topics[id.Stream]
	if t == nil || int(id.Number) >= len(t.parts) {
		return nil
	}
	return t.parts[id.Number]
}

func unknown(id stream.Partition) error {
	return stream.Errorf(stream.UnknownStream, "no partition %d of %s", id.Number, id.Stream)
}

func (c *cluster) Bounds(ctx context.Context, ps []stream.Partition) ([]stream.Bounds, error) {
	if err := c.pass(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blind != nil {
		return nil, c.blind
	}
	bs := make([]stream.Bounds, len(ps))
	for i, id := range ps {
		p := c.part(id)
		if p == nil {
			return nil, unknown(id)
		}
		bs[i] = stream.Bounds{Begin: p.begin, End: p.end}
	}
	return bs, nil
}

func (c *cluster) OffsetsAt(ctx context.Context, ps []stream.Partition, t time.Time) ([]int64, error) {
	if err := c.pass(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	os := make([]int64, len(ps))
	for i, id := range ps {
		p := c.part(id)
		if p == nil {
			return nil, unknown(id)
		}
		os[i] = p.begin
		for os[i] < p.end && (p.records[os[i]] == nil || p.records[os[i]].Timestamp.Before(t)) {
			os[i]++
		}
	}
	return os, nil
}

func (c *cluster) Read(ctx context.Context, spans []stream.Span, limit stream.PageLimit) (stream.Page, error) {
	if err := c.pass(ctx); err != nil {
		return stream.Page{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	var page stream.Page
	page.Left = slices.Clone(spans)
	beyond := false
	for i := range page.Left {
		sp := &page.Left[i]
		p := c.part(sp.Partition)
		if p == nil {
			return stream.Page{}, unknown(sp.Partition)
		}
		switch {
		case sp.From < p.begin:
			page.Gaps = append(page.Gaps, stream.Gap{Partition: sp.Partition, From: sp.From, To: p.begin})
			sp.From = p.begin
			sp.To = max(sp.To, sp.From)
		case sp.From > p.end:
			page.Gaps = append(page.Gaps, stream.Gap{Partition: sp.Partition, From: sp.From, To: p.end})
			sp.From, sp.To = p.end, p.end
		}
		beyond = beyond || sp.To > p.end
	}
	for more := true; more && len(page.Records) < limit.Records; {
		more = false
		for i := range page.Left {
			sp := &page.Left[i]
			p := c.part(sp.Partition)
			if sp.From < sp.To && sp.From < p.end && len(page.Records) < limit.Records {
				if r := p.records[sp.From]; r != nil {
					page.Records = append(page.Records, *r)
				}
				sp.From++
				more = true
			}
		}
	}
	if beyond && len(page.Records) == 0 && len(page.Gaps) == 0 {
		return stream.Page{}, stream.Errorf(stream.KafkaUnavailable, "no progress")
	}
	return page, nil
}

// fakeTail follows the partitions of a cluster.
type fakeTail struct {
	c      *cluster
	at     map[stream.Partition]int64
	fail   error // what Add answers
	closed bool
}

func (c *cluster) open() (follow.Tail, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTail{c: c, at: map[stream.Partition]int64{}}
	c.tails = append(c.tails, t)
	return t, nil
}

func (t *fakeTail) Add(at []stream.At) error {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.fail != nil {
		return t.fail
	}
	for _, a := range at {
		if _, ok := t.at[a.Partition]; ok {
			panic(fmt.Sprintf("%v is followed already", a.Partition))
		}
		t.at[a.Partition] = a.Offset
	}
	return nil
}

func (t *fakeTail) Drop(ps []stream.Partition) error {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	for _, p := range ps {
		delete(t.at, p)
	}
	return nil
}

func (t *fakeTail) Close() error {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.closed = true
	return nil
}

func (t *fakeTail) Poll(d time.Duration) []stream.Fetched {
	t.c.mu.Lock()
	batch := t.fetch()
	news := t.c.news
	t.c.mu.Unlock()
	if len(batch) > 0 || d == 0 {
		return batch
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-news:
	case <-timer.C:
	}
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.fetch()
}

func (t *fakeTail) fetch() []stream.Fetched {
	var batch []stream.Fetched
	if t.c.frozen || t.c.down != nil {
		return nil
	}
	for id, at := range t.at {
		p := t.c.part(id)
		if p == nil || at < p.begin || at > p.end {
			batch = append(batch, stream.Fetched{Partition: id, Next: at, Lost: true})
			delete(t.at, id)
			continue
		}
		for n := 1 + t.c.rng.IntN(20); n > 0 && at < p.end; n-- {
			at++
			batch = append(batch, stream.Fetched{Partition: id, Record: p.records[at-1], Next: at})
		}
		t.at[id] = at
	}
	return batch
}

// lines writes a line for each record and gap.
type lines struct{ pad int }

func (l lines) Name() string { return "lines" + strconv.Itoa(l.pad) }

func (l lines) Record(dst []byte, r *stream.Record, position []byte) []byte {
	dst = append(append(dst, "r "...), r.Stream...)
	dst = strconv.AppendInt(append(dst, ' '), int64(r.Partition), 10)
	dst = strconv.AppendInt(append(dst, ' '), r.Offset, 10)
	dst = append(append(append(append(dst, ' '), r.Data...), ' '), position...)
	for range l.pad {
		dst = append(dst, '.')
	}
	return append(dst, '\n')
}

func (l lines) Gap(dst []byte, g stream.Gap, position []byte) []byte {
	return fmt.Appendf(dst, "g %s %d %d %d %s\n", g.Stream, g.Number, g.From, g.To, position)
}

// every selects the records whose offset is divisible by it.
type every int64

func (e every) Match(r *stream.Record) bool { return r.Offset%int64(e) == 0 }
func (e every) String() string              { return strconv.Itoa(int(e)) }

func pattern(t testing.TB, s string) stream.Pattern {
	t.Helper()
	p, err := stream.ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func position(t testing.TB, s string) stream.Position {
	t.Helper()
	p, err := stream.ParsePosition(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return p
}
