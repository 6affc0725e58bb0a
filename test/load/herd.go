package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/test/bench/gateway"
	"sluice/test/bench/measure"
	"sluice/test/bench/process"
)

// herdRate is how many records a second the herd's stream gets.
const herdRate = 10

// returnTime bounds what is waited for of a herd.
const returnTime = 5 * time.Minute

// herds is a run of the third part.
type herds struct {
	options
	log      *complaints
	gateway  *gateway.Gateway
	audience *audience
	stored   ledger
	times    measure.Latencies // of publishing, from the time that a record was due
	failed   atomic.Int64      // attempts
	since    atomic.Int64      // records that were due before do not count, in Unix nanoseconds
}

// herd measures thousands of readers whose gateway stops, and starts again.
func herd(ctx context.Context, o options) error {
	h := &herds{options: o, log: &complaints{}}
	var err error
	if h.Listen, err = gateway.FreeAddr(ctx); err != nil {
		return err
	}
	h.Log = h.log
	if h.gateway, err = startReady(ctx, h.Options); err != nil {
		return err
	}
	defer func() { h.gateway.Kill() }()
	if err := prepare(ctx, h.gateway, "herd"); err != nil {
		return err
	}
	h.audience = &audience{addr: h.Listen, path: "/streams/herd/events?from=earliest", timed: 50}
	if err := h.gather(ctx); err != nil {
		return err
	}
	publishing, stop := context.WithCancel(ctx)
	var publishers sync.WaitGroup
	publishers.Go(func() { h.publish(publishing) })
	err = h.measure(ctx)
	stop()
	publishers.Wait()
	if err != nil {
		return err
	}
	return h.settle(ctx)
}

// publish publishes at a steady rate until ctx ends. A record whose attempt
// failed is tried again until it is stored, so that what a restart costs a
// publisher shows in the time that it took. An attempt may have been stored
// although nobody was told.
func (h *herds) publish(ctx context.Context) {
	const workers = 100 // so that a slow broker does not look like a slow gateway
	due := make(chan time.Time, 1<<20)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			c := &conn{addr: h.Listen}
			defer c.close()
			for t := range due {
				h.store(ctx, c, t)
			}
		})
	}
	start := time.Now()
	measure.Pace(ctx, herdRate, 1<<30, func(i int) { due <- start.Add(time.Duration(i) * time.Second / herdRate) })
	close(due)
	all.Wait()
}

func (h *herds) store(ctx context.Context, c *conn, due time.Time) {
	for ctx.Err() == nil {
		a, err := c.publish(context.WithoutCancel(ctx), "herd", 1)
		if err == nil && a.status == 201 && h.stored.note(a.partition, a.offset) == nil {
			if due.UnixNano() >= h.since.Load() {
				h.times.Add(time.Since(due))
			}
			return
		}
		h.failed.Add(1)
		if measure.Rest(ctx, 100*time.Millisecond) != nil {
			return
		}
	}
}

// gather connects the herd.
func (h *herds) gather(ctx context.Context) error {
	start := time.Now()
	before := process.Resident(h.gateway.PID())
	h.audience.start(ctx, h.followers, 200)
	if err := h.back(ctx); err != nil {
		return err
	}
	print("| what | last one back after s | half of them | refused, then back | resident MB at most | peak CPU, cores | publish p50 ms | p99 | most | SSE p99 ms |")
	print("|---|---|---|---|---|---|---|---|---|---|")
	print("| all connect, 200 at a time | %.1f | | | %d, before %d | | | | | |", time.Since(start).Seconds(), process.Resident(h.gateway.PID()), before)
	return nil
}

// measure measures the herd at rest, a stop and a kill.
func (h *herds) measure(ctx context.Context) error {
	h.begin(time.Now())
	watch := h.watch(ctx)
	if err := measure.Rest(ctx, h.steady); err != nil {
		return err
	}
	peak, cpu := watch()
	print("| %d follow %d records/s for %s | | | | %d | %.2f | %s | %.1f |", h.followers, herdRate, h.steady, peak, cpu, h.published(), h.audience.latencies.Percentile(0.99))
	for _, how := range []struct {
		name string
		end  func() error
	}{
		{"stopped (SIGTERM), started", func() error { return h.gateway.Stop() }},
		{"killed (SIGKILL), started", func() error { h.gateway.Kill(); return nil }},
	} {
		if err := h.restart(ctx, how.name, how.end); err != nil {
			return fmt.Errorf("%s: %w", how.name, err)
		}
	}
	return nil
}

// begin begins a measurement: what was due before does not count.
func (h *herds) begin(t time.Time) {
	h.since.Store(t.UnixNano())
	h.times.Reset()
	h.audience.latencies.Reset()
}

