package follow_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"sluice/internal/follow"
	"sluice/internal/stream"
)

// heap is how much is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// followers starts n of them, of the nth pattern each.
func followers(t testing.TB, hub *follow.Hub, n int, name func(int) string) []*follow.Follower {
	t.Helper()
	fs := make([]*follow.Follower, n)
	var opened sync.WaitGroup
	for i := range fs {
		r := stream.Reading{Pattern: pattern(t, name(i)), Partition: stream.AnyPartition, Start: latest}
		opened.Go(func() {
			var err error
			if fs[i], err = hub.Follow(t.Context(), r, lines{}); err != nil {
				t.Error(err)
			}
		})
	}
	opened.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return fs
}

// TestIdleFollowersCostLittle bounds the memory of a follower, its goroutine
// and its connection apart.
func TestIdleFollowersCostLittle(t *testing.T) {
	const n = 2000
	for _, c := range []struct {
		name string
		of   func(int) string
		most uint64
	}{
		{"of one pattern", func(int) string { return "s0" }, 1024},
		{"of a pattern each", func(i int) string { return fmt.Sprintf("s%d", i) }, 3072},
	} {
		cl := newCluster(1)
		for i := range n {
			cl.create(fmt.Sprintf("s%d", i), 1)
		}
		hub := newHub(cl, nil)
		first := followers(t, hub, 1, c.of)
		before := heap()
		fs := followers(t, hub, n, c.of)
		after := heap()
		each := (after - min(after, before)) / n
		t.Logf("%s: %d bytes", c.name, each)
		if each > c.most {
			t.Errorf("%s: an idle follower takes %d bytes, %d are the limit", c.name, each, c.most)
		}
		for _, f := range append(fs, first...) {
			f.Close()
		}
		hub.Close()
	}
}

// BenchmarkFanOut measures what a frame costs that is given to one of 1,000
// followers of one feed: b.N counts frames given.
func BenchmarkFanOut(b *testing.B) {
	const readers, batch = 1000, 20
	c := newCluster(1)
	c.create("a", 1)
	hub := newHub(c, nil)
	defer hub.Close()
	var done sync.WaitGroup
	records := b.N/readers + 1
	var size int
	for i, f := range followers(b, hub, readers, func(int) string { return "a" }) {
		done.Go(func() {
			defer f.Close()
			got, last := 0, fmt.Appendf(nil, " 0 %d id1 ", records-1)
			for {
				frames, err := f.Next(b.Context(), time.Minute)
				if err != nil || frames == nil {
					b.Error("nothing came", err)
					return
				}
				got += len(frames)
				if containsLast(frames, last) {
					break
				}
			}
			if i == 0 {
				size = got / records
			}
		})
	}
	b.ResetTimer()
	for i := range records {
		c.put("a", 0, false)
		if i%batch == 0 {
			runtime.Gosched()
		}
	}
	done.Wait()
	b.ReportMetric(float64(size), "B/frame")
}

// containsLast says whether the last line has what is searched.
func containsLast(frames, last []byte) bool {
	tail := frames[max(0, len(frames)-200):]
	for i := 0; i+len(last) <= len(tail); i++ {
		if string(tail[i:i+len(last)]) == string(last) {
			return true
		}
	}
	return false
}

// BenchmarkFeed measures what a record costs a feed: its position is written
// once.
func BenchmarkFeed(b *testing.B) {
	for _, partitions := range []int{1, 6, 600} {
		b.Run(fmt.Sprintf("%d partitions", partitions), func(b *testing.B) {
			c := newCluster(1)
			c.create("a", partitions)
			hub := newHub(c, nil)
			defer hub.Close()
			f := followers(b, hub, 1, func(int) string { return "a" })[0]
			defer f.Close()
			go func() {
				for i := range b.N {
					c.put("a", int32(i%partitions), false)
				}
			}()
			for n := 0; n < b.N; {
				frames, err := f.Next(b.Context(), time.Minute)
				if err != nil || frames == nil {
					b.Fatal("nothing came", err)
				}
				for _, x := range frames {
					if x == '\n' {
						n++
					}
				}
			}
		})
	}
}
