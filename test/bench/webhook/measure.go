package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"sluice/test/bench/gateway"
	"sluice/test/bench/process"
)

type options struct {
	binary, log, kafka, prefix string
	seconds, backlog, idle     int
	only                       int
}

// patience is how long nothing may come before what is missing counts as lost.
const patience = 30 * time.Second

// loads are what is measured: subscriptions to one stream, of which each gets
// every record.
var loads = []load{
	{subscriptions: 1, inFlight: 64, rates: []int{100, 1000, 4000}},
	{subscriptions: 10, inFlight: 10, rates: []int{100, 400}},
	{subscriptions: 1000, inFlight: 2, rates: []int{1}},
}

type load struct {
	subscriptions int
	inFlight      int   // requests that one subscription may have under way
	rates         []int // records a second that are below what can be delivered
}

// bench is a run.
type bench struct {
	options
	receiver *receiver
	gateway  *gateway.Gateway
}

// measureAll prints the tables.
func measureAll(ctx context.Context, o options) error {
	r, err := listen(ctx)
	if err != nil {
		return err
	}
	b := &bench{options: o, receiver: r}
	if b.gateway, err = startGateway(ctx, o); err != nil {
		return err
	}
	defer func() { _ = b.gateway.Stop() }() // what was measured is printed
	if err := prepare(ctx, b.gateway); err != nil {
		return err
	}
	fmt.Printf("## Deliveries\n\n| subscriptions | load | sender | deliveries/s | missing | repeated | p50 ms | p99 ms | CPU, cores | CPU µs each | resident MB | threads |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, l := range loads {
		if o.only >= 0 && o.only != l.subscriptions {
			continue
		}
		if err := b.load(ctx, l); err != nil {
			return fmt.Errorf("%d subscriptions: %w", l.subscriptions, err)
		}
	}
	if o.only > 0 {
		return nil
	}
	fmt.Printf("\n## Idle subscriptions\n\n")
	return b.idle(ctx)
}

// load measures one number of subscriptions at its rates, and with a backlog.
func (b *bench) load(ctx context.Context, l load) error {
	id := fmt.Sprintf("push%d", l.subscriptions)
	if err := b.gateway.Call(ctx, http.MethodPut, "/streams/"+id, `{"schema":"Bench:1","partitions":6}`); err != nil {
		return err
	}
	if err := subscribe(ctx, b.gateway, id, l.subscriptions, l.inFlight, b.receiver.url); err != nil {
		return err
	}
	warm := max(2000/l.subscriptions, 1)
	b.receiver.reset(l.subscriptions, warm)
	if err := produce(ctx, b.kafka, b.prefix+id, 0, warm); err != nil {
		return err
	}
	b.receiver.wait(ctx, warm*l.subscriptions, patience)
	for _, rate := range append(l.rates, 0) {
		n := rate * b.seconds
		if rate == 0 {
			n = max(b.backlog/l.subscriptions, 1)
		}
		if err := b.bare(ctx, l, rate, n*l.subscriptions); err != nil {
			return err
		}
		if err := b.pushed(ctx, l, id, rate, n); err != nil {
			return err
		}
	}
	return unsubscribe(ctx, b.gateway, id, l.subscriptions)
}

// pushed measures the gateway: n records to each subscription.
func (b *bench) pushed(ctx context.Context, l load, id string, rate, n int) error {
	b.receiver.reset(l.subscriptions, n)
	pid := b.gateway.PID()
	before, start := process.CPU(pid), time.Now()
	if err := produce(ctx, b.kafka, b.prefix+id, rate, n); err != nil {
		return err
	}
	b.receiver.wait(ctx, n*l.subscriptions, patience)
	took := time.Unix(0, b.receiver.last.Load()).Sub(start)
	b.row(l, rate, "gateway", n*l.subscriptions, usage{process.CPU(pid) - before, took, process.Resident(pid), process.Threads(pid)})
	if strange := b.receiver.strange.Load(); strange > 0 {
		return fmt.Errorf("%d deliveries are of no record of this measurement", strange)
	}
	return nil
}

// bare measures the bare program, with as many requests at a time as the
// gateway may have, but no more than 1,000: all requests go to one path.
func (b *bench) bare(ctx context.Context, l load, rate, n int) error {
	b.receiver.reset(1, n)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	atOnce := min(l.subscriptions*l.inFlight, 1000)
	cmd := exec.CommandContext(ctx, self, "-bare", b.receiver.url+"/0", "-rate", fmt.Sprint(rate*l.subscriptions), "-n", fmt.Sprint(n), "-at-once", fmt.Sprint(atOnce)) //nolint:gosec // this program
	cmd.Stderr = os.Stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	b.receiver.wait(ctx, n*9/10, patience)
	threads, resident := process.Threads(cmd.Process.Pid), process.Resident(cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		return err
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	b.row(l, rate, "bare", n, usage{used, time.Unix(0, b.receiver.last.Load()).Sub(start), resident, threads})
	return nil
}

// usage is what a sender used.
type usage struct {
	cpu, took         time.Duration
	resident, threads int
}

func (b *bench) row(l load, rate int, sender string, want int, u usage) {
	what, p50, p99 := "backlog", "", ""
	if rate > 0 {
		what = fmt.Sprintf("%d records/s", rate)
		p50, p99 = fmt.Sprintf("%.1f", b.receiver.latencies.Percentile(0.5)), fmt.Sprintf("%.1f", b.receiver.latencies.Percentile(0.99))
	}
	fmt.Printf("| %d | %s | %s | %.0f | %d | %d | %s | %s | %.2f | %.0f | %d | %d |\n", l.subscriptions, what, sender,
		float64(b.receiver.got())/u.took.Seconds(), want-b.receiver.got(), b.receiver.repeated.Load(), p50, p99,
		u.cpu.Seconds()/u.took.Seconds(), float64(u.cpu.Microseconds())/float64(max(b.receiver.got(), 1)), u.resident, u.threads)
}
