package follow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/follow"
	"sluice/internal/stream"
)

// TestLookThatIsUnderWay opens a feed while a look is waiting for an answer
// that will know more than the feed does.
func TestLookThatIsUnderWay(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.follow(w.reading("*", latest))
		answer := make(chan struct{})
		w.c.mu.Lock()
		w.c.block = func(p stream.Pattern) <-chan struct{} {
			if p.String() == "*" {
				return answer
			}
			return nil
		}
		w.c.mu.Unlock()
		<-time.After(1500 * time.Millisecond)
		f := w.follow(w.reading("b*", latest))
		w.c.create("b", 1)
		w.put("b", 0, 1)
		close(answer)
		w.want(f, "b/0:0")
	})
}

// TestFoundButNotMeasured: a stream that was found and could not be asked about
// is not forgotten.
func TestFoundButNotMeasured(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		f := w.follow(w.reading("*", latest))
		blind := func(err error) {
			w.c.mu.Lock()
			defer w.c.mu.Unlock()
			w.c.blind = err
		}
		blind(stream.Errorf(stream.KafkaUnavailable, "not now"))
		w.c.create("b", 1)
		w.put("b", 0, 1)
		w.want(f)
		blind(nil)
		w.want(f, "b/0:0")
	})
}

// TestStreamsThatAreLongGone: a pattern forgets them, who names one does not.
func TestStreamsThatAreLongGone(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		f := w.follow(w.reading("*", latest))
		alone := len(f.Position())
		w.c.create("b", 1)
		w.put("b", 0, 1)
		g := w.follow(w.reading("b", earliest))
		w.want(f, "b/0:0")
		w.want(g, "b/0:0")
		w.c.remove("b")
		<-time.After(time.Hour)
		w.want(f)
		if got := len(f.Position()); got != alone {
			w.Errorf("the position has %d bytes, without the stream that is gone %d", got, alone)
		}
		w.c.create("b", 1)
		w.put("b", 0, 1)
		w.want(f, "b/0:0")
		w.want(g, "b/0:1>0", "b/0:0")
	})
}

func TestKafkaAway(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 2)
		live, behind := w.follow(w.reading("a", latest)), w.follow(w.reading("a", earliest))
		w.c.set(stream.Errorf(stream.KafkaUnavailable, "down"), false)
		w.put("a", 0, 1)
		w.want(live)
		w.want(behind)
		w.c.set(nil, false)
		w.want(live, "a/0:2")
		w.want(behind, "a/0:0", "a/0:1", "a/0:2")
	})
}

func TestTailThatDoesNotTakeAPartitionIsAskedAgain(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.c.create("b", 1)
		w.follow(w.reading("a", latest))
		tail := w.c.tails[0]
		set := func(err error) {
			w.c.mu.Lock()
			defer w.c.mu.Unlock()
			tail.fail = err
		}
		set(errors.New("not now"))
		f := w.follow(w.reading("b", latest))
		w.put("b", 0, 1)
		w.want(f)
		set(nil)
		w.want(f, "b/0:0")
	})
}

func TestFeedsOutliveTheirFollowersForSeconds(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.follow(w.reading("a", latest)).Close()
		followed := func() int {
			w.c.mu.Lock()
			defer w.c.mu.Unlock()
			return len(w.c.tails[0].at)
		}
		<-time.After(3 * time.Second)
		if followed() != 1 {
			w.Error("the partition was dropped at once")
		}
		<-time.After(5 * time.Second)
		if followed() != 0 {
			w.Error("the partition is still followed")
		}
		f := w.follow(w.reading("a", latest))
		w.put("a", 0, 1)
		w.want(f, "a/0:0")
	})
}

func TestPositionThatOutgrowsItsLimit(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 0)
		w.c.topics["a"].base = 1<<35 - 2
		w.c.grow("a", 600)
		f := w.follow(w.reading("a", latest))
		for n := range int32(120) {
			w.put("a", n, 3)
		}
		for {
			b, err := f.Next(w.Context(), time.Minute)
			if err == nil && b != nil {
				continue
			}
			w.c.remove("a")
			w.c.create("a", 1)
			w.put("a", 0, 1)
			w.want(w.follow(w.reading("a", earliest)), "a/0:0") // at once, by another feed
			if stream.CodeOf(err) != stream.PatternTooWide {
				w.Errorf("%d bytes, %v", len(b), err)
			}
			break
		}
	})
}

func TestDrain(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		f := w.follow(w.reading("a", latest))
		done := make(chan error, 1)
		go func() {
			_, err := f.Next(w.Context(), time.Hour)
			done <- err
		}()
		synctest.Wait()
		w.hub.Drain()
		if err := <-done; !errors.Is(err, io.EOF) {
			w.Errorf("a follower that waits is told %v", err)
		}
		if _, err := w.hub.Follow(w.Context(), w.reading("a", latest), lines{}); stream.CodeOf(err) != stream.Overloaded {
			w.Errorf("a new follower is told %v", err)
		}
		f.Close()
		w.hub.Close()
		if !w.c.tails[0].closed {
			w.Error("the tail is open still")
		}
	})
}

func TestCancel(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		f := w.follow(w.reading("a", latest))
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		if _, err := f.Next(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("Next: %v", err)
		}
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	bubble(t, func(o *follow.Options) { o.Registerer, o.FeedBytes = reg, 1500 }, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 1)
		f, g := w.follow(w.reading("a", latest)), w.follow(w.reading("a", earliest))
		w.want(g, "a/0:0")
		w.put("a", 0, 100)
		w.frames(g)
		w.frames(f)
		w.c.remove("a")
		w.c.create("a", 1)
		w.want(f, "a/0:101>0")
		w.follow(w.reading("a", earliest))
		if _, err := w.hub.Page(w.Context(), stream.PageRequest{Reading: w.reading("a", latest)}); err != nil {
			w.Fatal(err)
		}
		want := map[string]float64{
			`sluice_follow_followers{state="live"}`: 2, `sluice_follow_followers{state="catching_up"}`: 1,
			"sluice_follow_feeds": 1, "sluice_follow_partitions": 1, "sluice_follow_gaps_total": 1,
			"sluice_follow_records_total": 100, "sluice_follow_frames_total": 1 + 200 + 1,
			`sluice_follow_pages_total{for="pull"}`: 1,
		}
		got := gather(w.T, reg)
		for name, v := range want {
			if got[name] != v {
				w.Errorf("%s is %v, want %v", name, got[name], v)
			}
		}
		for _, name := range []string{"sluice_follow_fallbacks_total", "sluice_follow_ring_bytes", `sluice_follow_pages_total{for="catch_up"}`} {
			if got[name] < 1 {
				w.Errorf("%s did not move", name)
			}
		}
	})
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += fmt.Sprintf("{%s=%q}", l.GetName(), l.GetValue())
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}
