// Package groups lets readers over HTTP be members of Kafka consumer groups:
// it keeps a capped pool of consumers, finds the streams of each member's
// pattern, formats what a member is given, and knows what was written and may
// be committed. It also commits positions for members that do so by hand,
// whichever gateway they are connected to.
//
// It shares nothing between readers, unlike package follow: each member costs a
// consumer of its own. It speaks neither HTTP nor Kafka itself.
package groups

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// Defaults and bounds.
const (
	defaultMembers = 50
	maxGroupID     = 249                    // bytes, as for topics
	watchInterval  = time.Second            // between looks for new streams, and streams made anew
	watchTimeout   = 5 * time.Second        // for one look
	retryFull      = 5 * time.Second        // asked of who found the pool full
	pollInterval   = 100 * time.Millisecond // how long a member waits for an event, and with it who closes it
	revokeGrace    = time.Second            // how long a rebalance waits for a write under way
	closeTimeout   = 5 * time.Second        // how long Close waits for Kafka
)

// ownMark is part of the ids that belong to the gateway itself.
var ownMark = stream.Topics{}.Internal("")

// Options is what a Groups needs.
type Options struct {
	Kafka      Kafka
	Offsets    Offsets
	Open       func(Opening) (Consumer, error)
	Members    int // how many at a time; 0: 50
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Groups is the pool of members.
type Groups struct {
	o       Options
	log     *slog.Logger
	metrics *metrics

	mu       sync.Mutex
	taken    int // places in the pool; a member that closes keeps its own until its consumer is gone
	members  map[*Member]struct{}
	draining bool
	drain    chan struct{} // closed by Drain

	all      stream.Pattern // selects every stream
	known    []stream.Layout
	stop     context.CancelFunc
	ctx      context.Context // of the look-out and the members
	running  sync.WaitGroup
	watching bool
}

// New makes an empty pool.
func New(o Options) *Groups {
	if o.Members == 0 {
		o.Members = defaultMembers
	}
	all, _ := stream.ParsePattern("*") // cannot fail
	ctx, stop := context.WithCancel(context.Background())
	return &Groups{
		o: o, log: o.Log.With(slog.String("component", "groups")), metrics: newMetrics(o.Registerer),
		members: map[*Member]struct{}{}, drain: make(chan struct{}), all: all, ctx: ctx, stop: stop,
	}
}

// Join makes a reader a member of a group. It returns before Kafka has given
// it partitions. Errors: InvalidRequest for a group id or a start that cannot
// be; UnknownStream for a plain id that does not exist; Overloaded when the pool
// is full or the gateway is stopping; KafkaUnavailable.
func (g *Groups) Join(ctx context.Context, o stream.Membership, f stream.Frames) (*Member, error) {
	if err := check(o); err != nil {
		return nil, err
	}
	if err := g.take(); err != nil {
		return nil, err
	}
	m, err := g.join(ctx, o, f)
	if err != nil {
		g.release(nil)
		return nil, err
	}
	return m, nil
}

func (g *Groups) join(ctx context.Context, o stream.Membership, f stream.Frames) (*Member, error) {
	layouts, err := g.o.Kafka.Layouts(ctx, o.Pattern)
	if err != nil {
		return nil, err
	}
	if err := missing(o.Pattern, layouts); err != nil {
		return nil, err
	}
	begin, err := g.begin(ctx, o, layouts)
	if err != nil {
		return nil, err
	}
	m := newMember(g, o, f)
	opening := Opening{Group: o.Group, Events: (*receiver)(m), Begin: begin}
	if o.AutoCommit {
		opening.CommitEvery = o.Interval
	}
	if m.consumer, err = g.o.Open(opening); err != nil {
		return nil, err
	}
	m.layouts, m.fresh = layouts, true
	g.add(m)
	return m, nil
}

// take takes a place in the pool.
func (g *Groups) take() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return &stream.Error{Code: stream.Overloaded, Message: "the gateway is stopping; connect again", RetryAfter: retryFull}
	case g.taken >= g.o.Members:
		g.metrics.refused.Inc()
		e := stream.Errorf(stream.Overloaded, "this gateway has %d readers in consumer groups already, and takes no more (limits.group_members); try again later or at another gateway, or read without group=, which has no such limit", g.o.Members)
		e.RetryAfter = retryFull
		return e
	}
	g.taken++
	return nil
}

// add starts a member, and with the first one the look-out for streams.
func (g *Groups) add(m *Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members[m] = struct{}{}
	g.metrics.members.Set(float64(len(g.members)))
	if !g.watching {
		g.watching = true
		g.running.Go(g.watch)
	}
	g.running.Go(func() { m.run(g.ctx) })
}

// release gives a place back, that of a member that is gone, if it was one.
func (g *Groups) release(m *Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken--
	delete(g.members, m)
	g.metrics.members.Set(float64(len(g.members)))
}

