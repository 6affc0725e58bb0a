package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"sluice/test/bench/measure"
	"sluice/test/bench/process"
)

// idle measures subscriptions for which nothing comes, and how they come back
// after a restart.
func (b *bench) idle(ctx context.Context) error {
	const id = "idle"
	if err := b.gateway.Call(ctx, http.MethodPut, "/streams/"+id, `{"schema":"Bench:1","partitions":6}`); err != nil {
		return err
	}
	if err := b.restart(ctx); err != nil { // what came before does not count
		return err
	}
	before, start := process.Resident(b.gateway.PID()), time.Now()
	if err := subscribe(ctx, b.gateway, id, b.options.idle, 10, b.receiver.url); err != nil {
		return err
	}
	created := time.Since(start)
	fmt.Printf("| | resident MB before | with %d subscriptions | threads | CPU, %% of a core | took s |\n|---|---|---|---|---|---|\n", b.options.idle)
	if err := b.still(ctx, "created", before, created); err != nil {
		return err
	}
	if err := b.gateway.Stop(); err != nil {
		return err
	}
	b.receiver.reset(b.options.idle, 1)
	if err := produce(ctx, b.kafka, b.prefix+id, 0, 1); err != nil {
		return err
	}
	var err error
	start = time.Now()
	if b.gateway, err = startGateway(ctx, b.options); err != nil {
		return err
	}
	ready := time.Since(start)
	b.receiver.wait(ctx, b.options.idle, patience)
	back := time.Since(start)
	if missing := b.options.idle - b.receiver.got(); missing > 0 {
		return fmt.Errorf("%d subscriptions did not deliver the record that was published while the gateway was down", missing)
	}
	if err := b.still(ctx, "restarted", before, back); err != nil {
		return err
	}
	fmt.Printf("\nThe restart took %.1f s until the gateway was ready, and %.1f s until each subscription had delivered a record that was published meanwhile.\n", ready.Seconds(), back.Seconds())
	return nil
}

// still measures a while in which nothing happens.
func (b *bench) still(ctx context.Context, what string, before int, took time.Duration) error {
	pid := b.gateway.PID()
	const settle, while = 10 * time.Second, 30 * time.Second
	if err := measure.Rest(ctx, settle); err != nil { // what was begun ends
		return err
	}
	used := process.CPU(pid)
	if err := measure.Rest(ctx, while); err != nil {
		return err
	}
	fmt.Printf("| %s | %d | %d | %d | %.1f | %.1f |\n", what, before, process.Resident(pid), process.Threads(pid),
		100*(process.CPU(pid)-used).Seconds()/while.Seconds(), took.Seconds())
	return nil
}

func (b *bench) restart(ctx context.Context) error {
	err := b.gateway.Stop()
	if err == nil {
		b.gateway, err = startGateway(ctx, b.options)
	}
	return err
}
