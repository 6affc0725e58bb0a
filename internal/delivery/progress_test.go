package delivery

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProgressKeepsTheBooks compares progress with a plain map, through random
// reading, completing and forgetting.
func TestProgressKeepsTheBooks(t *testing.T) {
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		p := newProgress(0, nil)
		state := map[int64]byte{} // 'o' open, 'd' done, missing: unread
		holes := map[int64]bool{}
		read := int64(0)
		for range 300 {
			switch rnd.IntN(10) {
			case 0, 1, 2, 3: // read on; some offsets hold nothing
				skip := int64(rnd.IntN(2))
				for range skip {
					if state[read] == 0 {
						state[read] = 'h'
						holes[read] = true
					}
					read++
				}
				p.advance(read)
				for state[read] == 'd' || holes[read] {
					if holes[read] {
						state[read] = 'h'
					}
					read++
				}
				p.advance(read)
				added := p.add(&item{offset: read})
				if added != (state[read] == 0) {
					t.Fatalf("seed %d: add(%d) gave %v, and it is %q", seed, read, added, state[read])
				}
				state[read] = 'o'
				read++
				p.advance(read)
			case 4, 5, 6, 7:
				var open []int64
				for _, e := range p.entries {
					if e.item != nil {
						open = append(open, e.from)
					}
				}
				if len(open) > 0 {
					o := open[rnd.IntN(len(open))]
					p.finish(o)
					state[o] = 'd'
				}
			case 8:
				if rnd.IntN(4) == 0 {
					p.forget(func(it *item) bool {
						if rnd.IntN(2) == 0 {
							return false
						}
						delete(state, it.offset)
						read = min(read, it.offset)
						return true
					})
					for o := range holes { // they are passed over again
						if o >= read && state[o] == 'h' {
							delete(state, o)
						}
					}
				}
			}
			for state[read] != 0 && read < 1000 { // where the next page begins
				if state[read] == 'o' {
					break
				}
				read++
			}
			checkBooks(t, seed, &p, state, holes)
		}
	}
}

func checkBooks(t *testing.T, seed uint64, p *progress, state map[int64]byte, holes map[int64]bool) {
	t.Helper()
	lowest := int64(0)
	for state[lowest] == 'd' || state[lowest] == 'h' {
		lowest++
	}
	got := p.lowest()
	if got < lowest {
		t.Fatalf("seed %d: lowest is %d, want %d (%+v)", seed, got, lowest, p)
	}
	for o := range got {
		if state[o] != 'd' && !holes[o] {
			t.Fatalf("seed %d: lowest is %d, and %d is %q", seed, got, o, state[o])
		}
	}
	done := 0
	for _, e := range p.entries {
		if e.item == nil {
			done++
		}
	}
	if done != p.done {
		t.Fatalf("seed %d: %d complete ranges, counted %d", seed, done, p.done)
	}
	for _, s := range p.complete() {
		for o := s.from; o < s.to; o++ {
			if state[o] != 'd' && !holes[o] {
				t.Fatalf("seed %d: %d is said to be complete, and is %q", seed, o, state[o])
			}
		}
	}
}

func TestMetadataComesBack(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		offset := rnd.Int64N(1 << 40)
		m := metadata{topic: rnd.Uint32(), generation: rnd.Int64N(1 << 30)}
		at := offset
		width := int64(1) << rnd.IntN(30)
		for rnd.IntN(200) > 0 {
			from := at + 1 + rnd.Int64N(width)
			to := from + 1 + rnd.Int64N(width)
			if !spansFit(len(m.done)+1, to-offset) {
				break
			}
			m.done = append(m.done, span{from, to})
			at = to
		}
		at = offset
		for range rnd.IntN(maxTries + 1) {
			at += rnd.Int64N(1 << 40)
			m.tries = append(m.tries, try{at, rnd.IntN(1000), time.Unix(rnd.Int64N(1<<40), 0)})
		}
		text := m.encode(offset)
		if len(text) > maxMetadata {
			t.Fatalf("seed %d: %d bytes for %d ranges", seed, len(text), len(m.done))
		}
		got, ok := decodeMetadata(text, offset)
		if !ok {
			t.Fatalf("seed %d: cannot be read", seed)
		}
		if d := cmp.Diff(m, got, cmp.AllowUnexported(metadata{}, span{}, try{})); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add(metadata{topic: 1, done: []span{{5, 7}}}.encode(3), int64(3))
	f.Add("somebody's own text", int64(0))
	f.Fuzz(func(t *testing.T, text string, offset int64) {
		offset &= 1<<40 - 1
		m, ok := decodeMetadata(text, offset)
		if !ok {
			return
		}
		at := offset
		for _, s := range m.done {
			if s.from < at || s.to <= s.from {
				t.Fatalf("ranges out of order: %+v", m.done)
			}
			at = s.to
		}
	})
}

func TestThrottleProbesAndRecovers(t *testing.T) {
	var h throttle
	now := time.Unix(1000, 0)
	if !h.slow(h.round, now, 0) || h.most(16) != 1 {
		t.Fatal("the first trouble slows down, and is to blame")
	}
	if h.slow(0, now, 0); h.pause != firstPause {
		t.Fatalf("requests sent before tell nothing new; pause %v", h.pause)
	}
	for range 10 {
		if h.slow(h.round, now, 0) {
			t.Fatal("a probe that fails is not to blame")
		}
	}
	if h.pause != maxPause {
		t.Fatalf("the pause is %v", h.pause)
	}
	if h.slow(h.round, now, time.Hour); h.until != now.Add(time.Hour) {
		t.Fatalf("Retry-After counts; until %v", h.until)
	}
	if !h.success(h.round, 16) {
		t.Fatal("the first success recovers")
	}
	for n, most := 0, 2; h.slowed; n++ {
		if got := h.most(16); got != most {
			t.Fatalf("%d requests at a time, want %d", got, most)
		}
		for range most {
			h.success(h.round, 16)
		}
		most *= 2
	}
	if h.most(16) != 16 {
		t.Fatal("not at full speed again")
	}
}
