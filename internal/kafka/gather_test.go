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
	out  []*burst // one for each value that is away, in order
}

func newBursts() *bursts {
	b := &bursts{}
	b.gather = newGather(func(values []int, one *burst) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.went = append(b.went, slices.Clone(values))
		b.out = append(b.out, slices.Repeat([]*burst{one}, len(values))...)
	})
	return b
}

// back brings back the n values that are away for longest.
func (b *bursts) back(n int) {
	b.mu.Lock()
	back := b.out[:n]
	b.out = b.out[n:]
	b.mu.Unlock()
	for _, one := range back {
		b.gather.back(one)
	}
}

func (b *bursts) want(t *testing.T, want ...[]int) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(want, b.went); diff != "" {
		t.Errorf("bursts (-want +got):\n%s", diff)
	}
	b.went = nil
}

func TestGatherOneAtATimeWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBursts()
		for i := range 3 {
			b.add(i)
			b.back(1)
		}
		b.want(t, []int{0}, []int{1}, []int{2})
	})
}

func TestGatherHalfOfWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBursts()
		for i := range 8 { // 0 and 1 go at once, the others when there is room
			b.add(i)
		}
		b.want(t, []int{0}, []int{1})
		b.back(2)
		b.want(t, []int{2, 3, 4, 5, 6, 7})
		b.back(6) // eight publishers, who bring the next
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
		b.want(t)
		<-time.After(1)
		b.want(t, []int{1, 2})
		b.back(2)
		b.add(3) // two at once are what there was last
		b.want(t, []int{3})
	})
}

// A broker that does not answer keeps two bursts, and holds up those to others
// for a moment alone.
func TestGatherThirdBurstWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBursts()
		b.add(1)
		b.add(2)
		b.add(3)
		b.want(t, []int{1}, []int{2})
		b.back(1)
		b.want(t, []int{3})
		b.add(4)
		<-time.After(gatherFor + gatherRoom - 1)
		b.want(t)
		<-time.After(1)
		b.want(t, []int{4})
		b.back(3)
		b.add(5)
		b.add(6)
		b.want(t, []int{5, 6})
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
	g = newGather(func(values []int, b *burst) {
		mu.Lock()
		defer mu.Unlock()
		for _, v := range values {
			seen[v]++
			g.back(b)
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
