package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/delivery"
	"sluice/internal/stream"
)

// TestNothingIsLostWhateverHappens runs subscriptions through random outcomes,
// crashes, moves between gateways, streams made anew, pauses and failing
// commits, and checks each request and each commit against what was published.
func TestNothingIsLostWhateverHappens(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newModel(t, seed).run(100) })
		})
	}
}

// place is a record for ever: topics that are made anew have another id.
type place struct {
	topic     string
	partition int32
	offset    int64
}

type published struct {
	place
	key       string
	selected  bool // by the filter
	complete  bool
	committed bool
	acked     int // the period whose owner was told that it was delivered; 0: none
}

// model is what must hold. All engines share it.
type model struct {
	*world
	rnd   *rand.Rand // what happens
	seed  uint64
	sub   *stream.Subscription
	fixed stream.Subscription // what does not change of it

	mu      sync.Mutex
	fate    *rand.Rand // how the endpoint answers
	records map[place]*published
	lanes   map[string][]*published // by topic, partition and key, in order
	parts   map[string][]*published // by topic and partition, in order
	active  map[string]int          // by period and lane: requests under way
	mode    string
	bad     string // the key that fails
	repeats int

	commitFails atomic.Bool
	gateway     *gateway
	period      int
}

// gateway is one process. A dead one changes nothing any more.
type gateway struct {
	m      *model
	e      *delivery.Engine
	period int
	dead   atomic.Bool
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		world: newWorld(t), rnd: rand.New(rand.NewPCG(seed, 6)), fate: rand.New(rand.NewPCG(seed, 7)), seed: seed,
		records: map[place]*published{}, lanes: map[string][]*published{}, parts: map[string][]*published{},
		active: map[string]int{}, mode: "well", bad: "k0",
	}
	r := m.rnd
	m.sub = subscription(func(s *stream.Subscription) {
		s.Ordering = []string{stream.OrderingKey, stream.OrderingKey, stream.OrderingPartition, stream.OrderingNone}[r.IntN(4)]
		s.Batch = stream.Batch{MaxRecords: []int{1, 1, 4}[r.IntN(3)], MaxWait: time.Duration(r.IntN(2)) * time.Second}
		s.MaxInFlight = 1 + r.IntN(8)
		s.Filter = []string{"", "x"}[r.IntN(2)]
		s.Retry = stream.Retry{Initial: time.Second, Max: time.Minute, Multiplier: 2, MaxAttempts: []int{0, 5}[r.IntN(2)]}
		if s.Retry.MaxAttempts == 0 && r.IntN(2) == 0 {
			s.OnExhausted = stream.OnExhaustedDrop
		}
	})
	m.fixed = *m.sub
	m.broker.delay = func() time.Duration {
		m.mu.Lock()
		defer m.mu.Unlock()
		return time.Duration(m.fate.Int64N(int64(100 * time.Millisecond)))
	}
	m.broker.onCommit = m.checkCommit
	m.broker.create("orders", 1+r.IntN(3))
	return m
}

func (m *model) run(steps int) {
	m.takeOver()
	for range steps {
		m.step()
		pass(time.Duration(m.rnd.Int64N(int64(3 * time.Second))))
	}
	m.heal()
	m.checkEnd()
	m.gateway.e.Close()
}

// takeOver has a new gateway own the subscription.
func (m *model) takeOver() {
	m.period++
	g := &gateway{m: m, period: m.period}
	o := m.options()
	o.Sender, o.Offsets, o.DeadLetters, o.Pauser, o.Allowed = g, g, g, m, func() bool { return !g.dead.Load() }
	if m.rnd.IntN(2) == 0 {
		o.WindowRecords, o.MemoryBytes = 20, 300<<10
	}
	g.e = delivery.New(o)
	m.gateway = g
	g.e.Own(m.sub)
}

