package groups_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/groups"
	"sluice/internal/stream"
)

func wantCode(t *testing.T, err error, want stream.Code) {
	t.Helper()
	if got := stream.CodeOf(err); got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

// The pool is full until a member's consumer is gone.
func TestPoolIsCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{layouts: []stream.Layout{orders}}
		g := pool(t, w, func(o *groups.Options) { o.Members = 2 })
		m := join(t, g, membership(t, "orders"))
		join(t, g, membership(t, "orders"))
		_, err := g.Join(t.Context(), membership(t, "orders"), plain{})
		wantCode(t, err, stream.Overloaded)
		if !strings.Contains(err.Error(), "2 readers") || !strings.Contains(err.Error(), "limits.group_members") {
			t.Errorf("the message does not help: %v", err)
		}
		m.Close()
		synctest.Wait()
		join(t, g, membership(t, "orders"))
		_, err = g.Join(t.Context(), membership(t, "nowhere"), plain{})
		wantCode(t, err, stream.Overloaded)
	})
}

func TestWhoMayNotJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := pool(t, &world{layouts: []stream.Layout{orders}})
		for want, o := range map[stream.Code][]func(*stream.Membership){
			stream.InvalidRequest: {
				func(o *stream.Membership) { o.Group = "" },
				func(o *stream.Membership) { o.Group = strings.Repeat("g", 250) },
				func(o *stream.Membership) { o.Group = "a\x00b" },
				func(o *stream.Membership) { o.Group = "\xff" },
				func(o *stream.Membership) { o.Group = "prefix_sluice.workers" },
				func(o *stream.Membership) { o.Partition = 0 },
				func(o *stream.Membership) { o.Start.Kind = stream.FromOffset },
			},
			stream.UnknownStream: {
				func(o *stream.Membership) { o.Pattern, _ = stream.ParsePattern("orders,missing") },
			},
			"": {
				func(o *stream.Membership) { o.Pattern, _ = stream.ParsePattern("nothing.yet.*") },
				func(o *stream.Membership) { o.Group = "Grüße an alle" },
			},
		} {
			for n, change := range o {
				m := membership(t, "orders")
				change(&m)
				got, err := g.Join(t.Context(), m, plain{})
				if stream.CodeOf(err) != want {
					t.Errorf("%s %d: got %v", want, n, err)
				}
				if got != nil {
					got.Close()
				}
			}
		}
	})
}

// The streams of each pattern are looked for once a second, however many
// members have it.
func TestNewStreamsAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		g := pool(t, w)
		join(t, g, membership(t, "o*"))
		join(t, g, membership(t, "o*"))
		<-time.After(100 * time.Millisecond)
		w.mu.Lock()
		w.layouts, w.looks = []stream.Layout{orders}, 0
		w.mu.Unlock()
		<-time.After(1200 * time.Millisecond)
		synctest.Wait()
		for _, c := range w.consumers {
			c.mu.Lock()
			if d := cmp.Diff([]stream.Layout{orders}, c.set[len(c.set)-1]); d != "" {
				t.Errorf("streams (-want +got):\n%s", d)
			}
			c.mu.Unlock()
		}
		if w.looks != 1 {
			t.Errorf("%d looks, want 1", w.looks)
		}
	})
}

