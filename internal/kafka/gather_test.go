package kafka

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bursts is a gather whose bursts are noted.
type bursts struct {
	*gather[int]
	mu   sync.Mutex
	went [][]int
}

func newBursts() *bursts {
	b := &bursts{}
	b.gather = newGather(func(burst []int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.went = append(b.went, slices.Clone(burst))
	})
	return b
}

func (b *bursts) want(t *testing.T, want ...[]int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(want, b.went); diff != "" {
		t.Errorf("bursts (-want +got):\n%s", diff)
	}
	b.went = nil
}

func TestGatherOneAtATimeWaitsForNobody(t *testing.T) {
	b := newBursts()
	for i := range 3 {
		b.add(i)
		b.back()
	}
	b.want(t, []int{0}, []int{1}, []int{2})
}

func TestGatherHalfOfWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBursts()
		for i := range 8 {
			b.add(i) // 0 goes at once, then each time half of what there is
		}
		b.want(t, []int{0}, []int{1}, []int{2}, []int{3, 4}, []int{5, 6, 7})
		for range 8 { // eight publishers, whose records come back and who bring the next
			b.back()
		}
		for i := range 8 {
			b.add(i)
		}
		b.want(t, []int{0, 1, 2, 3}, []int{4, 5, 6, 7})
	})
}

func TestGatherWaitsNoLongerThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBursts()
		b.level = 100
		b.add(1)
		b.add(2)
		<-time.After(gatherFor - 1)
		synctest.Wait()
		b.want(t)
		<-time.After(1)
		synctest.Wait()
		b.want(t, []int{1, 2})
		b.back()
		b.back()
		b.add(3) // two at once are what there was last
		b.want(t, []int{3})
	})
}

func TestGatherLosesNothing(t *testing.T) {
	const publishers, each = 16, 500
	var g *gather[int]
	var mu sync.Mutex
	seen := map[int]int{}
	answers := make([]chan struct{}, publishers)
	for i := range answers {
		answers[i] = make(chan struct{}, 1)
	}
	g = newGather(func(burst []int) {
		mu.Lock()
		defer mu.Unlock()
		for _, v := range burst {
			seen[v]++
			g.back()
			answers[v%publishers] <- struct{}{}
		}
	})
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				g.add(i*publishers + p)
				<-answers[p]
			}
		})
	}
	wg.Wait()
	for v := range publishers * each {
		if seen[v] != 1 {
			t.Fatalf("%d went %d times", v, seen[v])
		}
	}
}

// The records of a burst that have a topic in common take one turn of its pair.
func TestTurnsOfABurst(t *testing.T) {
	a, b := newPair(), newPair()
	for round := range uint32(3) {
		turns := turns{}
		var got []uint32
		for _, p := range []*pair{a, a, b, a, b} {
			got = append(got, turns.of(p))
		}
		n := round + 1
		if diff := cmp.Diff([]uint32{n, n, n, n, n}, got); diff != "" {
			t.Errorf("turns (-want +got):\n%s", diff)
		}
	}
}