func (m *model) step() {
	switch n := m.rnd.IntN(100); {
	case n < 60:
		for range m.rnd.IntN(30) {
			m.publish()
		}
	case n < 75:
		m.mu.Lock()
		m.mode = []string{"well", "well", "random", "down", "slow"}[m.rnd.IntN(5)]
		m.bad = fmt.Sprint("k", m.rnd.IntN(8))
		m.mu.Unlock()
	case n < 80: // killed
		m.gateway.dead.Store(true)
		go m.gateway.e.Close()
		m.takeOver()
	case n < 86: // moved
		m.gateway.e.Disown("s")
		go m.gateway.e.Close()
		m.takeOver()
	case n < 90:
		m.commitFails.Store(!m.commitFails.Load())
	case n < 93:
		m.setState(stream.StatePaused)
	case n < 97:
		m.setState(stream.StateActive)
	case n < 98:
		m.broker.create("orders", 1+m.rnd.IntN(3)) // made anew
	case !m.commitFails.Load(): // what is not committed then may be repeated by the same gateway
		m.update(func(s *stream.Subscription) { s.Batch.MaxWait += time.Millisecond }) // begins anew
		pass(2 * time.Second)
	}
}

func (m *model) setState(state string) {
	m.update(func(s *stream.Subscription) { s.State = state })
}

func (m *model) update(change func(*stream.Subscription)) {
	m.sub = m.sub.Clone()
	m.sub.Revision++
	change(m.sub)
	m.gateway.e.Update(m.sub)
}

func (m *model) publish() {
	k := fmt.Sprint([]string{"k", "x"}[m.rnd.IntN(5)/4], m.rnd.IntN(6))
	var skip int64
	if m.rnd.IntN(10) == 0 {
		skip = 1
	}
	m.broker.mu.Lock()
	n := m.rnd.IntN(len(m.broker.topics["orders"].parts))
	m.broker.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &published{key: k, selected: m.fixed.Filter == "" || !strings.HasPrefix(k, m.fixed.Filter)}
	p.place = place{m.broker.topicID("orders"), int32(n), m.broker.publish("orders", n, key(k), skip)}
	m.records[p.place] = p
	m.lanes[m.lane(p)] = append(m.lanes[m.lane(p)], p)
	part := fmt.Sprint(p.topic, "/", p.partition)
	m.parts[part] = append(m.parts[part], p)
}

// lane names what is delivered one after the other.
func (m *model) lane(p *published) string {
	switch m.fixed.Ordering {
	case stream.OrderingNone:
		return fmt.Sprint(p.place)
	case stream.OrderingPartition:
		return fmt.Sprint(p.topic, "/", p.partition)
	}
	return fmt.Sprint(p.topic, "/", p.partition, "/", p.key)
}

// Send is the endpoint.
func (g *gateway) Send(ctx context.Context, d *stream.Delivery) stream.Attempt {
	m := g.m
	if g.dead.Load() {
		return stream.Attempt{Outcome: stream.DeliveryCancelled}
	}
	m.mu.Lock()
	records := m.begin(g, d)
	a, lost := m.outcome(d)
	wait := time.Duration(m.fate.Int64N(int64(200*time.Millisecond))) + 1
	m.mu.Unlock()
	cancelled := false
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		cancelled = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range records {
		m.active[fmt.Sprint(g.period, m.lane(p))] = 0
		if a.Outcome == stream.DeliveryDone && !lost && !cancelled {
			p.complete = true
			if !g.dead.Load() {
				p.acked = g.period
			}
		}
		if a.Outcome == stream.DeliveryRefused && m.fixed.OnExhausted == stream.OnExhaustedDrop && !cancelled {
			p.complete = true
		}
	}
	switch {
	case cancelled || g.dead.Load():
		return stream.Attempt{Outcome: stream.DeliveryCancelled}
	case lost:
		return stream.Attempt{Outcome: stream.DeliveryFailed}
	}
	return a
}