// Where a group begins that has committed nothing. In streams that it has read
// before, and in what came after the member joined, it is the beginning.
func TestBegin(t *testing.T) {
	read := stream.Layout{Stream: "read", TopicID: "R", Partitions: 1}
	grown := stream.Layout{Stream: "orders", TopicID: "A", Partitions: 3}
	anew := stream.Layout{Stream: "orders", TopicID: "B", Partitions: 2}
	var token, earlier stream.Position
	token.Set(orders, 1, 7)
	earlier.Set(anew, 0, 9)
	type answer struct {
		Offset  int64
		Earlier bool
	}
	none := answer{-1, false}
	for name, tc := range map[string]struct {
		start stream.Start
		want  []answer // orders/0, orders/1, orders/2 of grown, anew/0, read/0
	}{
		"latest":  {stream.Start{Kind: stream.FromLatest}, []answer{{100, false}, {101, false}, none, none, none}},
		"a time":  {stream.Start{Kind: stream.FromTime}, []answer{{50, false}, {51, false}, none, none, none}},
		"a token": {stream.Start{Kind: stream.FromPosition, Position: token}, []answer{none, {7, false}, none, none, none}},
		"a token of an earlier stream": {
			stream.Start{Kind: stream.FromPosition, Position: earlier},
			[]answer{{9, true}, none, none, none, none},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{
					layouts:   []stream.Layout{orders, read},
					committed: []stream.At{{Partition: stream.Partition{Stream: "read", Number: 0}, Offset: 3}},
				}
				o := membership(t, "*")
				o.Start = tc.start
				join(t, pool(t, w), o)
				var got []answer
				for _, q := range []struct {
					l stream.Layout
					p int32
				}{{orders, 0}, {orders, 1}, {grown, 2}, {anew, 0}, {read, 0}} {
					offset, earlier := w.consumers[0].Begin(q.l, q.p)
					got = append(got, answer{offset, earlier})
				}
				if d := cmp.Diff(tc.want, got); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{layouts: []stream.Layout{orders}}
		join(t, pool(t, w), membership(t, "*"))
		if w.consumers[0].Begin != nil {
			t.Error("earliest needs no Begin")
		}
	})
}

func TestCommit(t *testing.T) {
	w := &world{layouts: []stream.Layout{{Stream: "other", TopicID: "O", Partitions: 1}, orders}}
	g := pool(t, w)
	var p, gone stream.Position
	p.Set(orders, 0, 4)
	for range 2 { // the second time from what is known
		if err := g.Commit(t.Context(), "g", p); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Commit(t.Context(), "g", stream.Position{}); err != nil {
		t.Errorf("the position of a member that was given nothing: %v", err)
	}
	gone.Set(stream.Layout{Stream: "orders", TopicID: "Z"}, 0, 4)
	wantCode(t, g.Commit(t.Context(), "g", gone), stream.InvalidRequest)
	wantCode(t, g.Commit(t.Context(), "_sluice.x", p), stream.InvalidRequest)
	gone.Set(orders, 1, 4)
	if err := g.Commit(t.Context(), "g", gone); err != nil { // of two streams one is left
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"g orders", "g orders", "g orders"}, w.commits); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if w.looks != 3 {
		t.Errorf("%d looks at all streams, want 3", w.looks)
	}
}

// Who commits has to be allowed to read all streams of the position: else it
// could put the readers of others back, or on beyond what they have not read.
func TestCommitNeedsTheRightToRead(t *testing.T) {
	w := &world{layouts: []stream.Layout{{Stream: "other", TopicID: "O", Partitions: 1}, orders}}
	g := pool(t, w)
	may := func(r stream.Rights) context.Context {
		return stream.WithCaller(t.Context(), &stream.Caller{Principal: stream.Principal{Name: "token:a"}, Rights: r})
	}
	pattern := func(text string) stream.Pattern {
		p, err := stream.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var own, both stream.Position
	own.Set(orders, 0, 4)
	both.Set(orders, 0, 4)
	both.Set(w.layouts[0], 0, 1)
	reader := may(stream.Rights{Subscribe: pattern("orders"), Publish: pattern("*"), Manage: pattern("*")})
	wantCode(t, g.Commit(reader, "g", both), stream.Forbidden)
	wantCode(t, g.Commit(may(stream.Rights{Subscribe: pattern("other")}), "g", own), stream.Forbidden)
	if len(w.commits) > 0 {
		t.Errorf("what is refused was committed: %v", w.commits)
	}
	wantCode(t, g.Commit(reader, "g", own), "")
	wantCode(t, g.Commit(may(stream.Rights{Subscribe: pattern("*")}), "g", both), "")
}