// watch looks once a second what the members' streams are now.
func (g *Groups) watch() {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-tick.C:
		}
		g.look()
	}
}

// look asks once for each pattern.
func (g *Groups) look() {
	g.mu.Lock()
	members := slices.Collect(maps.Keys(g.members))
	g.mu.Unlock()
	found := map[string][]stream.Layout{}
	for _, m := range members {
		pattern := m.membership.Pattern
		layouts, asked := found[pattern.Key()]
		if !asked {
			ctx, cancel := context.WithTimeout(g.ctx, watchTimeout)
			var err error
			if layouts, err = g.o.Kafka.Layouts(ctx, pattern); err != nil {
				layouts = nil
				g.log.Debug("no look for new streams", slog.Any("error", err))
			} else if layouts == nil {
				layouts = []stream.Layout{}
			}
			cancel()
			found[pattern.Key()] = layouts
		}
		if layouts != nil {
			m.offer(layouts)
		}
	}
}

// Commit makes a position a group's. Streams of the position that are gone, or
// were made anew since, are passed over: their offsets mean nothing any more.
// Errors: InvalidRequest for a bad group id or a position that knows none of
// the streams there are; Forbidden; GroupActive; KafkaUnavailable.
func (g *Groups) Commit(ctx context.Context, group string, p stream.Position) error {
	if err := CheckGroup(group); err != nil {
		return err
	}
	if p.Streams() == 0 {
		return nil // a member that was given nothing has such a position
	}
	layouts, err := g.streams(ctx, p)
	if err != nil {
		return err
	}
	if len(layouts) == 0 {
		return stream.Errorf(stream.InvalidRequest, "the position knows none of the streams there are: they were deleted, or made anew; nothing was committed")
	}
	if c := stream.CallerOf(ctx); c != nil {
		for _, l := range layouts {
			if !c.May(stream.ActionSubscribe, l.Stream) {
				return stream.Errorf(stream.Forbidden, "%s may not subscribe to all streams of the position, as no rule of the gateway allows it; nothing was committed", c.Name)
			}
		}
	}
	err = g.o.Offsets.Commit(ctx, group, layouts, p)
	g.metrics.commits.WithLabelValues(outcome(err)).Inc()
	return err
}

// streams gives those that a position knows. Kafka is asked only where what
// was found last does not have them all. A stream made anew since then does no
// harm: a commit carries the topic's id.
func (g *Groups) streams(ctx context.Context, p stream.Position) ([]stream.Layout, error) {
	g.mu.Lock()
	layouts := among(g.known, p)
	g.mu.Unlock()
	if len(layouts) == p.Streams() {
		return layouts, nil
	}
	known, err := g.o.Kafka.Layouts(ctx, g.all)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.known = known
	g.mu.Unlock()
	return among(known, p), nil
}

func among(layouts []stream.Layout, p stream.Position) []stream.Layout {
	var found []stream.Layout
	for _, l := range layouts {
		if _, known := p.Find(l); known == stream.KnownWell {
			found = append(found, l)
		}
	}
	return found
}

// Drain ends all members: their next call of Next gives io.EOF. No more are
// taken.
func (g *Groups) Drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.draining {
		g.draining = true
		close(g.drain)
	}
}

// Close drains, and waits until all consumers have left their groups.
func (g *Groups) Close() {
	g.Drain()
	g.stop()
	g.running.Wait()
}

// CheckGroup says whether a client may use a group id: 1 to 249 bytes of UTF-8
// without control characters, not one of the gateway's own. The error's code is
// InvalidRequest.
func CheckGroup(id string) error {
	switch {
	case id == "" || len(id) > maxGroupID:
		return stream.Errorf(stream.InvalidRequest, "a group id has 1 to %d bytes", maxGroupID)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return stream.Errorf(stream.InvalidRequest, "a group id is text in UTF-8, without control characters")
	case strings.Contains(id, ownMark):
		return stream.Errorf(stream.InvalidRequest, "%q is reserved for the gateway's own groups", ownMark)
	}
	return nil
}

func check(o stream.Membership) error {
	if err := CheckGroup(o.Group); err != nil {
		return err
	}
	if o.Partition != stream.AnyPartition || o.Start.Kind == stream.FromOffset {
		return stream.Errorf(stream.InvalidRequest, "a group shares the partitions out by itself: leave out partition, or read without group")
	}
	return nil
}

func missing(p stream.Pattern, layouts []stream.Layout) error {
	ids, _ := p.IDs()
	for _, id := range ids {
		if !slices.ContainsFunc(layouts, func(l stream.Layout) bool { return l.Stream == id }) {
			return stream.Errorf(stream.UnknownStream, "the stream %s does not exist", id)
		}
	}
	return nil
}
