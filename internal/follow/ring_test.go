package follow

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// ringModel keeps frames in a ring and in a list, to compare them.
type ringModel struct {
	t      *testing.T
	ring   ring
	memory memory
	all    []byte
	ends   []int64 // of the frames; the token of the nth is n+1
}

func (m *ringModel) write(n int) {
	frame := bytes.Repeat([]byte{byte(len(m.ends))}, n)
	if !m.ring.fits(n) {
		m.memory.push(m.ring.grow(n))
		for c := m.memory.excess(); c != nil; c = m.memory.excess() {
			m.ring.drop()
			m.memory.remove(c)
		}
	}
	m.memory.charge(m.ring.append(frame, uint64(len(m.ends)+1)), markBytes)
	m.all = append(m.all, frame...)
	m.ends = append(m.ends, int64(len(m.all)))
}

// read follows the ring from a cursor to its head.
func (m *ringModel) read(cursor int64) {
	from, frames := cursor, 0
	var got []byte
	for cursor != m.ring.head {
		if !m.ring.has(cursor) {
			return // it was dropped
		}
		k := m.ring.take(cursor)
		if len(k.frames) == 0 || k.next != cursor+int64(len(k.frames)) {
			m.t.Fatalf("%d bytes at %d, next is %d", len(k.frames), cursor, k.next)
		}
		got, cursor, frames = append(got, k.frames...), k.next, frames+k.count
	}
	if !bytes.Equal(got, m.all[from:]) {
		m.t.Fatalf("from %d: %d bytes, want %d", from, len(got), len(m.all)-int(from))
	}
	want := 0
	for _, end := range m.ends {
		if end > from {
			want++
		}
	}
	if frames != want {
		m.t.Fatalf("from %d: %d frames, want %d", from, frames, want)
	}
}

func (m *ringModel) check() {
	kept := 0
	for i, end := range m.ends {
		cursor, ok := m.ring.find(uint64(i + 1))
		if ok {
			kept++
			if cursor != end {
				m.t.Fatalf("frame %d ends at %d, found at %d", i, end, cursor)
			}
		} else if kept > 0 {
			m.t.Fatalf("frame %d is gone, an older one is there", i)
		}
		m.read(end)
	}
	used := 0
	for c := m.memory.oldest; c != nil; c = c.newer {
		used += c.cost
	}
	if used != m.memory.used || used > m.memory.budget && m.memory.oldest != m.memory.newest {
		m.t.Fatalf("%d bytes are counted, %d are used, %d may be", m.memory.used, used, m.memory.budget)
	}
}

func FuzzRing(f *testing.F) {
	f.Add(100, []byte{1, 2, 3})
	f.Add(10_000, bytes.Repeat([]byte{255, 0, 90}, 100))
	f.Add(1<<20, bytes.Repeat([]byte{200, 250}, 50))
	f.Fuzz(func(t *testing.T, budget int, sizes []byte) {
		m := &ringModel{t: t, memory: memory{budget: budget}}
		m.check()
		for _, n := range sizes[:min(len(sizes), 40)] {
			m.write(1 + int(n)*int(n)*int(n)/100)
		}
		m.check()
	})
}

func TestRingSharesItsBudget(t *testing.T) {
	h := &Hub{memory: memory{budget: 8 << 10}, metrics: newMetrics(prometheus.NewRegistry())}
	var feeds []*feed
	for i := range 20 {
		f := &feed{}
		feeds = append(feeds, f)
		h.hold(f)
		f.last = fmt.Append(nil, i)
		h.write(f, make([]byte, 900), 0)
	}
	for i, f := range feeds {
		if kept := f.ring.has(0); kept != (i >= 13) {
			t.Errorf("feed %d is kept: %v", i, kept)
		}
	}
	if h.memory.used > h.memory.budget {
		t.Errorf("%d bytes are used", h.memory.used)
	}
}

func TestFramesBelongToOneChunk(t *testing.T) {
	m := &ringModel{t: t, memory: memory{budget: 1 << 30}}
	for _, n := range []int{1, 1000, 100, 70_000, 5} {
		m.write(n)
	}
	m.check()
	if got := len(m.ring.chunks); got != 4 {
		t.Errorf("%d chunks", got)
	}
	if got := cap(m.ring.chunks[0].buf); got != minChunk {
		t.Errorf("the first chunk has %d bytes", got)
	}
}
