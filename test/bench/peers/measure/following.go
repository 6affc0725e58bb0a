package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/test/bench/measure"
	"sluice/test/bench/peers"
	"sluice/test/bench/process"
)

// patience is how long nothing may come before what is missing counts as lost.
const patience = 15 * time.Second

// source sends records that carry the time, at a rate.
type source func(ctx context.Context, run, rate, n int) error

// following measures all who have event streams.
func following(ctx context.Context, all []*party, k *broker, o options) error {
	topic, err := k.topic(ctx, "live", 6)
	if err != nil {
		return err
	}
	fmt.Printf("\n## Live reading\n\n")
	fmt.Printf("| records/s | followers | name | events/s | of all events | cut off | p50 ms | p99 ms | CPU, cores | memory, MB |\n|---|---|---|---|---|---|---|---|---|---|\n")
	var failed []string
	for _, load := range []struct{ rate, followers int }{{100, 1}, {100, 50}, {1000, 50}} {
		measured := map[*party]figures{}
		for range o.rounds {
			for _, p := range all {
				if p.Events == nil {
					continue
				}
				if measured[p] == nil {
					measured[p] = figures{}
				}
				if err := p.events(ctx, k, topic, load.followers, load.rate, o.each, measured[p]); err != nil {
					failed = append(failed, fmt.Sprintf("%s, %d records/s to %d followers: %v", p.Name, load.rate, load.followers, err))
				}
			}
		}
		for _, p := range all {
			if f := measured[p]; f != nil {
				fmt.Printf("| %d | %d | %s | %s | %s | %s | %s | %s | %s | %s |\n", load.rate, load.followers, p.Name, f.text("rate", "%.0f"),
					f.text("share", "%.1f %%"), f.text("cut", "%.0f"), f.text("p50", "%.1f"), f.text("p99", "%.1f"), f.text("cpu", "%.2f"), f.text("memory", "%.0f"))
			}
		}
	}
	for _, text := range failed {
		fmt.Printf("\nA round was not measured: %.300s\n", text)
	}
	return ctx.Err()
}

// events measures one load once.
func (p *party) events(ctx context.Context, k *broker, topic string, followers, rate int, each time.Duration, f figures) error {
	target := p.on(topic)
	send := k.source(topic)
	if !p.Kafka {
		target = p.Target
		send = ownSource(p)
	}
	open, err := target.Follow(ctx, followers)
	if err != nil {
		return err
	}
	defer open.Close()
	if err := settle(ctx, open, send); err != nil {
		return err
	}
	const run = 1
	open.Run(run)
	n := int(each.Seconds() * float64(rate))
	used, begun := process.CPU(p.pid), time.Now()
	if err := send(ctx, run, rate, n); err != nil {
		return err
	}
	last := arrive(ctx, open, int64(n)*int64(followers))
	took := last.Sub(begun)
	all, _, cut := open.Count()
	f.add("rate", float64(all)/took.Seconds())
	f.add("share", 100*float64(all)/float64(n*followers))
	f.add("cut", float64(cut))
	f.add("p50", open.Percentile(0.5))
	f.add("p99", open.Percentile(0.99))
	if p.pid != 0 {
		f.add("cpu", (process.CPU(p.pid)-used).Seconds()/took.Seconds())
		f.add("memory", float64(process.Resident(p.pid)))
	}
	return nil
}

// settle sends records, of run 0, until each follower has had one: only then
// all are where new records come.
func settle(ctx context.Context, open *peers.Followers, send source) error {
	open.Run(0)
	for end := time.Now().Add(2 * time.Minute); ; {
		if err := send(ctx, 0, 20, 10); err != nil {
			return err
		}
		_, fewest, cut := open.Count()
		if fewest > 0 {
			break
		}
		if cut > 0 || time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("not all followers had an event, and %d were cut off", cut)
		}
	}
	// What is still on its way is waited for.
	for last := int64(-1); ctx.Err() == nil; measure.Pause(ctx, 500*time.Millisecond) {
		all, _, _ := open.Count()
		if all == last {
			return nil
		}
		last = all
	}
	return ctx.Err()
}

// arrive waits until so many events came, or none for a while, and says when the
// last one did.
func arrive(ctx context.Context, open *peers.Followers, want int64) time.Time {
	last, since := int64(-1), time.Now()
	for ctx.Err() == nil && time.Since(since) < patience {
		n, _, _ := open.Count()
		if n != last {
			last, since = n, time.Now()
		}
		if n >= want {
			break
		}
		measure.Pause(ctx, 5*time.Millisecond)
	}
	return since
}

// source sends to a topic, its six partitions in turn.
func (b *broker) source(topic string) source {
	return func(ctx context.Context, run, rate, n int) error {
		pace(ctx, rate, n, func(i int) {
			b.client.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i % 6), Value: []byte(peers.Event(run, i))}, nil)
		})
		return b.client.Flush(ctx)
	}
}

// ownSource publishes through the party itself, over 16 connections.
func ownSource(p *party) source {
	return func(ctx context.Context, run, rate, n int) error {
		numbers := make(chan int, n)
		failed := make(chan error, n)
		var all sync.WaitGroup
		for range 16 {
			s, err := p.Sender(p.Single)
			if err != nil {
				return err
			}
			all.Go(func() {
				defer s.Close()
				for i := range numbers {
					if err := s.Send(ctx, peers.Event(run, i)); err != nil {
						failed <- err
					}
				}
			})
		}
		pace(ctx, rate, n, func(i int) { numbers <- i })
		close(numbers)
		all.Wait()
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	}
}
