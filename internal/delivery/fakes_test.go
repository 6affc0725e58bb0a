package delivery_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/delivery"
	"sluice/internal/stream"
)

// broker is Kafka as the engine sees it: pages, layouts and offsets.
type broker struct {
	mu        sync.Mutex
	topics    map[string]*topic
	made      int
	changed   chan struct{}
	committed map[string]map[stream.Partition]stream.GroupOffset
	commits   int
	commitErr func() error
	onCommit  func(group string, o stream.GroupOffset)
	pages     int
	delay     func() time.Duration // of an answer, after it was made up; nil: none
}

type topic struct {
	id    string
	parts []partition
}

type partition struct {
	begin, end int64
	records    []stream.Record // by offset; some offsets hold none
}

func newBroker() *broker {
	return &broker{topics: map[string]*topic{}, changed: make(chan struct{}), committed: map[string]map[stream.Partition]stream.GroupOffset{}}
}

func (b *broker) create(id string, partitions int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	b.topics[id] = &topic{id: fmt.Sprintf("topic-%d", b.made), parts: make([]partition, partitions)}
	b.wake()
}

func (b *broker) topicID(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.topics[id]; t != nil {
		return t.id
	}
	return ""
}

func (b *broker) wake() { close(b.changed); b.changed = make(chan struct{}) }

// publish stores a record; skip offsets before it hold none.
func (b *broker) publish(id string, n int, r stream.Record, skip int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.topics[id].parts[n]
	r.Stream, r.Partition, r.Offset = id, int32(n), p.end+skip
	if r.Timestamp.IsZero() {
		r.Timestamp = time.Now().UTC().Truncate(time.Millisecond)
	}
	p.records = append(p.records, r)
	p.end = r.Offset + 1
	b.wake()
	return r.Offset
}

// truncate removes the records from an offset on.
func (b *broker) truncate(id string, n int, end int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.topics[id].parts[n]
	p.records = slices.DeleteFunc(p.records, func(r stream.Record) bool { return r.Offset >= end })
	p.end = end
	b.wake()
}

func (b *broker) Layouts(_ context.Context, p stream.Pattern) ([]stream.Layout, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.layouts(p), nil
}

func (b *broker) layouts(p stream.Pattern) []stream.Layout {
	var ls []stream.Layout
	for id, t := range b.topics {
		if p.Match(id) {
			ls = append(ls, stream.Layout{Stream: id, TopicID: t.id, Partitions: len(t.parts)})
		}
	}
	slices.SortFunc(ls, func(x, y stream.Layout) int { return strings.Compare(x.Stream, y.Stream) })
	return ls
}

func (b *broker) Page(ctx context.Context, r stream.PageRequest) (stream.PageAnswer, error) {
	var timeout <-chan time.Time
	if r.Wait > 0 {
		t := time.NewTimer(r.Wait)
		defer t.Stop()
		timeout = t.C
	}
	for {
		b.mu.Lock()
		b.pages++
		a, err := b.page(r)
		changed := b.changed
		b.mu.Unlock()
		if b.delay != nil {
			select {
			case <-time.After(b.delay()):
			case <-ctx.Done():
				return stream.PageAnswer{}, ctx.Err()
			}
		}
		if err != nil || r.Wait == 0 || len(a.Records)+len(a.Gaps) > 0 || a.More {
			return a, err
		}
		r.Start = stream.Start{Kind: stream.FromPosition, Position: a.Next}
		select {
		case <-changed:
		case <-timeout:
			return a, nil
		case <-ctx.Done():
			return stream.PageAnswer{}, ctx.Err()
		}
	}
}

func (b *broker) page(r stream.PageRequest) (stream.PageAnswer, error) {
	ids, _ := r.Pattern.IDs()
	for _, id := range ids {
		if b.topics[id] == nil {
			return stream.PageAnswer{}, stream.Errorf(stream.UnknownStream, "there is no stream %q", id)
		}
	}
	var a stream.PageAnswer
	bytes := 0
	for _, l := range b.layouts(r.Pattern) {
		for n := range l.Partitions {
			if r.Partition >= 0 && int(r.Partition) != n {
				continue
			}
			p := &b.topics[l.Stream].parts[n]
			from, to := p.begin, p.end
			if r.Start.Kind == stream.FromLatest {
				from = p.end
			} else if at, known := offsetIn(r.Start.Position, l, n); known == stream.KnownWell && at >= 0 {
				from = at
			}
			id := stream.Partition{Stream: l.Stream, Number: int32(n)}
			if from > p.end || from < p.begin {
				to := min(max(from, p.begin), p.end)
				a.Gaps = append(a.Gaps, stream.Gap{Partition: id, From: from, To: to})
				from = to
			}
			if r.Until != nil {
				until, _ := offsetIn(*r.Until, l, n)
				to = min(to, max(until, 0))
			}
			first, _ := slices.BinarySearchFunc(p.records, from, func(r stream.Record, at int64) int { return cmp.Compare(r.Offset, at) })
			for _, rec := range p.records[first:] {
				if rec.Offset >= to {
					break
				}
				if len(a.Records) >= r.Records || bytes >= r.Bytes && len(a.Records) > 0 {
					to = rec.Offset
					a.More = true
					break
				}
				bytes += len(rec.Value) + len(rec.Key)
				if r.Filter == nil || r.Filter.Match(&rec) {
					a.Records = append(a.Records, rec)
				}
			}
			a.Next.Set(l, int32(n), max(from, to))
		}
	}
	return a, nil
}

func offsetIn(at stream.Position, l stream.Layout, n int) (int64, stream.Known) {
	offsets, known := at.Find(l)
	if n >= len(offsets) {
		return -1, known
	}
	return offsets[n], known
}

