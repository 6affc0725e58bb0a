package groups_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/groups"
	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// gateway is the pool on a broker, as the gateway wires it.
func gateway(t *testing.T, b *kafkatest.Broker) *groups.Groups {
	t.Helper()
	log := kafkatest.Log(t)
	cluster, err := kafka.NewCluster(kafka.ClusterOptions{
		Kafka: kafka.Options{BootstrapServers: []string{b.Addr}}, Group: b.Prefix() + "readers", Log: log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	topics := stream.Topics{Prefix: b.Prefix()}
	readers := kafka.NewReaders(cluster, kafka.ReadersOptions{Topics: topics})
	t.Cleanup(func() { readers.Close() })
	commits := kafka.NewCommits(cluster, topics)
	t.Cleanup(commits.Close)
	g := groups.New(groups.Options{
		Kafka: readers, Offsets: commits, Log: log, Registerer: prometheus.NewRegistry(),
		Open: func(o groups.Opening) (groups.Consumer, error) {
			return kafka.NewMember(cluster, kafka.MemberOptions{Group: o.Group, Topics: topics, CommitEvery: o.CommitEvery, Begin: o.Begin, Events: o.Events})
		},
	})
	t.Cleanup(g.Close)
	kafkatest.Eventually(t, patience, cluster.Reachable)
	return g
}

// reader follows a membership and keeps what it is given.
type reader struct {
	member *groups.Member
	stop   func()

	mu     sync.Mutex
	places []string // stream/partition/offset, or gap …
	last   string   // position
}

func follow(t *testing.T, g *groups.Groups, group, pattern string, auto bool, start stream.StartKind) *reader {
	t.Helper()
	o := membership(t, pattern)
	o.Group, o.AutoCommit, o.Interval, o.Start.Kind = group, auto, 50*time.Millisecond, start
	m, err := g.Join(t.Context(), o, plain{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{member: m}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			frames, err := m.Next(ctx, 50*time.Millisecond)
			if err != nil {
				return
			}
			r.take(frames)
		}
	})
	r.stop = sync.OnceFunc(func() { cancel(); running.Wait(); m.Close() })
	t.Cleanup(r.stop)
	return r
}

func (r *reader) take(frames []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(string(frames)) {
		i := strings.LastIndex(line, " ")
		r.places = append(r.places, line[:i])
		r.last = strings.TrimSpace(line[i:])
	}
}

func places(rs ...*reader) []string {
	var all []string
	for _, r := range rs {
		r.mu.Lock()
		all = append(all, r.places...)
		r.mu.Unlock()
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func await(t *testing.T, n int, rs ...*reader) {
	t.Helper()
	kafkatest.Eventually(t, patience, func() error {
		if got := places(rs...); len(got) != n {
			return fmt.Errorf("%d of %d: %v", len(got), n, got)
		}
		return nil
	})
}

func publish(t *testing.T, b *kafkatest.Broker, topic string, partitions, n int) {
	t.Helper()
	var rs []*kgo.Record
	for p := range partitions {
		for range n {
			rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(p), Value: []byte("{}")})
		}
	}
	b.Produce(t, rs...)
}

// Members of one group at two gateways share what one pattern selects, streams
// that come later included, and nothing is lost when one leaves.
func TestMembersAtTwoGateways(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		one := b.Topic(t, "shop.one", 2, nil)
		group := b.Prefix() + "group"
		here, there := gateway(t, b), gateway(t, b)
		a := follow(t, here, group, "shop.*", true, stream.FromEarliest)
		publish(t, b, one, 2, 50)
		await(t, 100, a)
		c := follow(t, there, group, "shop.*", true, stream.FromEarliest)
		two := b.Topic(t, "shop.two", 2, nil)
		publish(t, b, two, 2, 50)
		await(t, 200, a, c)
		publish(t, b, one, 2, 50)
		kafkatest.Eventually(t, patience, func() error {
			if len(places(c)) == 0 {
				publish(t, b, one, 2, 1)
				return fmt.Errorf("the second was given nothing")
			}
			return nil
		})
		c.stop()
		publish(t, b, two, 2, 50)
		kafkatest.Eventually(t, patience, func() error {
			for _, p := range []string{"shop.one/0/99", "shop.one/1/99", "shop.two/0/99", "shop.two/1/99"} {
				if !slices.Contains(places(a, c), p) {
					return fmt.Errorf("%s is missing", p)
				}
			}
			return nil
		})
	})
}

// What is committed by hand, at another gateway, while the member reads, is not
// given again, and everything else is.
func TestCommitByHand(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		topic := b.Topic(t, "hand", 1, nil)
		group := b.Prefix() + "group"
		here, there := gateway(t, b), gateway(t, b)
		a := follow(t, here, group, "hand", false, stream.FromEarliest)
		publish(t, b, topic, 1, 10)
		await(t, 10, a)
		p, err := stream.ParsePosition(a.last)
		if err == nil {
			err = there.Commit(t.Context(), group, p)
		}
		if err != nil {
			t.Fatal(err)
		}
		publish(t, b, topic, 1, 5)
		await(t, 15, a)
		a.stop()
		c := follow(t, there, group, "hand", false, stream.FromEarliest)
		await(t, 5, c)
		if got := places(c)[0]; got != "hand/0/10" {
			t.Errorf("it begins at %s", got)
		}
	})
}

// A group that began at the latest records goes on there, also when its first
// member was given nothing and committed nothing.
func TestLatestIsDecidedOnce(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		topic := b.Topic(t, "late", 2, nil)
		probe := b.Topic(t, "probe", 1, nil)
		group := b.Prefix() + "group"
		publish(t, b, topic, 2, 5)
		g := gateway(t, b)
		a := follow(t, g, group, "late,probe", false, stream.FromLatest)
		publish(t, b, probe, 1, 1)
		await(t, 1, a) // it has its partitions
		a.stop()
		publish(t, b, topic, 2, 1)
		c := follow(t, g, group, "late", false, stream.FromLatest)
		await(t, 2, c)
		if got := strings.Join(places(c), " "); got != "late/0/5 late/1/5" {
			t.Errorf("got %s", got)
		}
	})
}
