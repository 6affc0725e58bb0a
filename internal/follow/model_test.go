package follow_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/follow"
	"sluice/internal/stream"
)

func newHub(c *cluster, change func(*follow.Options)) *follow.Hub {
	o := follow.Options{Kafka: c, OpenTail: c.open, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
	if change != nil {
		change(&o)
	}
	return follow.New(o)
}

// modelSeeds and modelSteps say how long TestModel plays; more finds more:
// go test -run TestModel ./internal/follow -model.seeds 500 -model.steps 500.
var (
	modelSeeds = flag.Uint64("model.seeds", 8, "how many seeds TestModel plays")
	modelFirst = flag.Uint64("model.first", 1, "the first of them")
	modelSteps = flag.Int("model.steps", 250, "how many steps each of them has")
)

// TestModel lets followers of all kinds read a cluster in which everything
// happens, and checks that each is given each record of its pattern once and
// in order, from its start on, and is told what is gone. Each subtest is named
// after its seed; what happens under a seed still depends a little on how
// goroutines are scheduled.
func TestModel(t *testing.T) {
	for seed := *modelFirst; seed < *modelFirst+*modelSeeds; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runModel(t, seed) })
		})
	}
}

// history knows all records that there ever were.
type history struct {
	c      *cluster
	topics map[string]*fakeTopic // by id
}

// runModel plays one seed.
func runModel(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	c := newCluster(seed)
	c.apart = seed%4 < 2
	c.late = time.Duration(rng.IntN(300)) * time.Millisecond
	m := &model{t: t, rng: rng, c: c, lax: seed%4 == 2, still: seed%4 == 3, h: &history{c: c, topics: map[string]*fakeTopic{}}}
	for range 2 {
		hub := newHub(c, func(o *follow.Options) {
			o.FeedBytes = []int{1, 3000, 100_000, 1 << 20}[rng.IntN(4)]
			o.CatchUpBytes = []int{1, 50_000, 1 << 20}[rng.IntN(3)]
		})
		defer hub.Close()
		m.hubs = append(m.hubs, hub)
	}
	m.create("a", 2)
	m.create("b.x", 1)
	for range *modelSteps {
		m.step()
		<-time.After(time.Duration(rng.IntN(60)) * time.Millisecond)
	}
	c.settle()
	m.calm.Store(true)
	<-time.After(time.Minute) // everything comes to rest
	close(m.stop())
	m.followers.Wait()
	for _, s := range m.sessions {
		s.checkEnd()
	}
}

type model struct {
	t         *testing.T
	rng       *rand.Rand
	c         *cluster
	h         *history
	hubs      []*follow.Hub
	followers sync.WaitGroup
	sessions  []*session
	stopped   chan struct{}
	events    []string
	lax       bool        // an offset does not tell of which topic it is, so that readers may be given some of a new one before they are told of it
	still     bool        // nothing is deleted
	calm      atomic.Bool // readers read without pauses
}

func (m *model) stop() chan struct{} {
	if m.stopped == nil {
		m.stopped = make(chan struct{})
	}
	return m.stopped
}

func (m *model) event(format string, args ...any) {
	m.events = append(m.events, time.Now().Format("04:05.000 * ")+fmt.Sprintf(format, args...))
}

func (m *model) create(name string, n int) {
	m.event("%s: created with %d", name, n)
	m.c.create(name, n)
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	m.h.topics[m.c.topics[name].id] = m.c.topics[name]
}

// step changes something.
func (m *model) step() {
	names := []string{"a", "b.x", "b.y", "b.z", "c"}
	name := names[m.rng.IntN(len(names))]
	m.c.mu.Lock()
	topic := m.c.topics[name]
	parts := 0
	if topic != nil {
		parts = len(topic.parts)
	}
	m.c.mu.Unlock()
	switch k := m.rng.IntN(100); {
	case k < 12:
		m.join()
	case parts == 0:
		if m.rng.IntN(4) == 0 {
			m.create(name, 1+m.rng.IntN(3))
		}
	case k < 80:
		n := int32(m.rng.IntN(parts))
		m.event("%s: put %d", name, n)
		for range 1 + m.rng.IntN(15) {
			m.c.put(name, n, m.rng.IntN(6) == 0)
		}
	case k < 88:
		n := int32(m.rng.IntN(parts))
		m.c.mu.Lock()
		p := topic.parts[n]
		begin := p.begin + m.rng.Int64N(p.end-p.begin+1)
		m.c.mu.Unlock()
		m.event("%s: expire %d before %d", name, n, begin)
		m.c.expire(name, n, begin)
	case k < 90 && parts < 5:
		m.event("%s: grow", name)
		m.c.grow(name, 1)
	case k < 95 && m.still:
	case k < 93 && name != "a":
		m.event("%s: removed", name)
		m.c.remove(name)
	case k < 95:
		m.event("%s: removed", name)
		m.c.remove(name)
		m.create(name, 1+m.rng.IntN(3))
	case k < 96:
		m.c.set(stream.Errorf(stream.KafkaUnavailable, "down"), false)
		<-time.After(time.Duration(m.rng.IntN(3000)) * time.Millisecond)
		m.c.set(nil, false)
	}
}

// join starts a follower.
func (m *model) join() {
	if len(m.sessions) > 25 {
		return
	}
	patterns := []string{"a", "b.*", "*", "a,b.*", "[ab]*"}
	r := stream.Reading{Pattern: pattern(m.t, patterns[m.rng.IntN(len(patterns))]), Partition: stream.AnyPartition}
	if m.rng.IntN(4) == 0 {
		r.Partition = int32(m.rng.IntN(2))
	}
	if m.rng.IntN(3) == 0 {
		r.Filter = every(1 + m.rng.IntN(3))
	}
	s := &session{m: m, r: r, rng: rand.New(rand.NewPCG(m.rng.Uint64(), 3)), seen: map[stream.Partition]*place{}, given: map[recordID]bool{}, undo: map[stream.Partition]*place{}, first: map[string]string{}}
	switch m.rng.IntN(3) {
	case 0:
		s.r.Start.Kind = stream.FromEarliest
	case 1:
		s.r.Start.Kind = stream.FromLatest
	case 2:
		s.r.Start.Kind, s.r.Start.Time = stream.FromTime, time.Now().Add(-time.Duration(m.rng.IntN(5000))*time.Millisecond)
	}
	m.sessions = append(m.sessions, s)
	stop := m.stop()
	if m.rng.IntN(3) == 0 {
		s.r.Start = stream.Start{Kind: stream.FromEarliest}
		m.followers.Go(func() { s.pages(stop) })
		return
	}
	m.followers.Go(func() { s.run(stop) })
}
