package follow_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/follow"
	"sluice/internal/stream"
)

// world is a cluster and a hub, within a bubble of fake time.
type world struct {
	*testing.T
	c   *cluster
	hub *follow.Hub
}

func bubble(t *testing.T, change func(*follow.Options), run func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(1)
		w := &world{T: t, c: c, hub: newHub(c, change)}
		defer w.hub.Close()
		run(w)
	})
}

func (w *world) reading(p string, start stream.Start) stream.Reading {
	return stream.Reading{Pattern: pattern(w, p), Partition: stream.AnyPartition, Start: start}
}

func (w *world) follow(r stream.Reading) *follow.Follower {
	w.Helper()
	f, err := w.hub.Follow(w.Context(), r, lines{})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(f.Close)
	return f
}

var (
	earliest = stream.Start{Kind: stream.FromEarliest}
	latest   = stream.Start{Kind: stream.FromLatest}
)

func from(p stream.Position) stream.Start {
	return stream.Start{Kind: stream.FromPosition, Position: p}
}

// frames gives what a follower is given until it is idle: "a/0:5" for a record,
// "a/0:5>9" for a gap.
func (w *world) frames(f *follow.Follower) []string {
	w.Helper()
	var all []string
	for {
		b, err := f.Next(w.Context(), 3*time.Second)
		if err != nil {
			w.Fatal(err)
		}
		if b == nil {
			return all
		}
		for line := range strings.Lines(string(b)) {
			v := strings.Fields(line)
			s := fmt.Sprintf("%s/%s:%s", v[1], v[2], v[3])
			if v[0] == "g" {
				s += ">" + v[4]
			}
			all = append(all, s)
		}
	}
}

func (w *world) want(f *follow.Follower, want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.frames(f)); diff != "" {
		w.Errorf("frames (-want +got):\n%s", diff)
	}
}

func (w *world) put(name string, n int32, records int) {
	for range records {
		w.c.put(name, n, false)
	}
}

// parsed is a follower's position.
func (w *world) parsed(f *follow.Follower) stream.Position {
	w.Helper()
	return position(w, string(f.Position()))
}

func TestEarliestReadsWhatIsThereAndGoesOn(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 2)
		f := w.follow(w.reading("a", earliest))
		w.want(f, "a/0:0", "a/0:1")
		w.put("a", 0, 1)
		w.want(f, "a/0:2")
	})
}

func TestLatestBeginsWithWhatComes(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 2)
		f := w.follow(w.reading("a", latest))
		w.put("a", 0, 1)
		w.want(f, "a/0:2")
		if w.c.reads != 0 {
			w.Errorf("%d pages were read for a follower at the tail", w.c.reads)
		}
	})
}

func TestTimeAndOffset(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 2)
		<-time.After(time.Minute)
		now := time.Now()
		w.put("a", 0, 2)
		w.want(w.follow(w.reading("a", stream.Start{Kind: stream.FromTime, Time: now})), "a/0:2", "a/0:3")
		r := w.reading("a", stream.Start{Kind: stream.FromOffset, Offset: 3})
		r.Partition = 0
		w.want(w.follow(r), "a/0:3")
		r.Start.Offset = 9
		w.want(w.follow(r), "a/0:9>4")
	})
}

func TestNewStreamsAndPartitionsAreReadFromTheirBeginning(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		f := w.follow(w.reading("*", latest))
		w.c.create("b", 1)
		w.put("b", 0, 1)
		w.want(f, "b/0:0")
		w.c.grow("a", 1)
		w.put("a", 1, 2)
		w.want(f, "a/1:0", "a/1:1")
	})
}

func TestRefusals(t *testing.T) {
	bubble(t, func(o *follow.Options) { o.Followers = 1 }, func(w *world) {
		w.c.create("a", 2)
		w.c.create("wide", 700)
		offset := stream.Start{Kind: stream.FromOffset}
		for _, c := range []struct {
			name string
			r    stream.Reading
			want stream.Code
			says string
		}{
			{"missing", w.reading("nope", latest), stream.UnknownStream, "nope"},
			{"one missing", w.reading("a,nope", latest), stream.UnknownStream, "nope"},
			{"partition", stream.Reading{Pattern: pattern(w, "a"), Partition: 2}, stream.InvalidRequest, "it has 2"},
			{"offset of all", w.reading("a", offset), stream.InvalidRequest, "partition="},
			{"offset of a pattern", stream.Reading{Pattern: pattern(w, "a*"), Partition: 0, Start: offset}, stream.InvalidRequest, "one stream"},
			{"wide", w.reading("*", latest), stream.PatternTooWide, "group="},
		} {
			_, err := w.hub.Follow(w.Context(), c.r, lines{})
			if stream.CodeOf(err) != c.want || !strings.Contains(err.Error(), c.says) {
				w.Errorf("%s: %v, want %s that says %q", c.name, err, c.want, c.says)
			}
		}
		f := w.follow(w.reading("b*", latest)) // waits for streams to come
		if _, err := w.hub.Follow(w.Context(), w.reading("a", latest), lines{}); stream.CodeOf(err) != stream.Overloaded {
			w.Errorf("one too many: %v", err)
		}
		f.Close()
		w.c.set(stream.Errorf(stream.KafkaUnavailable, "down"), false)
		if _, err := w.hub.Follow(w.Context(), w.reading("a", latest), lines{}); stream.CodeOf(err) != stream.KafkaUnavailable {
			w.Errorf("Kafka is away: %v", err)
		}
	})
}

