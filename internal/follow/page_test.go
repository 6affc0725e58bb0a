package follow_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

func (w *world) page(r stream.PageRequest) stream.PageAnswer {
	w.Helper()
	if r.Records == 0 {
		r.PageLimit = stream.PageLimit{Records: 100, Bytes: 1 << 20}
	}
	a, err := w.hub.Page(w.Context(), r)
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func (w *world) wantPage(a stream.PageAnswer, more bool, want ...string) {
	w.Helper()
	var got []string
	for _, g := range a.Gaps {
		got = append(got, fmt.Sprintf("%s/%d:%d>%d", g.Stream, g.Number, g.From, g.To))
	}
	for _, r := range a.Records {
		got = append(got, fmt.Sprintf("%s/%d:%d", r.Stream, r.Partition, r.Offset))
	}
	if diff := cmp.Diff(want, got); diff != "" || a.More != more {
		w.Errorf("page (-want +got), more %v:\n%s", a.More, diff)
	}
}

func TestPagesGoOnWhereTheLastOneStopped(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.c.create("b", 1)
		w.put("a", 0, 3)
		w.put("b", 0, 1)
		r := stream.PageRequest{Reading: w.reading("*", earliest), PageLimit: stream.PageLimit{Records: 3, Bytes: 1000}}
		a := w.page(r)
		w.wantPage(a, true, "a/0:0", "b/0:0", "a/0:1")
		r.Start = from(a.Next)
		a = w.page(r)
		w.wantPage(a, false, "a/0:2")
		r.Start = from(a.Next)
		w.wantPage(w.page(r), false)
	})
}

func TestPagesTellGaps(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 4)
		end, err := w.hub.End(w.Context(), pattern(w, "a"), stream.AnyPartition)
		if err != nil {
			w.Fatal(err)
		}
		r := w.reading("a", stream.Start{Kind: stream.FromOffset, Offset: 1})
		r.Partition = 0
		w.c.expire("a", 0, 3)
		w.wantPage(w.page(stream.PageRequest{Reading: r}), false, "a/0:1>3", "a/0:3")
		r.Start.Offset = 7
		w.wantPage(w.page(stream.PageRequest{Reading: r}), false, "a/0:7>4")
		w.c.remove("a")
		w.c.create("a", 1)
		w.put("a", 0, 1)
		w.wantPage(w.page(stream.PageRequest{Reading: w.reading("a", from(end))}), false, "a/0:4>0", "a/0:0")
	})
}

func TestPagesUntilTheEndAsItWas(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 2)
		end, err := w.hub.End(w.Context(), pattern(w, "*"), stream.AnyPartition)
		if err != nil {
			w.Fatal(err)
		}
		w.put("a", 0, 2)
		w.c.create("b", 1)
		w.put("b", 0, 2)
		a := w.page(stream.PageRequest{Reading: w.reading("*", earliest), Until: &end, Wait: time.Hour})
		w.wantPage(a, false, "a/0:0", "a/0:1")
		w.wantPage(w.page(stream.PageRequest{Reading: w.reading("*", from(a.Next))}), false, "a/0:2", "b/0:0", "a/0:3", "b/0:1")
	})
}

func TestPagesPassOverWhatTheFilterDrops(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.c.put("a", 0, true)
		w.put("a", 0, 99)
		r := stream.PageRequest{Reading: w.reading("a", earliest), PageLimit: stream.PageLimit{Records: 3, Bytes: 1000}}
		r.Filter = every(30)
		w.wantPage(w.page(r), true, "a/0:30")
		r.Filter = every(200)
		a := w.page(r)
		w.wantPage(a, true)
		r.Filter, r.Start = every(90), from(a.Next)
		w.wantPage(w.page(r), true, "a/0:90")
	})
}

