// Package follow shares the reading of Kafka between all who follow streams
// live. One tail reads, for the whole gateway, each partition that somebody
// follows; what it reads is formatted once for each feed (a pattern, a
// partition, a filter and a way of writing) and kept in the feed's ring, so
// that a follower at the tail is no more than a place in that ring. Who is
// behind reads pages of its own until it meets the ring, with nothing lost and
// nothing repeated where they join.
//
// It is not a Kafka client and knows no HTTP: it reads through the interfaces
// Kafka and Tail, and gives bytes that somebody else writes. It keeps no
// offsets for anybody: where a follower stands is in the positions its frames
// carry.
package follow

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// Kafka answers questions about streams and reads parts of them. It may be
// used by several goroutines at once.
type Kafka interface {
	// Layouts gives the streams that the pattern selects, sorted by name. Plain
	// ids that do not exist are left out.
	Layouts(ctx context.Context, p stream.Pattern) ([]stream.Layout, error)
	// Bounds gives the bounds of each partition. It fails with UnknownStream
	// when one of them does not exist.
	Bounds(ctx context.Context, ps []stream.Partition) ([]stream.Bounds, error)
	// OffsetsAt gives for each partition the offset of the first record at or
	// after t, or its end. It fails as Bounds does.
	OffsetsAt(ctx context.Context, ps []stream.Partition, t time.Time) ([]int64, error)
	// Read reads a page of the spans. It fails with UnknownStream when one of
	// the streams is gone.
	Read(ctx context.Context, spans []stream.Span, limit stream.PageLimit) (stream.Page, error)
}

// Tail follows partitions live. One goroutine uses it.
type Tail interface {
	// Add begins to follow partitions at the given offsets.
	Add(at []stream.At) error
	// Drop ends it: nothing of the partitions comes out afterwards.
	Drop(ps []stream.Partition) error
	// Poll waits at most d for news. The slice is valid until the next call.
	Poll(d time.Duration) []stream.Fetched
	Close() error
}

// Options are what a hub needs. Kafka, OpenTail, Log and Registerer are
// required.
type Options struct {
	Kafka        Kafka
	OpenTail     func() (Tail, error) // called when somebody follows for the first time
	FeedBytes    int                  // how much the rings of all feeds keep; 0: 64 MiB
	CatchUpBytes int                  // how much the pages of all who are behind may take; 0: 64 MiB
	Followers    int                  // how many there may be at a time; 0: 20,000
	Log          *slog.Logger
	Registerer   prometheus.Registerer
}

// The defaults of Options.
const (
	defaultBytes     = 64 << 20
	defaultFollowers = 20_000
)

// questions is how many of those who are Following may ask Kafka at a time.
// There may be thousands, all at once when a gateway starts, and each question
// holds threads, which Go never gives back.
const questions = 4

// Hub shares the reading between followers. New makes one.
type Hub struct {
	kafka    Kafka
	openTail func() (Tail, error)
	max      int
	log      *slog.Logger
	metrics  *metrics
	pages    *budget
	recent   recent
	shared   recent        // what those who are behind asked Kafka for
	fetching chan struct{} // holds one for each of them who asks
	behind   atomic.Int64  // how many of them there are
	asking   chan struct{} // holds one for each who asks Kafka and is Following
	seed     maphash.Seed  // makes the hashes of positions unpredictable for clients

	ctx      context.Context // ends with Close
	end      context.CancelFunc
	work     sync.WaitGroup
	start    sync.Once
	draining atomic.Bool
	drain    context.Context // ends when draining begins
	endDrain context.CancelFunc
	kickTail chan struct{} // there are tasks
	kickLook chan struct{} // the layouts are to be looked at now
	joinedAt atomic.Int64  // when the last follower came, in nanoseconds

	mu        sync.Mutex
	feeds     map[feedKey]*feed
	topics    map[string]*topic // by stream; changed by the tail's goroutine alone
	retired   []*feed           // feeds that failed and were replaced
	fresh     []*feed           // feeds that no look at the layouts has seen yet
	tasks     []func()          // for the tail's goroutine
	asked     int64             // counts questions for layouts
	looked    int64             // the last question whose answer all feeds know
	followers int

	// What follows belongs to the tail's goroutine.
	tail    Tail
	memory  memory
	held    []*feed // feeds whose locks it holds
	idle    []*part // what the tail is to follow and does not yet
	tailed  int     // how many partitions the tail follows
	token   []byte  // scratch
	frame   []byte  // scratch
	sweptAt time.Time
}

