package subscriptions_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/stream"
	"sluice/internal/subscriptions"
)

// memoryLog is a replicated log in memory, with the rule of the real one: the
// highest revision wins, of those the first. Each store has a replica of it,
// which reads on when it syncs or writes.
type memoryLog struct {
	mu      sync.Mutex
	entries []stream.Entry // those that won, in order
	newest  map[string]int64
	fail    error                             // what every call answers
	before  func(entity string, value []byte) // called before a write, without the lock
}

func newMemoryLog() *memoryLog { return &memoryLog{newest: map[string]int64{}} }

type replica struct {
	log   *memoryLog
	state stream.State
	read  int
	mu    sync.Mutex
}

func (r *replica) Sync(context.Context) error {
	r.log.mu.Lock()
	err, entries := r.log.fail, r.log.entries
	r.log.mu.Unlock()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; r.read < len(entries); r.read++ {
		r.state.Apply(entries[r.read])
	}
	return nil
}

func (r *replica) Write(ctx context.Context, entity string, seen int64, value []byte) (bool, error) {
	if before := r.log.before; before != nil {
		before(entity, value)
	}
	r.log.mu.Lock()
	if r.log.fail != nil {
		defer r.log.mu.Unlock()
		return false, r.log.fail
	}
	won := r.log.newest[entity] == seen
	if won {
		r.log.newest[entity] = seen + 1
		r.log.entries = append(r.log.entries, stream.Entry{Entity: entity, Revision: seen + 1, Value: bytes.Clone(value)})
	}
	r.log.mu.Unlock()
	return won, r.Sync(ctx)
}

func (r *replica) Partition(entity string) int32 { return int32(len(entity) % 4) }

// cluster is what the stores ask of Kafka: each partition has the offsets 10 to
// 110, and the one at half past one is 60.
type cluster struct {
	mu        sync.Mutex
	layouts   []stream.Layout
	committed map[string][]stream.GroupOffset
	fail      error
}

func (k *cluster) Layouts(_ context.Context, p stream.Pattern) ([]stream.Layout, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var found []stream.Layout
	for _, l := range k.layouts {
		if p.Match(l.Stream) {
			found = append(found, l)
		}
	}
	return found, k.fail
}

func (k *cluster) Bounds(_ context.Context, ps []stream.Partition) ([]stream.Bounds, error) {
	list := make([]stream.Bounds, len(ps))
	for i := range list {
		list[i] = stream.Bounds{Begin: 10, End: 110 + int64(ps[i].Number)}
	}
	return list, k.fail
}

func (k *cluster) OffsetsAt(_ context.Context, ps []stream.Partition, _ time.Time) ([]int64, error) {
	list := make([]int64, len(ps))
	for i := range list {
		list[i] = 60
	}
	return list, k.fail
}

func (k *cluster) Committed(_ context.Context, group string) ([]stream.GroupOffset, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.committed[group], k.fail
}

// filters takes every filter but "bad".
type filters struct{}

func (filters) Compile(text string) (stream.Filter, error) {
	if text == "bad" {
		return nil, stream.Errorf(stream.InvalidRequest, "the filter is bad at 1:1")
	}
	return nil, nil
}

// sender notes what it is to send.
type sender struct {
	sent   []*stream.Delivery
	answer stream.Attempt
}

func (s *sender) Send(_ context.Context, d *stream.Delivery) stream.Attempt {
	s.sent = append(s.sent, d)
	return s.answer
}

// world is some gateways on one log.
type world struct {
	log    *memoryLog
	kafka  *cluster
	sender *sender
	out    *bytes.Buffer // what is logged

	most func(principal string) int // subscriptions of one owner; nil: any number
}

func newWorld() *world {
	return &world{
		log: newMemoryLog(), sender: &sender{}, out: &bytes.Buffer{},
		kafka: &cluster{
			committed: map[string][]stream.GroupOffset{},
			layouts: []stream.Layout{
				{Stream: "logs.a", TopicID: "t1", Partitions: 1},
				{Stream: "orders.eu", TopicID: "t2", Partitions: 2},
				{Stream: "orders.us", TopicID: "t3", Partitions: 1},
				{Stream: "x.dead-letter", TopicID: "t4", Partitions: 2},
			},
		},
	}
}

// gateway gives another store on the log.
func (w *world) gateway(tb testing.TB, keys ...[]byte) *subscriptions.Store {
	tb.Helper()
	s, err := w.open(keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (w *world) open(keys ...[]byte) (*subscriptions.Store, error) {
	return subscriptions.New(subscriptions.Options{
		Log:     slog.New(slog.NewTextHandler(w.out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Open:    func(state stream.State) subscriptions.Log { return &replica{log: w.log, state: state} },
		Streams: w.kafka, Offsets: w.kafka, Filters: filters{}, Sender: w.sender, Keys: keys, Most: w.most,
		CheckURL: func(_ context.Context, url string) error {
			if strings.Contains(url, "10.0.0.1") {
				return stream.Errorf(stream.InvalidRequest, "the endpoint's url leads to a private network")
			}
			if strings.Contains(url, "broken") {
				return errors.New("resolver fell over")
			}
			return nil
		},
		Mark: func(o stream.GroupOffset, l stream.Layout) (int64, bool) {
			topic, generation, _ := strings.Cut(o.Metadata, "/")
			return int64(len(generation)), topic == l.TopicID // one stroke for each
		},
	})
}

// minimal is the least that a body has to hold, without its last brace.
const minimal = `{"streams":"orders.*","endpoint":{"url":"https://app.example/hooks"}`

func create(tb testing.TB, s *subscriptions.Store, id, more string) *stream.Subscription {
	tb.Helper()
	sub, err := s.Create(tb.Context(), []byte(minimal+`,"id":"`+id+`"`+more+"}"))
	if err != nil {
		tb.Fatal(err)
	}
	return sub
}

// wantCode fails unless the error has the code.
func wantCode(tb testing.TB, err error, code stream.Code) {
	tb.Helper()
	if stream.CodeOf(err) != code {
		tb.Fatalf("got %v, want %s", err, code)
	}
}

// pass lets the time of a synctest bubble pass.
func pass(d time.Duration) { <-time.After(d) }
