package peers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/test/bench/peers"
)

// start makes a fake of a profile's product, and a target of it.
func start(t *testing.T, name string, l *log) peers.Target {
	t.Helper()
	p, ok := peers.Named(name)
	if !ok {
		t.Fatalf("no profile %s", name)
	}
	handlers := map[string]func(http.ResponseWriter, *http.Request, string) error{
		"sluice": l.sluice, "kafka-sse": l.kafkaSSE, "mercure": l.mercure, "strimzi": l.strimzi,
		"confluent": l.restProxy, "karapace": l.restProxy, "eventgate": l.eventGate, "kafka-pixy": l.kafkaPixy,
	}
	s := httptest.NewServer(l.fake(handlers[name]))
	t.Cleanup(s.Close)
	return peers.Target{Profile: p, Base: s.URL, Topic: "orders", Token: "secret"}
}

// each runs a test for every profile.
func each(t *testing.T, test func(t *testing.T, name string, p peers.Profile)) {
	for _, p := range peers.Profiles() {
		t.Run(p.Name, func(t *testing.T) { test(t, p.Name, p) })
	}
}

func data(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = peers.Event(1, i)
	}
	return all
}

// TestPublishes proves each wire format: what counts as stored is stored.
func TestPublishes(t *testing.T) {
	each(t, func(t *testing.T, name string, p peers.Profile) {
		for _, try := range []struct {
			how     *peers.Publish
			records int
		}{{p.Single, 1}, {p.Batch, 7}} {
			if try.how == nil {
				continue
			}
			var l log
			got, err := start(t, name, &l).Publish(t.Context(), try.how, peers.Load{Connections: 2, Data: data(try.records), For: 20 * time.Millisecond})
			if err != nil || got.First != nil || got.Requests == 0 {
				t.Fatalf("%d records: %d requests, %d failed: %v, %v", try.records, got.Requests, got.Failed, got.First, err)
			}
			if stored := len(l.values); stored != got.Requests*try.records {
				t.Errorf("%d requests of %d records: %d stored", got.Requests, try.records, stored)
			}
			if p50 := got.Percentile(0.5); p50 <= 0 {
				t.Errorf("p50 is %v ms", p50)
			}
		}
	})
}

// TestRefusals: a record that was refused does not count, whatever the status.
func TestRefusals(t *testing.T) {
	each(t, func(t *testing.T, name string, p peers.Profile) {
		for records, how := range map[int]*peers.Publish{1: p.Single, 7: p.Batch} {
			if how == nil {
				continue
			}
			got, err := start(t, name, &log{refuse: true}).Publish(t.Context(), how, peers.Load{Connections: 1, Data: data(records), For: 5 * time.Millisecond})
			if err != nil || got.First == nil || got.Requests != 0 || got.Failed == 0 {
				t.Errorf("%d records: %d requests, %d failed: %v, %v", records, got.Requests, got.Failed, got.First, err)
			}
		}
	})
}

// complete waits until a reader has had n records, and says how often each came.
func complete(t *testing.T, n int, read func(ctx context.Context, r *peers.Reading)) *peers.Reading {
	t.Helper()
	var r peers.Reading
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan struct{})
	go func() {
		defer close(done)
		read(ctx, &r)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.Records() < n && ctx.Err() == nil {
		<-tick.C
	}
	cancel()
	<-done
	for i := range int64(n) {
		if times := r.Times(peers.Coordinates{Offset: i}); times != 1 {
			t.Errorf("offset %d came %d times; told: %q", i, times, r.Told())
		}
	}
	return &r
}

// TestEventsAcrossBreaks: a stream that breaks goes on after the last event.
func TestEventsAcrossBreaks(t *testing.T) {
	for _, name := range []string{"sluice", "kafka-sse"} {
		t.Run(name, func(t *testing.T) {
			l := log{values: data(10), breaks: 4}
			target := start(t, name, &l)
			complete(t, 10, func(ctx context.Context, r *peers.Reading) { target.ReadEvents(ctx, peers.Earliest, r) })
		})
	}
}

// TestPagesAcrossRestarts: a reader that is forgotten goes on where it was.
func TestPagesAcrossRestarts(t *testing.T) {
	each(t, func(t *testing.T, name string, p peers.Profile) {
		if p.Pull == nil {
			return // it has no reading by requests
		}
		l := log{values: data(10), breaks: 3}
		target := start(t, name, &l)
		complete(t, 10, func(ctx context.Context, r *peers.Reading) { target.ReadPages(ctx, "readers", 1000, r) })
	})
}

// TestGivesUp: EventSource never comes back after a status but 200, and the
// reader is told which.
func TestGivesUp(t *testing.T) {
	target := start(t, "kafka-sse", &log{})
	target.Topic = "unknown"
	var r peers.Reading
	target.ReadEvents(t.Context(), peers.Latest, &r)
	if told := r.Told(); len(told) != 1 || !strings.Contains(told[0], "status 400") {
		t.Errorf("told %q", told)
	}
}

// TestFollowers: they count the events of a run and of no other, and how old
// those are.
func TestFollowers(t *testing.T) {
	proceed := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flush := http.NewResponseController(w).Flush
		fmt.Fprintf(w, "retry: 1\n\nid: 1\ndata: %s\n\n", peers.Event(0, 1))
		_ = flush()
		<-proceed
		// An event comes in two pieces.
		text := fmt.Sprintf("data: %s\n\ndata: %s\n\n", peers.Event(1, 1), peers.Event(2, 1))
		fmt.Fprint(w, text[:40])
		_ = flush()
		fmt.Fprint(w, text[40:])
	}))
	defer s.Close()
	p, _ := peers.Named("sluice")
	f, err := peers.Target{Profile: p, Base: s.URL, Topic: "orders"}.Follow(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	until(t, func() bool { _, fewest, _ := f.Count(); return fewest == 1 })
	f.Run(1)
	close(proceed)
	until(t, func() bool { _, _, cut := f.Count(); return cut == 3 })
	all, fewest, _ := f.Count()
	if got := []int64{all, fewest}; !slices.Equal(got, []int64{3, 1}) {
		t.Errorf("all and fewest events are %v", got)
	}
}

// until waits for a condition.
func until(t *testing.T, met func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !met(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("not within a minute")
		}
	}
}
