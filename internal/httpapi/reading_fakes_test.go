package httpapi_test

import (
	"context"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

type fakeFeeds struct {
	follow func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error)
	page   func(context.Context, stream.PageRequest) (stream.PageAnswer, error)
	end    func(context.Context, stream.Pattern, int32) (stream.Position, error)
}

func (f *fakeFeeds) Follow(ctx context.Context, r stream.Reading, frames stream.Frames) (httpapi.Follower, error) {
	if f.follow == nil {
		return nil, errUnexpected
	}
	return f.follow(ctx, r, frames)
}

func (f *fakeFeeds) Page(ctx context.Context, req stream.PageRequest) (stream.PageAnswer, error) {
	if f.page == nil {
		return stream.PageAnswer{}, errUnexpected
	}
	return f.page(ctx, req)
}

func (f *fakeFeeds) End(ctx context.Context, p stream.Pattern, partition int32) (stream.Position, error) {
	if f.end == nil {
		return stream.Position{}, errUnexpected
	}
	return f.end(ctx, p, partition)
}

type fakeGroups struct {
	join   func(context.Context, stream.Membership, stream.Frames) (httpapi.Follower, error)
	commit func(context.Context, string, stream.Position) error
}

func (f *fakeGroups) Join(ctx context.Context, m stream.Membership, frames stream.Frames) (httpapi.Follower, error) {
	if f.join == nil {
		return nil, errUnexpected
	}
	return f.join(ctx, m, frames)
}

func (f *fakeGroups) Commit(ctx context.Context, group string, p stream.Position) error {
	if f.commit == nil {
		return errUnexpected
	}
	return f.commit(ctx, group, p)
}

// fakeFilters compiles any text but "bad".
type fakeFilters struct{}

func (*fakeFilters) Compile(text string) (stream.Filter, error) {
	if text == "bad" {
		return nil, stream.Errorf(stream.InvalidRequest, "the filter ends too early")
	}
	return fakeFilter(text), nil
}

type fakeFilter string

func (fakeFilter) Match(*stream.Record) bool { return true }
func (f fakeFilter) String() string          { return string(f) }

// fakeFollower gives what a test puts in: each push is what one call of Next
// gives.
type fakeFollower struct {
	given chan []byte
	fail  chan error

	mu       sync.Mutex
	position string
	closed   int
	idles    []time.Duration
}

func newFollower() *fakeFollower {
	return &fakeFollower{given: make(chan []byte, 100), fail: make(chan error, 1), position: "p1.start"}
}

func (f *fakeFollower) Next(ctx context.Context, idle time.Duration) ([]byte, error) {
	f.mu.Lock()
	f.idles = append(f.idles, idle)
	f.mu.Unlock()
	select { // what was given goes first
	case b := <-f.given:
		return b, nil
	default:
	}
	timer := time.NewTimer(idle)
	defer timer.Stop()
	select {
	case b := <-f.given:
		return b, nil
	case err := <-f.fail:
		return nil, err
	case <-timer.C:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeFollower) Position() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []byte(f.position)
}

func (f *fakeFollower) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
}

func (f *fakeFollower) moveTo(position string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position = position
}

func (f *fakeFollower) wantClosed(tb testing.TB) {
	tb.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed != 1 {
		tb.Errorf("the follower was closed %d times", f.closed)
	}
}

// following makes the gateway give that follower, and keeps what was asked.
func (g *gateway) following(f httpapi.Follower) *stream.Reading {
	asked := new(stream.Reading)
	g.feeds.follow = func(_ context.Context, r stream.Reading, _ stream.Frames) (httpapi.Follower, error) {
		*asked = r
		return f, nil
	}
	return asked
}

// framesOf gives the frames of a view.
func framesOf(tb testing.TB, view string) stream.Frames {
	tb.Helper()
	g := newGateway(tb, nil)
	var frames stream.Frames
	g.feeds.follow = func(_ context.Context, _ stream.Reading, f stream.Frames) (httpapi.Follower, error) {
		frames = f
		ended := newFollower()
		ended.fail <- io.EOF
		return ended, nil
	}
	g.do(tb, "GET /streams/s/events?view="+view, "")
	if frames == nil || frames.Name() != view {
		tb.Fatalf("no frames of view %s: %v", view, frames)
	}
	return frames
}

// positionAt is a position in stream s, partition 0.
func positionAt(offset int64) stream.Position {
	var p stream.Position
	p.Set(stream.Layout{Stream: "s", TopicID: "t", Partitions: 1}, 0, offset)
	return p
}

// offsetIn gives what positionAt was made of.
func offsetIn(tb testing.TB, p stream.Position) int64 {
	tb.Helper()
	offsets, known := p.Find(stream.Layout{Stream: "s", TopicID: "t", Partitions: 1})
	if known != stream.KnownWell || len(offsets) != 1 {
		tb.Fatalf("no position of ours: %v, %v", offsets, known)
	}
	return offsets[0]
}

// numbered is a record of stream s, partition 0, whose data is its offset.
func numbered(offset int64) stream.Record {
	data := []byte(strconv.FormatInt(offset, 10))
	return stream.Record{Stream: "s", Offset: offset, Timestamp: noon, Value: data, Data: data}
}
