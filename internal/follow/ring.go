package follow

import (
	"slices"
	"sort"
)

// The sizes of chunks, in bytes. A feed that says little keeps little; a frame
// that is larger than any chunk has one of its own.
const (
	minChunk = 1 << 10
	maxChunk = 64 << 10
)

// markBytes is what the memory counts for a mark.
const markBytes = 16

// ring keeps the newest frames of a feed: a log of bytes in chunks, addressed
// by the number of bytes written before. What was written is never changed, so
// that readers keep slices of it while more is appended or the oldest is
// dropped.
type ring struct {
	chunks []*chunk // oldest first, without holes between them
	head   int64    // where the next frame begins
}

// chunk is a piece of a ring, and a link in the memory's list of all chunks.
type chunk struct {
	feed         *feed
	start        int64 // its address
	buf          []byte
	marks        []mark // one for each frame
	token        []byte // the position after its last frame; set when another chunk follows
	cost         int    // what the memory counts for it
	older, newer *chunk
}

// mark says where a frame ends, and which position it carries.
type mark struct {
	token uint64 // hash of the position's text
	end   int32  // in the chunk
}

// fits says whether a frame of n bytes has room in the last chunk.
func (r *ring) fits(n int) bool {
	last := r.last()
	return last != nil && n <= cap(last.buf)-len(last.buf)
}

// grow gives a chunk with room for a frame of n bytes, to be appended.
func (r *ring) grow(n int) *chunk {
	size := minChunk
	if last := r.last(); last != nil {
		size = min(2*cap(last.buf), maxChunk)
	}
	for size < n && size < maxChunk {
		size *= 2
	}
	c := &chunk{start: r.head, buf: make([]byte, 0, max(n, size))}
	r.chunks = append(r.chunks, c)
	return c
}

// append writes a frame that fits.
func (r *ring) append(frame []byte, token uint64) *chunk {
	c := r.last()
	c.buf = append(c.buf, frame...)
	c.marks = append(c.marks, mark{token: token, end: int32(len(c.buf))})
	r.head += int64(len(frame))
	return c
}

func (r *ring) last() *chunk {
	if len(r.chunks) == 0 {
		return nil
	}
	return r.chunks[len(r.chunks)-1]
}

// drop takes the oldest chunk out.
func (r *ring) drop() { r.chunks = slices.Delete(r.chunks, 0, 1) }

// has says whether everything from cursor on is still there.
func (r *ring) has(cursor int64) bool {
	return cursor == r.head || len(r.chunks) > 0 && r.chunks[0].start <= cursor
}

// taken is what a reader took from a ring: whole frames that lie together.
type taken struct {
	frames []byte
	count  int    // of frames
	next   int64  // the cursor behind them
	last   *chunk // where they lie
}

// take gives the frames from cursor to the end of its chunk. The cursor lies
// before the head, and the ring has it.
func (r *ring) take(cursor int64) taken {
	i := sort.Search(len(r.chunks), func(i int) bool { return r.chunks[i].start > cursor }) - 1
	c := r.chunks[i]
	from := int(cursor - c.start)
	first := sort.Search(len(c.marks), func(i int) bool { return int(c.marks[i].end) > from })
	return taken{frames: c.buf[from:len(c.buf):len(c.buf)], count: len(c.marks) - first, next: c.start + int64(len(c.buf)), last: c}
}

// find gives the cursor behind the frame that carries a position.
func (r *ring) find(token uint64) (cursor int64, ok bool) {
	for _, c := range slices.Backward(r.chunks) {
		for _, m := range slices.Backward(c.marks) {
			if m.token == token {
				return c.start + int64(m.end), true
			}
		}
	}
	return 0, false
}

// memory counts the chunks of all rings, and knows the order in which they
// were made. It belongs to the tail's goroutine.
type memory struct {
	budget, used   int
	oldest, newest *chunk
}

// push notes a new chunk.
func (m *memory) push(c *chunk) {
	c.older = m.newest
	if m.newest != nil {
		m.newest.newer = c
	} else {
		m.oldest = c
	}
	m.newest = c
	m.charge(c, cap(c.buf))
}

// charge counts more bytes for a chunk.
func (m *memory) charge(c *chunk, n int) {
	c.cost += n
	m.used += n
}

// remove forgets a chunk.
func (m *memory) remove(c *chunk) {
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		m.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		m.newest = c.older
	}
	c.older, c.newer = nil, nil
	m.used -= c.cost
}

// excess gives the chunk to be dropped next: the oldest while too much is kept,
// but never the newest.
func (m *memory) excess() *chunk {
	if m.used <= m.budget || m.oldest == m.newest {
		return nil
	}
	return m.oldest
}
