package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// team is the members of one group in one test, and what they share.
type team struct {
	*gateway
	t     *testing.T
	b     *kafkatest.Broker
	group string
}

func newTeam(t *testing.T, b *kafkatest.Broker) *team {
	return &team{gateway: start(t, b), t: t, b: b, group: b.Prefix() + "group"}
}

func (g *team) topics() stream.Topics { return stream.Topics{Prefix: g.b.Prefix()} }

// layouts asks what the streams are now; those that do not exist are left out.
func (g *team) layouts(ids ...string) []stream.Layout {
	g.t.Helper()
	var ls []stream.Layout
	for _, id := range ids {
		topic, err := g.admin.Exists(g.t.Context(), g.topics().Topic(id))
		if stream.CodeOf(err) == stream.UnknownStream {
			continue
		} else if err != nil {
			g.t.Fatal(err)
		}
		ls = append(ls, stream.Layout{Stream: id, TopicID: topic.ID, Partitions: topic.Partitions})
	}
	return ls
}

// fill stores n records in every partition; their values tell where.
func (g *team) fill(id string, partitions, n int) {
	g.t.Helper()
	var rs []*kgo.Record
	for p := range partitions {
		for i := range n {
			rs = append(rs, &kgo.Record{Topic: g.topics().Topic(id), Partition: int32(p), Value: fmt.Appendf(nil, "%d-%d", p, i)})
		}
	}
	g.b.Produce(g.t, rs...)
}

// committed gives what the group has committed, by partition of a stream.
func (g *team) committed(id string) map[int32]int64 {
	g.t.Helper()
	fetched, err := kadm.NewClient(g.b.Client(g.t)).FetchOffsets(g.t.Context(), g.group)
	if err != nil {
		g.t.Fatal(err)
	}
	got := map[int32]int64{}
	for p, o := range fetched[g.topics().Topic(id)] {
		got[p] = o.At
	}
	return got
}

// member is one member, driven by a goroutine as groups drives it. Unless it
// commits by hand it stores each record as done with.
type member struct {
	g        *team
	consumer *kafka.Member
	do       chan func()
	stop     context.CancelFunc
	done     chan struct{}

	mu      sync.Mutex
	records []stream.Record
	gaps    []stream.Gap
	owned   map[stream.Partition]bool
	revoked int
	err     error
}

func (m *member) Record(l stream.Layout, r *stream.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, *r)
	p := stream.Partition{Stream: r.Stream, Number: r.Partition}
	m.owned[p] = true
	m.consumer.Store(p, l.TopicID, r.Offset+1)
}

func (m *member) Gap(l stream.Layout, g stream.Gap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gaps = append(m.gaps, g)
	m.consumer.Store(g.Partition, l.TopicID, g.To)
}

func (m *member) Revoked(ps []stream.Partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range ps {
		delete(m.owned, p)
	}
	m.revoked += len(ps)
}

// values gives the values that came, sorted, each once.
func values(ms ...*member) []string {
	var all []string
	for _, m := range ms {
		m.mu.Lock()
		for _, r := range m.records {
			all = append(all, string(r.Value))
		}
		m.mu.Unlock()
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (m *member) owns() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.owned)
}

// join starts a member that commits every 50 ms.
func (g *team) join(layouts []stream.Layout, change ...func(*kafka.MemberOptions)) *member {
	g.t.Helper()
	return g.joinThrough(g.Cluster, layouts, change...)
}