func TestResumeInTheRingReadsNothing(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		f := w.follow(w.reading("a", latest))
		w.put("a", 0, 3)
		<-time.After(time.Second)
		b, err := f.Next(w.Context(), time.Second)
		if err != nil {
			w.Fatal(err)
		}
		first, _, _ := strings.Cut(string(b), "\n")
		g := w.follow(w.reading("a", from(position(w, strings.Fields(first)[5]))))
		w.want(g, "a/0:1", "a/0:2")
		w.want(w.follow(w.reading("a", from(w.parsed(g)))))
		if w.c.reads != 0 {
			w.Errorf("%d pages were read", w.c.reads)
		}
	})
}

func TestWhoFallsBehindReadsPages(t *testing.T) {
	bubble(t, func(o *follow.Options) { o.FeedBytes = 2000 }, func(w *world) {
		w.c.create("a", 1)
		f, g := w.follow(w.reading("a", latest)), w.follow(w.reading("a", latest))
		w.put("a", 0, 1)
		w.want(f, "a/0:0")
		w.want(g, "a/0:0")
		var want []string
		for i := range 200 {
			w.put("a", 0, 1)
			want = append(want, fmt.Sprintf("a/0:%d", i+1))
		}
		w.want(f, want...)
		w.want(g, want...)
		if w.c.reads == 0 {
			w.Error("nothing was read again: the ring kept more than it may")
		}
		w.put("a", 0, 1)
		w.want(g, "a/0:201")
	})
}

func TestAheadOfTheTailWaits(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.follow(w.reading("a", latest))
		w.c.set(nil, true)
		w.put("a", 0, 10)
		var p stream.Position
		p.Set(w.c.layouts(pattern(w, "a"))[0], 0, 5)
		f := w.follow(w.reading("a", from(p)))
		w.want(f)
		w.c.set(nil, false)
		w.want(f, "a/0:5", "a/0:6", "a/0:7", "a/0:8", "a/0:9")
	})
}

func TestBeyondTheEndIsAGapBack(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 10)
		var p stream.Position
		p.Set(w.c.layouts(pattern(w, "a"))[0], 0, 20)
		f := w.follow(w.reading("a", from(p)))
		w.want(f, "a/0:20>10")
		w.put("a", 0, 1)
		w.want(f, "a/0:10")
	})
}

func TestTruncatedUnderTheTail(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 10)
		f := w.follow(w.reading("a", latest))
		w.c.truncate("a", 0, 4)
		w.want(f, "a/0:10>4")
		w.put("a", 0, 1)
		w.want(f, "a/0:4")
	})
}

func TestRetentionUnderCatchUp(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 3)
		p := w.parsed(w.follow(w.reading("a", latest)))
		w.put("a", 0, 7)
		<-time.After(time.Minute) // the feed is gone
		w.c.expire("a", 0, 8)
		w.want(w.follow(w.reading("a", from(p))), "a/0:3>8", "a/0:8", "a/0:9")
	})
}

func TestMadeAnew(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 2)
		w.put("a", 0, 3)
		w.put("a", 1, 2)
		f := w.follow(w.reading("a", latest))
		before := string(f.Position())
		w.c.remove("a")
		w.want(f) // silent
		w.c.create("a", 1)
		w.put("a", 0, 1)
		b, err := f.Next(w.Context(), 3*time.Second)
		if err != nil {
			w.Fatal(err)
		}
		got := strings.Split(string(b), "\n")
		if len(got) < 2 || got[0] != "g a 0 3 0 "+before || !strings.HasPrefix(got[1], "g a 1 2 0 p1.") || strings.Contains(got[1], before) {
			w.Errorf("gaps:\n%s", b)
		}
		w.want(w.follow(w.reading("a", from(position(w, before)))), "a/0:3>0", "a/1:2>0", "a/0:0")
	})
}

func TestDeletedUnderCatchUpIsAGap(t *testing.T) {
	bubble(t, func(o *follow.Options) { o.CatchUpBytes = 1 }, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 5)
		f := w.follow(w.reading("a*", earliest))
		if b, err := f.Next(w.Context(), time.Second); err != nil || !strings.HasPrefix(string(b), "r a 0 0 ") {
			w.Fatalf("%q, %v", b, err)
		}
		w.c.remove("a")
		w.want(f, "a/0:1>5")
	})
}

func TestFilter(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		r := w.reading("a", earliest)
		r.Filter = every(3)
		w.put("a", 0, 4)
		f := w.follow(r)
		w.want(f, "a/0:0", "a/0:3")
		w.put("a", 0, 2)
		w.want(f)
		var want stream.Position
		want.Set(w.c.layouts(pattern(w, "a"))[0], 0, 6)
		if got := string(f.Position()); got != want.String() {
			w.Errorf("what the filter passed over did not move the position: %s, want %s", got, want)
		}
		w.put("a", 0, 1)
		w.want(f, "a/0:6")
	})
}
