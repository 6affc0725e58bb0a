package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice/test/bench/measure"
	"sluice/test/bench/peers"
)

// page is how many bytes an answer may have, for those who can be told.
const page = 1 << 20

// hard are records that are hard to pass on: what they are, and how one is made.
type hard struct {
	what  string
	value func(n int) []byte
}

func hardRecords() []hard {
	return []hard{
		{"bigger than a page: 2 MiB, where pages have 1 MiB", func(n int) []byte {
			return fmt.Appendf(nil, `{"n":%d,"pad":%q}`, n, strings.Repeat("x", 2<<20))
		}},
		{"bytes that are no text", func(n int) []byte { return []byte{0xff, 0xfe, 0, byte(n)} }},
		{"text that is not JSON", func(n int) []byte { return fmt.Appendf(nil, "line %d of a log", n) }},
		{"empty", func(int) []byte { return []byte{} }},
		{"tombstones", func(int) []byte { return nil }},
	}
}

// losing measures what readers get.
func losing(ctx context.Context, all []*party, k *broker, o options) error {
	fmt.Printf("\n## What a reader gets\n\n")
	fmt.Printf("| records | of which | name | reader | got | of those | twice | besides, the reader was told |\n|---|---|---|---|---|---|---|---|\n")
	for i, h := range hardRecords() {
		t := &trial{k: k, what: h.what}
		var err error
		if t.topic, err = k.topic(ctx, fmt.Sprintf("hard-%d", i), 1); err != nil {
			return err
		}
		for n := range 100 {
			value := fmt.Appendf(nil, `{"n":%d,"t":"a record like others"}`, n)
			if n%20 == 10 {
				value = h.value(n)
			}
			if err := t.produce(ctx, 0, value, n%20 == 10); err != nil {
				return err
			}
		}
		for _, p := range all {
			if err := t.readers(ctx, p, t.read); err != nil {
				return err
			}
		}
	}
	for i, r := range restarts() {
		for _, p := range all {
			err := (&trial{}).readers(ctx, p, func(ctx context.Context, p *party, reader reader) error {
				return restarted(ctx, k, p, reader, i, r)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// reader reads a topic until ctx ends.
type reader struct {
	kind string
	read func(ctx context.Context, t peers.Target, from peers.From, r *peers.Reading)
}

// trial is what was produced for readers, in a topic of its own.
type trial struct {
	k           *broker
	topic, what string
	all, such   []peers.Coordinates
}

// readers does it for each way in which a party can be read. Those without a
// Kafka do not see such records.
func (t *trial) readers(ctx context.Context, p *party, do func(context.Context, *party, reader) error) error {
	if p.Kafka && p.Events != nil {
		err := do(ctx, p, reader{"events", func(ctx context.Context, t peers.Target, from peers.From, r *peers.Reading) {
			t.ReadEvents(ctx, from, r)
		}})
		if err != nil {
			return err
		}
	}
	if p.Kafka && p.Pull != nil {
		return do(ctx, p, reader{"requests", func(ctx context.Context, t peers.Target, _ peers.From, r *peers.Reading) {
			t.ReadPages(ctx, strings.ReplaceAll(t.Topic, ".", "-")+"-readers", page, r)
		}})
	}
	return nil
}

// produce writes a record that readers must get.
func (t *trial) produce(ctx context.Context, partition int32, value []byte, such bool) error {
	at, err := t.k.produce(ctx, t.topic, partition, value)
	if err != nil {
		return err
	}
	t.all = append(t.all, at)
	if such {
		t.such = append(t.such, at)
	}
	return nil
}

// read reads what is there from the beginning, and prints a row.
func (t *trial) read(ctx context.Context, p *party, by reader) error {
	r, stop := begin(ctx, p.on(t.topic), by, peers.Earliest)
	defer stop()
	t.finish(ctx, r)
	stop()
	t.row(p, by, r)
	return nil
}

// begin begins to read beside.
func begin(ctx context.Context, target peers.Target, by reader, from peers.From) (*peers.Reading, func()) {
	r := &peers.Reading{}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { by.read(ctx, target, from, r) })
	return r, func() {
		cancel()
		done.Wait()
	}
}

// finish waits until the reader has all, or nothing new for a while.
func (t *trial) finish(ctx context.Context, r *peers.Reading) {
	last, since := -1, time.Now()
	for ctx.Err() == nil && time.Since(since) < patience {
		got, _ := count(r, t.all)
		if got == len(t.all) {
			return
		}
		if got != last {
			last, since = got, time.Now()
		}
		measure.Pause(ctx, 50*time.Millisecond)
	}
}

// count says how many of the records came, and how many of them more than once.
func count(r *peers.Reading, all []peers.Coordinates) (got, twice int) {
	for _, c := range all {
		switch n := r.Times(c); {
		case n > 1:
			twice++
			fallthrough
		case n == 1:
			got++
		}
	}
	return got, twice
}

func (t *trial) row(p *party, by reader, r *peers.Reading) {
	got, twice := count(r, t.all)
	such, _ := count(r, t.such)
	fmt.Printf("| %d | %d %s | %s | %s | %d | %d | %d | %s |\n", len(t.all), len(t.such), t.what, p.Name, by.kind, got, such, twice, told(r))
}

// told is what the reader was told, for a table.
func told(r *peers.Reading) string {
	return strings.ReplaceAll(strings.Join(r.Told(), "; "), "|", "\\|")
}