func TestPagesWait(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		r := stream.PageRequest{Reading: w.reading("*", latest), Wait: time.Minute}
		r.Filter = every(2)
		start := time.Now()
		a := w.page(r)
		w.wantPage(a, false)
		if took := time.Since(start); took < time.Minute || took > 61*time.Second {
			w.Errorf("it waited %v", took)
		}
		w.put("a", 0, 1)
		r.Start = from(a.Next)
		start = time.Now()
		a = w.page(r)
		w.wantPage(a, false, "a/0:0")
		if took := time.Since(start); took > time.Second {
			w.Errorf("what was there took %v", took)
		}
		time.AfterFunc(10*time.Second, func() { w.c.put("a", 0, false) }) // offset 1
		time.AfterFunc(20*time.Second, func() { w.c.put("a", 0, false) })
		r.Start = from(a.Next)
		start = time.Now()
		a = w.page(r)
		w.wantPage(a, false, "a/0:2")
		if took := time.Since(start); took < 20*time.Second || took > 21*time.Second {
			w.Errorf("it came after %v", took)
		}
		time.AfterFunc(10*time.Second, func() { w.c.create("b", 1); w.c.put("b", 0, false) })
		r.Start = from(a.Next)
		w.wantPage(w.page(r), false, "b/0:0")
		time.AfterFunc(5*time.Second, w.hub.Drain)
		r.Start = latest
		start = time.Now()
		w.wantPage(w.page(r), false)
		if took := time.Since(start); took > 6*time.Second {
			w.Errorf("it waited %v although the hub drains", took)
		}
	})
}

func TestPageRefusals(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("wide", 700)
		for p, want := range map[string]stream.Code{"nope": stream.UnknownStream, "wide": stream.PatternTooWide} {
			if _, err := w.hub.Page(w.Context(), stream.PageRequest{Reading: w.reading(p, latest)}); stream.CodeOf(err) != want {
				w.Errorf("page of %s: %v", p, err)
			}
			if _, err := w.hub.End(w.Context(), pattern(w, p), stream.AnyPartition); stream.CodeOf(err) != want {
				w.Errorf("end of %s: %v", p, err)
			}
		}
	})
}

// following is a reading that goes on page after page.
func (w *world) following(at stream.Position) stream.PageRequest {
	return stream.PageRequest{
		Reading: w.reading("a", from(at)), PageLimit: stream.PageLimit{Records: 3, Bytes: 1000}, Wait: time.Minute, Following: true,
	}
}

func TestWhoIsFollowingIsGivenWhatTheTailHasRead(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 1)
		begin := w.page(stream.PageRequest{Reading: w.reading("a", earliest)}).Next
		reads := w.c.reads
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				r := w.following(begin)
				a := w.page(r)
				w.wantPage(a, false, "a/0:1")
				r.Start = from(a.Next)
				a = w.page(r)
				w.wantPage(a, true, "a/0:2", "a/0:3", "a/0:4")
				r.Start = from(a.Next)
				w.wantPage(w.page(r), false, "a/0:5")
			})
		}
		synctest.Wait() // all of them are waiting
		w.put("a", 0, 1)
		synctest.Wait()
		w.c.mu.Lock()
		w.c.frozen = true // what comes now comes together
		w.c.mu.Unlock()
		w.put("a", 0, 4)
		w.c.set(nil, false)
		all.Wait()
		if got := w.c.reads - reads; got != 0 {
			t.Errorf("Kafka was asked for %d pages of what the tail had read", got)
		}
	})
}

func TestWhatIsReadForOneWhoIsFollowingIsThereForOthers(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		begin := w.page(stream.PageRequest{Reading: w.reading("a", earliest)}).Next
		w.put("a", 0, 2)
		end, err := w.hub.End(w.Context(), pattern(w, "a"), stream.AnyPartition)
		if err != nil {
			w.Fatal(err)
		}
		r := w.following(end)
		r.Wait = time.Second
		w.page(r) // the tail follows from here on
		reads := w.c.reads
		for range 5 {
			w.wantPage(w.page(w.following(begin)), false, "a/0:0", "a/0:1")
		}
		if got := w.c.reads - reads; got != 1 {
			t.Errorf("Kafka was asked for %d pages", got)
		}
		w.put("a", 0, 1)
		synctest.Wait() // the tail has it
		w.wantPage(w.page(w.following(begin)), false, "a/0:0", "a/0:1", "a/0:2")
	})
}
