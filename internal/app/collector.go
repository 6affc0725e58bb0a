package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage may lie around before it is collected, the bounds of what
// that is in percent of what is in use (GOGC), and how often that is looked at.
const (
	garbage     = 96 << 20 // bytes
	gcLeast     = 25
	gcMost      = 400
	gcLookEvery = 5 * time.Second
)

// tuneCollector bounds garbage by an amount rather than by a share of what is
// in use, until ctx ends; GOGC, where it is set, stands instead. A gateway that
// publishes uses a few megabytes, and would spend a tenth of its time on
// collecting as much; one with ten thousand readers uses hundreds, mostly for
// their connections, and needs as much again for nothing.
func tuneCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	set := gcMost
	debug.SetGCPercent(set)
	tick := time.NewTicker(gcLookEvery)
	defer tick.Stop()
	used := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(used)
		if want := gcPercent(used[0].Value.Uint64() + used[1].Value.Uint64()); want*8 < set*7 || want*7 > set*8 {
			set = want
			debug.SetGCPercent(set)
		}
	}
}

// gcPercent gives what share of the bytes in use garbage may be, in percent.
func gcPercent(used uint64) int {
	return int(min(gcMost, max(gcLeast, garbage*100/max(used, 1))))
}