// begin checks what must hold of a request.
func (m *model) begin(g *gateway, d *stream.Delivery) []*published {
	in := map[*published]bool{}
	lanes := map[string]bool{}
	var records []*published
	for _, r := range d.Records {
		p := m.records[place{d.TopicID, r.Partition, r.Offset}]
		if p == nil || p.key != string(r.Key) {
			m.t.Fatalf("sent a record that was not published: %s %d %d", d.TopicID, r.Partition, r.Offset)
		}
		lane := fmt.Sprint(g.period, m.lane(p))
		switch {
		case !p.selected:
			m.t.Errorf("sent %v, which the filter does not select", p.place)
		case p.committed:
			m.t.Errorf("sent %v again, whose completion was committed", p.place)
		case p.acked == g.period:
			m.t.Errorf("sent %v again, by the same owner, who knew that it was delivered", p.place)
		case m.active[lane] > 0 && !lanes[lane]:
			m.t.Errorf("sent %v while another of its lane is under way", p.place)
		}
		if p.complete {
			m.repeats++
		}
		for _, before := range m.lanes[m.lane(p)] {
			if before == p {
				break
			}
			if before.selected && !before.complete && !in[before] {
				m.t.Errorf("sent %v before %v", p.place, before.place)
			}
		}
		in[p], lanes[lane] = true, true
		m.active[lane]++
		records = append(records, p)
	}
	first, last := records[0].offset, records[len(records)-1].offset
	for _, p := range m.parts[fmt.Sprint(d.TopicID, "/", d.Records[0].Partition)] {
		if p.offset > first && p.offset < last && p.selected && !p.complete && !in[p] {
			m.t.Errorf("a batch from %d to %d leaves out %d", first, last, p.offset)
		}
	}
	return records
}

// outcome says how the endpoint answers; lost: it got the request, and its
// answer did not arrive.
func (m *model) outcome(d *stream.Delivery) (a stream.Attempt, lost bool) {
	a = stream.Attempt{At: time.Now(), Outcome: stream.DeliveryDone, Status: 200}
	n := m.fate.IntN(20)
	switch {
	case m.mode == "down":
		a.Outcome, a.Status = stream.DeliveryFailed, 0
	case m.mode == "slow" && n < 10:
		a.Outcome, a.Status = stream.DeliverySlow, 503
	case m.mode == "random" && n < 2:
		return a, true
	case m.mode == "random" && n < 4:
		a.Outcome, a.Status = stream.DeliveryRefused, 400
	case m.mode == "random" && n < 10, m.mode != "healed" && string(d.Records[0].Key) == m.bad:
		a.Outcome, a.Status = stream.DeliveryFailed, 500
	}
	return a, false
}

// Write stores a dead letter.
func (g *gateway) Write(_ context.Context, _ string, msg stream.Message) error {
	m := g.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if g.dead.Load() || m.mode != "healed" && m.fate.IntN(3) == 0 {
		return errBroken
	}
	h := map[string]string{}
	for _, x := range msg.Headers {
		h[x.Name] = string(x.Value)
	}
	for _, p := range m.records {
		if p.topic == h["sluice-topic-id"] && fmt.Sprint(p.partition) == h["sluice-partition"] && fmt.Sprint(p.offset) == h["sluice-offset"] {
			p.complete = true
		}
	}
	return nil
}

func (g *gateway) Committed(ctx context.Context, group string) ([]stream.GroupOffset, error) {
	return g.m.broker.Committed(ctx, group)
}

func (g *gateway) Commit(ctx context.Context, group string, os []stream.GroupOffset) error {
	if g.dead.Load() || g.m.commitFails.Load() {
		return errBroken
	}
	return g.m.broker.Commit(ctx, group, os)
}

// checkCommit checks that nothing is committed that is not complete.
func (m *model) checkCommit(_ string, o stream.GroupOffset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(o.Metadata) > 4096 {
		m.t.Errorf("metadata of %d bytes", len(o.Metadata))
	}
	for _, p := range m.parts[fmt.Sprint(o.TopicID, "/", o.Number)] {
		if !delivery.Completed(o, p.offset) {
			continue
		}
		if p.selected && !p.complete {
			m.t.Errorf("committed %v, which is not complete: lost", p.place)
		}
		p.committed = true
	}
}

// heal lets everything end well.
func (m *model) heal() {
	m.mu.Lock()
	m.mode = "healed"
	m.mu.Unlock()
	m.commitFails.Store(false)
	m.setState(stream.StateActive)
	pass(time.Hour)
}

func (m *model) checkEnd() {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	topic := m.broker.topicID("orders")
	for _, p := range m.records {
		if p.topic != topic {
			continue
		}
		n++
		if p.selected && !p.complete || !p.committed {
			m.t.Errorf("seed %d: %v (key %s) is left: complete %v, committed %v", m.seed, p.place, p.key, p.complete, p.committed)
		}
	}
	if b := m.gateway.e.Memory(); b != 0 {
		m.t.Errorf("%d bytes are held by nothing", b)
	}
	m.t.Logf("seed %d: %d records in the end, %d repeats, %+v", m.seed, n, m.repeats, m.fixed.Ordering)
}
