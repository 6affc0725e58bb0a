package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"sluice/test/bench/measure"
	"sluice/test/bench/peers"
)

// restart is a way in which a gateway goes away under a reader.
type restart struct {
	what string
	how  syscall.Signal
	// quiet is whether the reader has had no record of most partitions yet.
	quiet bool
}

func restarts() []restart {
	return []restart{
		{"produced while the gateway was restarted (SIGTERM)", syscall.SIGTERM, false},
		{"produced while the gateway was killed and started again (SIGKILL)", syscall.SIGKILL, false},
		{"produced while the gateway was restarted, and before that none in five of six partitions", syscall.SIGTERM, true},
	}
}

// restarted lets a reader follow, takes the gateway away and brings it back, and
// prints a row. Records are produced before, meanwhile and after.
func restarted(ctx context.Context, k *broker, p *party, by reader, i int, how restart) error {
	if p.command == nil && p.restart == "" {
		fmt.Printf("| – | %s | %s | %s | – | – | – | cannot be restarted here (RESTART_…) |\n", how.what, p.Name, by.kind)
		return nil
	}
	if p.command == nil {
		how.what += ", in the way of its operator's command"
	}
	t := &trial{k: k, what: how.what}
	var err error
	if t.topic, err = k.topic(ctx, fmt.Sprintf("restart-%d-%s-%s", i, p.Name, by.kind), 6); err != nil {
		return err
	}
	partitions := 6
	if how.quiet {
		partitions = 1
	}
	r, stop := begin(ctx, p.on(t.topic), by, peers.Latest)
	defer stop()
	if err := t.settled(ctx, r, partitions); err != nil {
		fmt.Printf("| – | %s | %s | %s | – | – | – | %v; %s |\n", how.what, p.Name, by.kind, err, told(r))
		return ctx.Err()
	}
	several := func(n, partitions int, such bool) func() error {
		return func() (err error) {
			pace(ctx, 100, n, func(i int) {
				err = errors.Join(err, t.produce(ctx, int32(i%partitions), fmt.Appendf(nil, `{"n":%d}`, i), such))
			})
			return err
		}
	}
	if err := several(200, partitions, false)(); err != nil {
		return err
	}
	if _, err := p.again(ctx, how.how, several(100, 6, true)); err != nil {
		return err
	}
	if err := several(100, 6, false)(); err != nil {
		return err
	}
	t.finish(ctx, r)
	stop()
	t.row(p, by, r)
	return nil
}

// settled produces records that do not count until the reader has one of each
// of the partitions.
func (t *trial) settled(ctx context.Context, r *peers.Reading, partitions int) error {
	have := map[int32]bool{}
	sent := map[int32][]peers.Coordinates{}
	for end := time.Now().Add(time.Minute); len(have) < partitions; measure.Pause(ctx, 200*time.Millisecond) {
		if ctx.Err() != nil || time.Now().After(end) {
			return errors.New("the reader gets nothing")
		}
		for at := range int32(partitions) {
			if have[at] {
				continue
			}
			c, err := t.k.produce(ctx, t.topic, at, []byte(`{"n":-1}`))
			if err != nil {
				return err
			}
			sent[at] = append(sent[at], c)
			if n, _ := count(r, sent[at]); n > 0 {
				have[at] = true
			}
		}
	}
	return nil
}