func (g *team) joinThrough(c *kafka.Cluster, layouts []stream.Layout, change ...func(*kafka.MemberOptions)) *member {
	g.t.Helper()
	m := &member{g: g, do: make(chan func()), done: make(chan struct{}), owned: map[stream.Partition]bool{}}
	o := kafka.MemberOptions{Group: g.group, Topics: g.topics(), CommitEvery: 50 * time.Millisecond, Events: m}
	for _, f := range change {
		f(&o)
	}
	var err error
	if m.consumer, err = kafka.NewMember(c, o); err != nil {
		g.t.Fatal(err)
	}
	if err := m.consumer.SetStreams(layouts); err != nil {
		g.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go m.run(ctx)
	g.t.Cleanup(m.leave)
	return m
}

func (m *member) run(ctx context.Context) {
	defer close(m.done)
	for ctx.Err() == nil {
		select {
		case f := <-m.do:
			f()
		default:
		}
		if err := m.consumer.Poll(20 * time.Millisecond); err != nil {
			m.mu.Lock()
			m.err = err
			m.mu.Unlock()
			return
		}
	}
}

// leave closes the member, which commits what it stored. A second call does
// nothing.
func (m *member) leave() {
	m.stop()
	<-m.done
	if m.consumer != nil {
		if err := m.consumer.Close(); err != nil {
			m.g.t.Error(err)
		}
		m.consumer = nil
	}
}

// set calls SetStreams where Poll is called.
func (m *member) set(layouts []stream.Layout) {
	m.g.t.Helper()
	result := make(chan error, 1)
	select {
	case m.do <- func() { result <- m.consumer.SetStreams(layouts) }:
	case <-m.done:
		m.g.t.Fatal("the member ended: ", m.err)
	}
	if err := <-result; err != nil {
		m.g.t.Fatal(err)
	}
}

// await waits until the members together have n different values.
func (g *team) await(n int, ms ...*member) {
	g.t.Helper()
	kafkatest.Eventually(g.t, patience, func() error {
		for _, m := range ms {
			m.mu.Lock()
			err := m.err
			m.mu.Unlock()
			if err != nil {
				g.t.Fatal(err)
			}
		}
		if got := len(values(ms...)); got != n {
			return fmt.Errorf("%d of %d values", got, n)
		}
		return nil
	})
}

// awaitAlone waits until the group has one member, with so many partitions.
func (g *team) awaitAlone(partitions int) {
	g.t.Helper()
	admin := kadm.NewClient(g.b.Client(g.t))
	kafkatest.Eventually(g.t, patience, func() error {
		groups, err := admin.DescribeGroups(g.t.Context(), g.group)
		if err != nil {
			return err
		}
		ms, n := groups[g.group].Members, 0
		for _, m := range ms {
			if a, ok := m.Assigned.AsConsumer(); ok {
				for _, t := range a.Topics {
					n += len(t.Partitions)
				}
			}
		}
		if len(ms) != 1 || n != partitions {
			return fmt.Errorf("%d members with %d partitions", len(ms), n)
		}
		return nil
	})
}

func byHand(o *kafka.MemberOptions) { o.CommitEvery = 0 }

// Two members share, one leaves, and what it committed is not repeated.
func TestMembersShareAndHandOver(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		b.Topic(t, "shared", 4, nil)
		ls := g.layouts("shared")
		first := g.join(ls)
		g.fill("shared", 4, 10)
		g.await(40, first)
		second := g.join(ls)
		kafkatest.Eventually(t, patience, func() error { // two of four were given up, the other two kept
			if n := first.owns(); n != 2 {
				return fmt.Errorf("the first has %d partitions", n)
			}
			return nil
		})
		g.produceMore("shared", 4, "later")
		g.await(44, first, second)
		if n := len(values(second)); n != 2 {
			t.Errorf("the second has %d values of two partitions: %v", n, values(second))
		}
		second.leave()
		g.produceMore("shared", 4, "last")
		g.await(46, first) // all but what the second was given
		first.leave()
		want := map[int32]int64{0: 12, 1: 12, 2: 12, 3: 12}
		if d := cmp.Diff(want, g.committed("shared")); d != "" {
			t.Errorf("committed (-want +got):\n%s", d)
		}
	})
}

// produceMore stores one record in every partition.
func (g *team) produceMore(id string, partitions int, name string) {
	g.t.Helper()
	for p := range partitions {
		g.b.Produce(g.t, &kgo.Record{Topic: g.topics().Topic(id), Partition: int32(p), Value: []byte(name + strconv.Itoa(p))})
	}
}