func (h *herds) published() string {
	return fmt.Sprintf("%.1f | %.1f | %.1f", h.times.Percentile(0.5), h.times.Percentile(0.99), h.times.Percentile(1))
}

// restart ends the gateway, starts another one at the same address and
// measures how the herd returns.
func (h *herds) restart(ctx context.Context, name string, end func() error) error {
	h.audience.reset()
	refused := h.audience.refused.Load()
	began := time.Now()
	if err := end(); err != nil {
		return err
	}
	ended := time.Now()
	var err error
	if h.gateway, err = gateway.Start(ctx, h.Options); err != nil {
		return err
	}
	watch := h.watch(ctx)
	if err := h.gateway.Ready(ctx); err != nil {
		return err
	}
	ready := time.Now()
	h.begin(ready)
	if err := h.back(ctx); err != nil {
		return err
	}
	if err := measure.Rest(ctx, 5*time.Second); err != nil { // those that were turned away, or break again
		return err
	}
	peak, cpu := watch()
	after := h.audience.openedSince(began)
	slices.Sort(after)
	print("| %s | %.1f | %.1f | %d | %d | %.2f | %s | %.1f |", name, after[len(after)-1].Seconds(), after[len(after)/2].Seconds(),
		h.audience.refused.Load()-refused, peak, cpu, h.published(), h.audience.latencies.Percentile(0.99))
	defer print("\n%s: the old gateway was gone after %.1f s, the new one was ready after %.1f s. Streams opened in each second from the signal on: %s.\n",
		name, ended.Sub(began).Seconds(), ready.Sub(began).Seconds(), histogram(after))
	return nil
}

// histogram counts times by the second.
func histogram(after []time.Duration) string {
	var counts []string
	for s := 0; len(after) > 0; s++ { // they are sorted
		n, _ := slices.BinarySearch(after, time.Duration(s+1)*time.Second)
		counts = append(counts, fmt.Sprint(n))
		after = after[n:]
	}
	return strings.Join(counts, ", ")
}

// back waits until all readers have a stream, and have what is stored now.
func (h *herds) back(ctx context.Context) error {
	err := measure.Eventually(ctx, returnTime, "all readers have a stream", func() error {
		if n := h.audience.open.Load() + h.audience.lost.Load(); n < int64(h.followers) {
			return fmt.Errorf("%d have", n)
		}
		return nil
	})
	if err == nil && h.audience.lost.Load() > 0 {
		err = fmt.Errorf("%d readers gave up: %s", h.audience.lost.Load(), h.audience.strange)
	}
	if err != nil {
		return err
	}
	count, _ := h.stored.total()
	return measure.Eventually(ctx, returnTime, "all readers have caught up", func() error {
		if n := h.audience.events.Load(); n < count*int64(h.followers) {
			return fmt.Errorf("they have %d of %d events", n, count*int64(h.followers))
		}
		return nil
	})
}

// watch looks at the gateway's process until the function it gives is called,
// which says how much memory, in MB, and how many cores over a second it had at
// most.
func (h *herds) watch(ctx context.Context) func() (peak int, cores float64) {
	ctx, stop := context.WithCancel(ctx)
	pid := h.gateway.PID()
	var peak int
	var cores float64
	var done sync.WaitGroup
	done.Go(func() {
		used, at := process.CPU(pid), time.Now()
		for measure.Rest(ctx, 100*time.Millisecond) == nil {
			peak = max(peak, process.Resident(pid))
			if since := time.Since(at); since >= time.Second {
				now := process.CPU(pid)
				cores = max(cores, (now-used).Seconds()/since.Seconds())
				used, at = now, time.Now()
			}
		}
	})
	return func() (int, float64) {
		stop()
		done.Wait()
		return peak, cores
	}
}

// settle waits for the last records, and says whether everybody had them all.
func (h *herds) settle(ctx context.Context) error {
	ends, err := ends(ctx, h.options, "herd")
	if err != nil {
		return err
	}
	want := sum(ends) * int64(h.followers)
	a := h.audience
	measure.Settle(ctx, want, patience, a.events.Load)
	a.close()
	count, repeated := h.stored.total()
	print("Stored: %d records, of which publishers were told %d (the others were stored while the gateway was killed, and published again). Attempts that failed: %d. Events: %d of %d; missing in order: %d, repeated: %d, told as gaps: %d. Warnings and errors in the gateways' logs: %d.",
		sum(ends), count, h.failed.Load(), a.events.Load(), want, a.missing.Load(), a.repeated.Load(), a.gaps.Load(), h.log.number())
	if a.events.Load() != want || a.missing.Load()+a.repeated.Load()+a.gaps.Load()+repeated > 0 {
		return fmt.Errorf("not every reader has every record exactly once")
	}
	return nil
}