func (b *broker) Committed(_ context.Context, group string) ([]stream.GroupOffset, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var os []stream.GroupOffset
	for _, o := range b.committed[group] {
		o.TopicID = ""
		os = append(os, o)
	}
	return os, nil
}

func (b *broker) Commit(_ context.Context, group string, os []stream.GroupOffset) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.commitErr != nil {
		if err := b.commitErr(); err != nil {
			return err
		}
	}
	b.commits++
	if b.committed[group] == nil {
		b.committed[group] = map[stream.Partition]stream.GroupOffset{}
	}
	if slices.ContainsFunc(os, func(o stream.GroupOffset) bool { return o.TopicID == "" }) {
		return errors.New("the id of a topic is missing") // as kafka.Offsets says
	}
	for _, o := range os {
		if b.onCommit != nil {
			b.onCommit(group, o)
		}
		b.committed[group][o.Partition] = o
	}
	return nil
}

func (b *broker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.commits
}

func (b *broker) commitOf(group, id string, n int) stream.GroupOffset {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.committed[group][stream.Partition{Stream: id, Number: int32(n)}]
}

// world is a broker, one endpoint for all subscriptions, and engines.
type world struct {
	t      *testing.T
	broker *broker
	answer func(ctx context.Context, d *stream.Delivery) stream.Attempt

	mu       sync.Mutex
	got      []*stream.Delivery // all attempts
	good     []*stream.Delivery // delivered
	letters  []stream.Message
	deadErr  func() error
	paused   []string
	disallow bool
	active   int
	most     int
}

func newWorld(t *testing.T) *world {
	return &world{t: t, broker: newBroker(), answer: always(stream.DeliveryDone, 200)}
}

// answers changes what the endpoint answers from now on.
func (w *world) answers(f func(context.Context, *stream.Delivery) stream.Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

func (w *world) mostAtOnce() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

func (w *world) deliveries() []*stream.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.good)
}

func always(o stream.DeliveryOutcome, status int) func(context.Context, *stream.Delivery) stream.Attempt {
	return func(context.Context, *stream.Delivery) stream.Attempt {
		return stream.Attempt{At: time.Now(), Outcome: o, Status: status}
	}
}

func (w *world) Send(ctx context.Context, d *stream.Delivery) stream.Attempt {
	w.mu.Lock()
	w.got = append(w.got, d)
	w.active++
	w.most = max(w.most, w.active)
	answer := w.answer
	w.mu.Unlock()
	a := answer(ctx, d)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active--
	if a.Outcome == stream.DeliveryDone {
		w.good = append(w.good, d)
	}
	return a
}

func (w *world) Write(_ context.Context, id string, m stream.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deadErr != nil {
		if err := w.deadErr(); err != nil {
			return err
		}
	}
	m.Topic = id
	w.letters = append(w.letters, m)
	if w.broker.topicID(id) != "" {
		r := stream.Record{Key: m.Key, Value: m.Value, Headers: m.Headers}
		w.broker.publish(id, 0, r, 0)
	}
	return nil
}

func (w *world) Pause(_ context.Context, id string, revision int64, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = append(w.paused, fmt.Sprintf("%s/%d/%s", id, revision, reason))
	return nil
}

func (w *world) allowed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.disallow
}

func (w *world) options() delivery.Options {
	return delivery.Options{
		Sender: w, Pages: w.broker, Offsets: w.broker, DeadLetters: w, Pauser: w,
		Allowed: w.allowed,
		Filter:  func(text string) (stream.Filter, error) { return keyFilter(text), nil },
		Pause: func(r stream.Retry, failed int) time.Duration {
			d := float64(r.Initial)
			for range failed - 1 {
				d *= max(r.Multiplier, 1)
			}
			return time.Duration(min(d, float64(r.Max)))
		},
		ID: func(d *stream.Delivery) string {
			r := d.Records
			return fmt.Sprintf("%s/%s/%d/%d-%d", d.Subscription.ID, d.TopicID, r[0].Partition, r[0].Offset, r[len(r)-1].Offset)
		},
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
}

// engine makes an engine that is closed at the test's end.
func (w *world) engine(change ...func(*delivery.Options)) *delivery.Engine {
	o := w.options()
	for _, f := range change {
		f(&o)
	}
	e := delivery.New(o)
	w.t.Cleanup(e.Close)
	return e
}

func (w *world) offsets() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var os []int64
	for _, d := range w.good {
		for _, r := range d.Records {
			os = append(os, r.Offset)
		}
	}
	return os
}

func (w *world) attempts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.got)
}

// keyFilter selects the records whose keys do not begin with its text.
type keyFilter string

func (f keyFilter) Match(r *stream.Record) bool { return !strings.HasPrefix(string(r.Key), string(f)) }
func (f keyFilter) String() string              { return string(f) }

func subscription(change ...func(*stream.Subscription)) *stream.Subscription {
	p, _ := stream.ParsePattern("orders")
	s := &stream.Subscription{
		ID: "s", Revision: 1, Group: "s", Streams: p, Ordering: stream.OrderingKey, MaxInFlight: 10,
		Batch: stream.Batch{MaxRecords: 1}, Timeout: 15 * time.Second, State: stream.StateActive,
		Retry:       stream.Retry{Initial: 5 * time.Second, Max: time.Hour, Multiplier: 4},
		OnExhausted: stream.OnExhaustedDeadLetter, DeadLetter: "s.dead-letter",
	}
	for _, f := range change {
		f(s)
	}
	return s
}

func key(k string) stream.Record {
	return stream.Record{Key: []byte(k), Value: []byte(`{"schema":"Order:1","data":1}`), Data: []byte("1"), Schema: "Order:1"}
}

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

// pass lets fake time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

var errBroken = errors.New("broken")