// New makes a hub. It reads nothing before somebody follows.
func New(o Options) *Hub {
	ctx, end := context.WithCancel(context.Background())
	drain, endDrain := context.WithCancel(ctx)
	h := &Hub{
		kafka:    o.Kafka,
		openTail: o.OpenTail,
		max:      or(o.Followers, defaultFollowers),
		log:      o.Log,
		metrics:  newMetrics(o.Registerer),
		pages:    newBudget(or(o.CatchUpBytes, defaultBytes) - or(o.CatchUpBytes, defaultBytes)/sharedPart),
		seed:     maphash.MakeSeed(),
		ctx:      ctx,
		end:      end,
		drain:    drain,
		endDrain: endDrain,
		kickTail: make(chan struct{}, 1),
		kickLook: make(chan struct{}, 1),
		feeds:    map[feedKey]*feed{},
		topics:   map[string]*topic{},
		memory:   memory{budget: or(o.FeedBytes, defaultBytes)},
		recent:   recent{most: recentBytes, tailed: true, runs: map[runKey]*run{}},
		shared:   recent{most: or(o.CatchUpBytes, defaultBytes) / sharedPart, runs: map[runKey]*run{}},
		fetching: make(chan struct{}, questions),
		asking:   make(chan struct{}, questions),
	}
	h.pages.measure(o.Registerer)
	return h
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// Drain ends all followers, whose Next gives io.EOF, and refuses new ones. It
// does not wait until they have closed. More calls do nothing.
func (h *Hub) Drain() {
	if h.draining.Swap(true) {
		return
	}
	h.endDrain()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.feeds {
		f.mu.Lock()
		f.wakeLocked()
		f.mu.Unlock()
	}
}

// Close drains, ends all work of the hub and closes its tail. Followers may be
// closed later.
func (h *Hub) Close() {
	h.Drain()
	h.end()
	h.start.Do(func() {}) // nothing starts any more
	h.work.Wait()
}

// run starts the hub's two goroutines, once.
func (h *Hub) run() {
	h.start.Do(func() {
		h.work.Go(h.runTail)
		h.work.Go(h.runLooks)
	})
}

// ask waits until Kafka may be asked for somebody who is following. The caller
// calls done after it.
func (h *Hub) ask(ctx context.Context, following bool) (done func(), err error) {
	if !following {
		return func() {}, nil
	}
	select {
	case h.asking <- struct{}{}:
		return func() { <-h.asking }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// admit counts a follower in, or says why there can be no more of them.
func (h *Hub) admit() error {
	if h.draining.Load() {
		return stream.Errorf(stream.Overloaded, "this gateway is shutting down; connect again")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.followers >= h.max {
		return stream.Errorf(stream.Overloaded, "this gateway serves %d followers, as many as it may; try again later, or ask its operator to raise limits.followers", h.max)
	}
	h.followers++
	return nil
}

func (h *Hub) dismiss() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followers--
}

// do has the tail's goroutine run task, and waits until it has.
func (h *Hub) do(ctx context.Context, task func()) error {
	done := make(chan struct{})
	h.mu.Lock()
	h.tasks = append(h.tasks, func() { task(); close(done) })
	h.mu.Unlock()
	kick(h.kickTail)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.ctx.Done():
		return stream.Errorf(stream.Overloaded, "this gateway is shutting down; connect again")
	}
}

// kick wakes who waits on c, or will.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
