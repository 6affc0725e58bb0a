package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sluice/test/bench/peers"
	"sluice/test/bench/process"
)

// figures are what the rounds measured of one thing, by name of column.
type figures map[string][]float64

func (f figures) add(column string, value float64) { f[column] = append(f[column], value) }

// median gives that of a column; 0 where there is nothing.
func (f figures) median(column string) float64 {
	all := slices.Sorted(slices.Values(f[column]))
	if len(all) == 0 {
		return 0
	}
	return all[(len(all)-1)/2]
}

// text formats the median, or says that nothing was measured.
func (f figures) text(column, format string) string {
	if len(f[column]) == 0 {
		return "–"
	}
	return fmt.Sprintf(format, f.median(column))
}

// publishing measures all who publish.
func publishing(ctx context.Context, all []*party, o options) error {
	single := func(p *party) *peers.Publish { return p.Single }
	batch := func(p *party) *peers.Publish { return p.Batch }
	for _, p := range all { // what is met for the first time is met here
		if p.Single != nil {
			if _, err := p.Publish(ctx, p.Single, peers.Load{Connections: 64, Data: []string{payload}, For: o.each}); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\n## Publishing, one record a request\n\n")
	fmt.Printf("| connections | name | requests/s | p50 ms | p99 ms | failed | CPU s per 1,000 requests | memory, MB |\n|---|---|---|---|---|---|---|---|\n")
	for _, connections := range []int{1, 16, 64} {
		load := peers.Load{Connections: connections, Data: []string{payload}, For: o.each}
		if err := rounds(ctx, all, o, single, load, fmt.Sprintf("| %d ", connections)); err != nil {
			return err
		}
	}
	hundred := slices.Repeat([]string{payload}, 100)
	fmt.Printf("\n## Publishing, 100 records a request, 16 connections\n\n")
	fmt.Printf("| name | records/s | p50 ms | p99 ms | failed | CPU s per 1,000 requests | memory, MB |\n|---|---|---|---|---|---|---|\n")
	return rounds(ctx, all, o, batch, peers.Load{Connections: 16, Data: hundred, For: o.each}, "")
}

// rounds measures one load, all who can in turn, and prints a row for each.
func rounds(ctx context.Context, all []*party, o options, how func(*party) *peers.Publish, load peers.Load, begin string) error {
	measured := map[*party]figures{}
	why := map[*party]error{}
	for range o.rounds {
		for _, p := range all {
			if how(p) == nil {
				continue
			}
			if measured[p] == nil {
				measured[p] = figures{}
			}
			used := process.CPU(p.pid)
			got, err := p.Publish(ctx, how(p), load)
			if err != nil {
				return err
			}
			used = process.CPU(p.pid) - used
			measured[p].take(got, used, len(load.Data), p)
			if why[p] == nil {
				why[p] = got.First
			}
		}
	}
	for _, p := range all {
		f := measured[p]
		if f == nil {
			continue
		}
		failed := 0.0
		for _, n := range f["failed"] {
			failed += n
		}
		fmt.Printf("%s| %s | %s | %s | %s | %.0f | %s | %s |\n", begin, p.Name, f.text("rate", "%.0f"), f.text("p50", "%.2f"), f.text("p99", "%.1f"),
			failed, f.text("cpu", "%.3f"), f.text("memory", "%.0f"))
	}
	for _, p := range all {
		if why[p] != nil {
			fmt.Printf("\nThe first failure of %s: %.300v\n\n", p.Name, why[p])
		}
	}
	return nil
}

// take adds what one round measured.
func (f figures) take(got peers.Published, used time.Duration, records int, p *party) {
	f.add("failed", float64(got.Failed))
	f.add("rate", got.PerSecond()*float64(records))
	if got.Requests > 0 {
		f.add("p50", got.Percentile(0.5))
		f.add("p99", got.Percentile(0.99))
	}
	if p.pid != 0 {
		f.add("memory", float64(process.Resident(p.pid)))
		if got.Requests > 0 {
			f.add("cpu", used.Seconds()/float64(got.Requests)*1000)
		}
	}
}
