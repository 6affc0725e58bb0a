package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

// A member shares with whatever ordinary consumers the group has.
func TestMembersNextToOrdinaryConsumers(t *testing.T) {
	t.Parallel()
	for name, ordinary := range map[string]func(*team) func() int{
		"franz-go":                     franz(kgo.CooperativeStickyBalancer()),
		"java's default":               franz(kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()),
		"range alone":                  franz(kgo.RangeBalancer()),
		"librdkafka's default":         librdkafka(""),
		"librdkafka's cooperative way": librdkafka("cooperative-sticky"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
				t.Parallel()
				g := newTeam(t, b)
				b.Topic(t, "mixed", 4, nil)
				theirs := ordinary(g)
				g.fill("mixed", 4, 1)
				kafkatest.Eventually(t, patience, func() error {
					if n := theirs(); n != 4 {
						return fmt.Errorf("the ordinary consumer has %d values", n)
					}
					return nil
				})
				ours := g.join(g.layouts("mixed"))
				for i := 0; ; i++ { // until both are given what is new
					g.produceMore("mixed", 4, fmt.Sprintf("more %d of ", i))
					want := 4 * (i + 2)
					kafkatest.Eventually(t, patience, func() error {
						if n := len(values(ours)) + theirs(); n < want {
							return fmt.Errorf("%d of %d values", n, want)
						}
						return nil
					})
					if len(values(ours)) >= 2 {
						break
					}
				}
			})
		})
	}
}

// franz is an ordinary consumer by franz-go. It returns how many different
// values it has.
func franz(balancers ...kgo.GroupBalancer) func(*team) func() int {
	return func(g *team) func() int {
		c := g.b.Client(g.t, kgo.ConsumerGroup(g.group), kgo.ConsumeTopics(g.topics().Topic("mixed")),
			kgo.Balancers(balancers...), kgo.AutoCommitInterval(100*time.Millisecond), kgo.HeartbeatInterval(200*time.Millisecond))
		var mu sync.Mutex
		seen := map[string]bool{}
		var running sync.WaitGroup
		ctx, stop := context.WithCancel(context.Background())
		running.Go(func() {
			for ctx.Err() == nil {
				c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
					mu.Lock()
					defer mu.Unlock()
					seen[string(r.Value)] = true
				})
			}
		})
		g.t.Cleanup(func() { stop(); running.Wait() })
		return func() int { mu.Lock(); defer mu.Unlock(); return len(seen) }
	}
}

func librdkafka(strategy string) func(*team) func() int {
	return func(g *team) func() int {
		cfg := &ckafka.ConfigMap{"bootstrap.servers": g.b.Addr, "group.id": g.group, "auto.offset.reset": "earliest", "auto.commit.interval.ms": 50, "heartbeat.interval.ms": 200}
		if strategy != "" {
			_ = cfg.SetKey("partition.assignment.strategy", strategy)
		}
		c, err := ckafka.NewConsumer(cfg)
		if err != nil {
			g.t.Fatal(err)
		}
		if err := c.Subscribe(g.topics().Topic("mixed"), nil); err != nil {
			g.t.Fatal(err)
		}
		var mu sync.Mutex
		seen := map[string]bool{}
		var running sync.WaitGroup
		ctx, stop := context.WithCancel(context.Background())
		running.Go(func() {
			for ctx.Err() == nil {
				if m, ok := c.Poll(50).(*ckafka.Message); ok {
					mu.Lock()
					seen[string(m.Value)] = true
					mu.Unlock()
				}
			}
		})
		g.t.Cleanup(func() { stop(); running.Wait(); c.Close() })
		return func() int { mu.Lock(); defer mu.Unlock(); return len(seen) }
	}
}
