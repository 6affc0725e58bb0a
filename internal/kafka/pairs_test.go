package kafka

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

// chosen gives what a pair chooses for four records at a time.
func chosen(p *pair, at time.Time) []int32 {
	var got []int32
	for range 4 {
		got = append(got, p.choose(at, p.turns.Add(1)))
	}
	return got
}

func TestPair(t *testing.T) {
	const anyone = stream.AnyPartition
	start := time.UnixMilli(1_700_000_000_000)
	alone, both := []int32{anyone, anyone, anyone, anyone}, []int32{3, anyone, 3, anyone}
	for name, test := range map[string]struct {
		learn func(p *pair)
		after time.Duration
		want  []int32
	}{
		"nothing is known":    {func(*pair) {}, 0, alone},
		"one partition alone": {func(p *pair) { p.learn(anyone, 3, start); p.learn(anyone, 3, start) }, 0, alone},
		"the one before":      {func(p *pair) { p.learn(anyone, 3, start); p.learn(anyone, 5, start) }, 0, both},
		"it stored long ago":  {func(p *pair) { p.learn(anyone, 3, start); p.learn(anyone, 5, start) }, pairFor + time.Millisecond, alone},
		"it stored again": {func(p *pair) {
			p.learn(anyone, 3, start)
			p.learn(anyone, 5, start)
			p.learn(3, 3, start.Add(pairFor))
		}, 2 * pairFor, both},
		"only the new one stored since": {func(p *pair) {
			p.learn(anyone, 3, start)
			p.learn(anyone, 5, start)
			p.learn(anyone, 5, start.Add(pairFor))
		}, 2 * pairFor, alone},
		"an earlier one stored late": {func(p *pair) {
			p.learn(anyone, 1, start)
			p.learn(anyone, 3, start)
			p.learn(anyone, 5, start)
			p.learn(1, 1, start.Add(pairFor))
		}, 2 * pairFor, alone},
		"it failed": {func(p *pair) { p.learn(anyone, 3, start); p.learn(anyone, 5, start); p.forget() }, 0, alone},
		"the next one after it failed": {func(p *pair) {
			p.learn(anyone, 1, start)
			p.learn(anyone, 3, start)
			p.forget()
			p.learn(anyone, 5, start)
		}, 0, both},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair()
			test.learn(p)
			if d := cmp.Diff(test.want, chosen(p, start.Add(test.after))); d != "" {
				t.Errorf("chosen (-want +got):\n%s", d)
			}
		})
	}
}
