// Package measure is what the benchmarks have in common: a steady pace,
// latencies and their percentiles, and waiting for what must come. It knows
// nothing of gateways or of Kafka, and is not for the product.
package measure

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"
)

// Main runs a benchmark's command with its arguments, until it ends or is
// interrupted, and ends the process with status 1 where it fails.
func Main(name string, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// Pace calls do for 0 to n-1, rate times a second, in bursts of a millisecond
// when that is needed; all at once where rate is 0. It ends early with ctx.
func Pace(ctx context.Context, rate, n int, do func(i int)) {
	start := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; i < n; {
		due := n
		if rate > 0 {
			due = min(n, int(time.Since(start).Seconds()*float64(rate))+1)
		}
		for ; i < due; i++ {
			do(i)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Settle waits until got gives want, or has not changed for patience.
func Settle(ctx context.Context, want int64, patience time.Duration, got func() int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	for ctx.Err() == nil {
		n := got()
		if n != last {
			last, since = n, time.Now()
		}
		if n >= want || time.Since(since) > patience {
			return
		}
		<-tick.C
	}
}

// Eventually waits until nothing is amiss any more. The error says what was
// waited for, and what was amiss at last.
func Eventually(ctx context.Context, patience time.Duration, what string, amiss func() error) error {
	for end := time.Now().Add(patience); ; {
		err := amiss()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fmt.Errorf("waited %v in vain until %s: %w", patience, what, err)
		}
		Pause(ctx, 20*time.Millisecond)
	}
}

// Pause is Rest for those who look at ctx themselves.
func Pause(ctx context.Context, d time.Duration) { _ = Rest(ctx, d) }

// Rest waits for a time; the error is that of ctx, when that ends before.
func Rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Latencies are times that were measured. The zero value is ready, and several
// goroutines may use it.
type Latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

// Add notes times.
func (l *Latencies) Add(d ...time.Duration) {
	l.mu.Lock()
	l.all = append(l.all, d...)
	l.mu.Unlock()
}

// Reset forgets everything.
func (l *Latencies) Reset() {
	l.mu.Lock()
	l.all = l.all[:0]
	l.mu.Unlock()
}

// Take gives what was noted, and begins anew.
func (l *Latencies) Take() *Latencies {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := &Latencies{all: l.all}
	l.all = make([]time.Duration, 0, len(taken.all))
	return taken
}

// Count gives how many there are.
func (l *Latencies) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// Percentile gives in milliseconds the time that a share p, from 0 to 1, did
// not exceed; 0 where none was noted.
func (l *Latencies) Percentile(p float64) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[int(p*float64(len(l.all)-1))].Seconds() * 1000
}
