package httpapi_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// fakeRevocations says what callers may read now.
type fakeRevocations struct {
	mu    sync.Mutex
	reads stream.Pattern
	joins stream.Pattern
	tell  func()
}

func (f *fakeRevocations) Still(*stream.Caller) stream.Rights {
	f.mu.Lock()
	defer f.mu.Unlock()
	return stream.Rights{Subscribe: f.reads, JoinGroups: f.joins}
}

func (f *fakeRevocations) Watch(tell func()) { f.tell = tell }

func (f *fakeRevocations) set(reads stream.Pattern) {
	f.mu.Lock()
	f.reads = reads
	f.mu.Unlock()
	f.tell()
}

// Open streams end, as when a token does, for those who may not read them any
// more, and for nobody else.
func TestStreamsEndWithTheRightToReadThem(t *testing.T) {
	for name, tc := range map[string]struct {
		request, headers string
		reads            string // "": nothing
		ends             bool
	}{
		"all is gone":              {"GET /streams/mine/events", asSubscriber, "", true},
		"the stream is gone":       {"GET /streams/mine/events", asSubscriber, "mine.*", true},
		"others are gone":          {"GET /streams/mine/events", asSubscriber, "mine", false},
		"some of a pattern's":      {"GET /streams/*/events", asSubscriber, "mine", true},
		"nothing has changed":      {"GET /streams/*/events", asSubscriber, "mine,mine.*", false},
		"by a token":               {"GET /streams/mine/events?access_token=short-subscriber", "X-Request-Id: 1", "other", true},
		"by a token, nothing":      {"GET /streams/mine/events?access_token=short-subscriber", "X-Request-Id: 1", "mine,mine.*", false},
		"in a group":               {"GET /streams/mine/events?group=mine", asSubscriber, "other", true},
		"in a group that is left":  {"GET /streams/mine/events?group=mine", asSubscriber, "mine,mine.*", false},
		"the group is gone":        {"GET /streams/mine/events?group=mine.gone", asSubscriber, "mine,mine.*", true},
		"one of two is not theirs": {"GET /streams/mine,mine.a/events", asSubscriber, "mine", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var reads stream.Pattern
			if tc.reads != "" {
				reads = patternOf(t, tc.reads)
			}
			f := &fakeRevocations{reads: patternOf(t, "mine,mine.*"), joins: patternOf(t, "mine,mine.*")}
			g, _ := withTokens(t, func(o *httpapi.Options) { o.Revocations = f })
			follower := newFollower()
			g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) { return follower, nil }
			g.groups.join = func(context.Context, stream.Membership, stream.Frames) (httpapi.Follower, error) {
				return follower, nil
			}
			done := make(chan reply, 1)
			go func() { done <- g.do(t, tc.request, "", tc.headers) }()
			follower.awaitAsked(t)
			f.joins = patternOf(t, "mine")
			f.set(reads)
			if !tc.ends {
				follower.given <- []byte("data: more\n\n")
				follower.fail <- context.DeadlineExceeded // ends it otherwise
			}
			res := <-done
			if ended := strings.HasSuffix(res.body, "event: end\ndata: {\"reason\":\"expired\"}\n\n"); ended != tc.ends {
				t.Errorf("got %q", res.body)
			}
		})
	}
}

// Rights that change between the question and the first event are not missed.
func TestAStreamThatOpensTooLateEndsAtOnce(t *testing.T) {
	f := &fakeRevocations{reads: patternOf(t, "mine,mine.*")}
	g, _ := withTokens(t, func(o *httpapi.Options) { o.Revocations = f })
	g.feeds.follow = func(context.Context, stream.Reading, stream.Frames) (httpapi.Follower, error) {
		f.set(patternOf(t, "other"))
		return newFollower(), nil
	}
	if res := g.do(t, "GET /streams/mine/events", "", asSubscriber); !strings.HasSuffix(res.body, "{\"reason\":\"expired\"}\n\n") {
		t.Errorf("got %q", res.body)
	}
}

// awaitAsked returns when the follower was asked for events.
func (f *fakeFollower) awaitAsked(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		f.mu.Lock()
		asked := len(f.idles) > 0
		f.mu.Unlock()
		switch {
		case asked:
			return
		case time.Now().After(end):
			t.Error("nobody asks for events")
			return
		}
		<-time.After(time.Millisecond)
	}
}