// Where the committed offset is gone, or beyond the end, the partition begins
// anew, after a gap, and the others are not touched.
func TestMemberOutOfRange(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		topic := b.Topic(t, "range", 3, nil)
		g.fill("range", 3, 10)
		os, gone := kadm.Offsets{}, kadm.Offsets{}
		for p, at := range map[int32]int64{0: 2, 1: 2, 2: 99} {
			os.Add(kadm.Offset{Topic: topic, Partition: p, At: at, LeaderEpoch: -1})
		}
		gone.Add(kadm.Offset{Topic: topic, Partition: 1, At: 7})
		admin := kadm.NewClient(b.Client(t))
		if err := admin.CommitAllOffsets(t.Context(), g.group, os); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.DeleteRecords(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		m := g.join(g.layouts("range"))
		g.await(8+3+10, m)
		m.leave()
		slices.SortFunc(m.gaps, func(a, b stream.Gap) int { return int(a.Number - b.Number) })
		want := []stream.Gap{
			{Partition: stream.Partition{Stream: "range", Number: 1}, From: 2, To: 7},
			{Partition: stream.Partition{Stream: "range", Number: 2}, From: 99, To: 0},
		}
		if d := cmp.Diff(want, m.gaps); d != "" {
			t.Errorf("gaps (-want +got):\n%s", d)
		}
		if n := len(m.records); n != 21 {
			t.Errorf("%d records came, want 21", n)
		}
		if d := cmp.Diff(map[int32]int64{0: 10, 1: 10, 2: 10}, g.committed("range")); d != "" {
			t.Errorf("committed (-want +got):\n%s", d)
		}
	})
}

// Where a group begins is decided once: also a member that commits by hand, and
// sees nothing, leaves that behind.
func TestMemberDecidesOnceWhereTheGroupBegins(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		b.Topic(t, "begin", 3, nil)
		g.fill("begin", 3, 10)
		m := g.join(g.layouts("begin"), byHand, func(o *kafka.MemberOptions) {
			o.Begin = func(_ stream.Layout, p int32) (int64, bool) {
				return []int64{6, -1, 4}[p], p == 2 // 2: of an earlier stream
			}
		})
		g.await(4+10+10, m)
		m.leave()
		if d := cmp.Diff([]stream.Gap{{Partition: stream.Partition{Stream: "begin", Number: 2}, From: 4}}, m.gaps); d != "" {
			t.Errorf("gaps (-want +got):\n%s", d)
		}
		if d := cmp.Diff(map[int32]int64{0: 6, 1: 0, 2: 0}, g.committed("begin")); d != "" {
			t.Errorf("committed (-want +got):\n%s", d)
		}
		m = g.join(g.layouts("begin"), func(o *kafka.MemberOptions) {
			o.Begin = func(stream.Layout, int32) (int64, bool) { return 10, false }
		})
		g.await(24, m)
	})
}

// Streams and partitions that come later are read from their beginning, and
// those that go are given up.
func TestMemberFollowsItsStreams(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		m := g.join(nil)
		b.Topic(t, "one", 1, nil)
		g.fill("one", 1, 1)
		m.set(g.layouts("one", "two"))
		g.await(1, m)
		two := b.Topic(t, "two", 1, nil)
		b.Produce(t, &kgo.Record{Topic: two, Value: []byte("a")})
		m.set(g.layouts("one", "two"))
		g.await(2, m)
		if err := g.admin.AddPartitions(t.Context(), two, 2); err != nil {
			t.Fatal(err)
		}
		b.Produce(t, &kgo.Record{Topic: two, Partition: 1, Value: []byte("b")})
		m.set(g.layouts("one", "two"))
		g.await(3, m)
		m.set(g.layouts("one"))
		kafkatest.Eventually(t, patience, func() error {
			if n := m.owns(); n != 1 {
				return fmt.Errorf("it has %d partitions", n)
			}
			return nil
		})
		if len(m.gaps) > 0 {
			t.Errorf("gaps: %v", m.gaps)
		}
	})
}

// A member on hold gets nothing, but takes part in rebalances.
func TestMemberOnHold(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		b.Topic(t, "hold", 2, nil)
		ls := g.layouts("hold")
		m := g.join(ls)
		g.fill("hold", 2, 1)
		g.await(2, m)
		hold := func(on bool) {
			done := make(chan error)
			m.do <- func() { done <- m.consumer.Hold(on) }
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		hold(true)
		g.produceMore("hold", 2, "held")
		other := g.join(ls)
		g.await(1, other) // one partition moved, and the record that waited there
		if n := len(values(m)); n != 2 {
			t.Errorf("%d values came to a member on hold", n)
		}
		if n := other.owns(); n != 1 {
			t.Errorf("the other has %d partitions", n)
		}
		other.leave()
		g.awaitAlone(2)
		g.produceMore("hold", 2, "given back")
		heir := g.join(ls) // which again is given one of two that are held
		g.await(1, heir)
		if n := len(values(m)); n != 2 {
			t.Errorf("%d values came to a member on hold", n)
		}
		heir.leave()
		hold(false)
		g.await(2+4, m, other, heir)
	})
}
