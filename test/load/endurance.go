package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"sluice/test/bench/gateway"
	"sluice/test/bench/measure"
	"sluice/test/bench/process"
)

// share is which part of the capacity the paced load is.
const share = 0.7

// capacityTime is how long the capacity is measured.
const capacityTime = time.Minute

// minute is one line of the table.
type minute struct {
	requests, failed   float64 // requests/s, and how many failed in all
	p50, p99, sse      float64 // ms
	resident, heap     float64 // MB
	goroutines, open   float64
	threads, cores     float64
	stolen             float64 // percent of the machine's time that its host gave to others
	complaints, behind int     // lines of the log; requests that were due and had not begun
}

// endurance measures a mixed load for long.
func endurance(ctx context.Context, o options) error {
	log := &complaints{}
	o.Log = log
	o.Env = []string{"SLUICE_WEBHOOKS_ALLOW_NETWORKS=127.0.0.0/8", "SLUICE_LIMITS_STREAM_LIFETIME=5m", "SLUICE_LIMITS_FEED_BYTES=16MiB"}
	g, err := startReady(ctx, o.Options)
	if err != nil {
		return err
	}
	defer g.Kill()
	if err := prepare(ctx, g, "orders", "live", "lines", "torn"); err != nil {
		return err
	}
	push, err := listen(ctx)
	if err != nil {
		return err
	}
	err = g.Call(ctx, http.MethodPost, "/subscriptions", fmt.Sprintf(
		`{"id":"load","streams":"live","from":"earliest","ordering":"key","max_in_flight":64,"endpoint":{"url":"%s/"}}`, push.url))
	if err != nil {
		return err
	}
	followers := &audience{addr: g.Addr, path: "/streams/live/events?from=earliest", timed: 5, attended: true}
	followers.start(ctx, liveFollowers, liveFollowers)
	m := newMix(g)
	capacity, err := m.capacity(ctx, o.warm)
	if err != nil {
		return err
	}
	rate := int(capacity * share)
	print("The capacity of the mix was %.0f requests/s (%d connections, as fast as they are answered, %s after %s of the same load); %.0f %% of it, %d requests/s, was due in each second of %s, and latency is from the time a request was due.\n",
		capacity, mixConnections, capacityTime, o.warm, share*100, rate, o.length)
	followers.latencies.Reset()
	minutes, err := record(ctx, g, m, followers, log, rate, o.length)
	if err != nil {
		return err
	}
	tell(minutes)
	flat := judge(minutes)
	return errors.Join(whole(ctx, o, m, followers, push, log), flat)
}

// record runs the paced load and notes each minute of it, of which a short try
// has ten.
func record(ctx context.Context, g *gateway.Gateway, m *mix, f *audience, log *complaints, rate int, length time.Duration) ([]minute, error) {
	step := min(time.Minute, length/10)
	paced, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.paced(paced, rate, int(float64(rate)*length.Seconds()))
	}()
	m.reset()
	var minutes []minute
	for range int(length / step) {
		one, err := watchMinute(ctx, g, step)
		if err != nil {
			return nil, err
		}
		t := m.times.Take()
		one.requests, one.p50, one.p99 = float64(m.done.Swap(0))/step.Seconds(), t.Percentile(0.5), t.Percentile(0.99)
		one.sse = f.latencies.Take().Percentile(0.99)
		one.failed, one.complaints, one.behind = float64(m.failed.Load()), log.number(), m.waiting()
		minutes = append(minutes, one)
	}
	<-ended
	return minutes, nil
}

// watchMinute looks at the gateway for a minute: the heap is the smallest that
// was seen, which is what is left after a collection.
func watchMinute(ctx context.Context, g *gateway.Gateway, length time.Duration) (minute, error) {
	used, stolen, start := process.CPU(g.PID()), process.Stolen(), time.Now()
	one := minute{}
	for end := start.Add(length); time.Now().Before(end); {
		if err := measure.Rest(ctx, min(2*time.Second, time.Until(end))); err != nil {
			return one, err
		}
		v := g.Metrics(ctx)
		if heap := v["go_memstats_heap_alloc_bytes"] / 1e6; one.heap == 0 || heap < one.heap {
			one.heap = heap
		}
		one.goroutines, one.open = v["go_goroutines"], v["process_open_fds"]
	}
	one.resident, one.threads = float64(process.Resident(g.PID())), float64(process.Threads(g.PID()))
	one.cores = (process.CPU(g.PID()) - used).Seconds() / time.Since(start).Seconds()
	one.stolen = 100 * (process.Stolen() - stolen).Seconds() / time.Since(start).Seconds() / float64(runtime.NumCPU())
	return one, nil
}

// tell prints every third minute, and the last.
func tell(minutes []minute) {
	print("| minute | requests/s | p50 ms | p99 ms | SSE p99 ms | RSS MB | heap MB | goroutines | descriptors | threads | CPU, cores | stolen, %% | failed so far | complaints in the log |")
	print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for i, m := range minutes {
		if i%3 == 0 || i == len(minutes)-1 {
			print("| %d | %.0f | %.1f | %.1f | %.1f | %.0f | %.0f | %.0f | %.0f | %.0f | %.2f | %.0f | %.0f | %d |", i+1, m.requests, m.p50, m.p99, m.sse,
				m.resident, m.heap, m.goroutines, m.open, m.threads, m.cores, m.stolen, m.failed, m.complaints)
		}
	}
	print("")
}

// whole says whether all that was published is stored and came to everybody.
func whole(ctx context.Context, o options, m *mix, f *audience, push *receiver, log *complaints) error {
	var lost []string
	check := func(what string, got, want int64) { // each is one line, also when it is as it must be
		print("- %s: %d; it must be %d", what, got, want)
		if got != want {
			lost = append(lost, what)
		}
	}
	stored := map[string][partitions]int64{}
	for _, s := range []string{"orders", "live", "lines", "torn"} {
		e, err := ends(ctx, o, s)
		if err != nil {
			return err
		}
		stored[s] = e
	}
	live := sum(stored["live"])
	measure.Settle(ctx, live*liveFollowers, patience, f.events.Load)
	measure.Settle(ctx, live, patience, func() int64 { n, _ := push.got.total(); return n })
	f.close()
	pushed, again := push.got.total()
	print("Stored and told (201), against the offsets that Kafka has:\n")
	for s, l := range map[string]*ledger{"orders": &m.orders, "live": &m.live} {
		told, repeated := l.total()
		check("offsets of `"+s+"` told in a 201", told, sum(stored[s]))
		check("offsets of `"+s+"` told twice", repeated, 0)
	}
	check("records of `lines` counted as stored", m.lines.Load(), sum(stored["lines"]))
	check("records of requests that were cut off in the middle", sum(stored["torn"]), 0)
	check(fmt.Sprintf("events to %d followers, who connected %d times", liveFollowers, f.opened.Load()), f.events.Load(), live*liveFollowers)
	check("events missing, repeated or told as gaps", f.missing.Load()+f.repeated.Load()+f.gaps.Load(), 0)
	check("records delivered to the webhook", pushed, live)
	print("- repeated deliveries to the webhook: %d", again)
	check("requests that failed", m.failed.Load(), 0)
	check("refusals that were not the expected 4xx", m.strange.Load(), 0)
	print("- warnings and errors in the gateway's log: %d", log.number())
	if why := m.why(); why != "" {
		print("\nThe first failure: %s", why)
	}
	if len(lost) > 0 {
		return fmt.Errorf("not as it must be: %q", lost)
	}
	return nil
}
