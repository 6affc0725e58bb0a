package subscriptions_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

func TestBeginnings(t *testing.T) {
	w := newWorld()
	s := w.gateway(t)
	var p stream.Position
	p.Set(stream.Layout{Stream: "orders.eu", TopicID: "t2"}, 1, 77)
	p.Set(stream.Layout{Stream: "orders.us", TopicID: "an earlier one"}, 0, 88)
	for from, want := range map[string][]stream.Beginning{
		"earliest":             {{Stream: "orders.eu", TopicID: "t2", Generation: 1, Offsets: []int64{10, 10}}, {Stream: "orders.us", TopicID: "t3", Generation: 1, Offsets: []int64{10}}},
		"latest":               {{Stream: "orders.eu", TopicID: "t2", Generation: 1, Offsets: []int64{110, 111}}, {Stream: "orders.us", TopicID: "t3", Generation: 1, Offsets: []int64{110}}},
		"2026-01-31T12:00:00Z": {{Stream: "orders.eu", TopicID: "t2", Generation: 1, Offsets: []int64{60, 60}}, {Stream: "orders.us", TopicID: "t3", Generation: 1, Offsets: []int64{60}}},
		p.String():             {{Stream: "orders.eu", TopicID: "t2", Generation: 1, Offsets: []int64{10, 77}}, {Stream: "orders.us", TopicID: "t3", Generation: 1, Offsets: []int64{10}}},
	} {
		sub, err := s.Create(t.Context(), []byte(minimal+`,"from":"`+from+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, sub.Begin); diff != "" {
			t.Errorf("%s: %s", from, diff)
		}
	}
}

func TestMove(t *testing.T) {
	w := newWorld()
	s := w.gateway(t)
	create(t, s, "billing", "")
	move := func(body string) *stream.Subscription {
		t.Helper()
		if _, err := s.Move(t.Context(), "billing", []byte(body), stream.Condition{}); err != nil {
			t.Fatal(err)
		}
		sub, err := w.gateway(t).Get(t.Context(), "billing") // through the log
		if err != nil {
			t.Fatal(err)
		}
		if sub.Generation != sub.Revision {
			t.Errorf("generation %d at revision %d", sub.Generation, sub.Revision)
		}
		return sub
	}
	at := func(sub *stream.Subscription, name, topic string, partition int32) [2]int64 {
		offset, generation, _ := sub.BeginAt(stream.Layout{Stream: name, TopicID: topic, Partitions: 2}, partition)
		return [2]int64{offset, generation}
	}
	sub := move(`{"offsets":[{"stream":"orders.eu","partition":1,"offset":42}]}`)
	for _, c := range []struct {
		name, topic string
		partition   int32
		want        [2]int64
	}{
		{"orders.eu", "t2", 0, [2]int64{110, 1}},
		{"orders.eu", "t2", 1, [2]int64{42, 3}},
		{"orders.us", "t3", 0, [2]int64{110, 1}},
		{"orders.eu", "made anew", 1, [2]int64{}},
		{"orders.eu", "t2", 2, [2]int64{}},
	} {
		if got := at(sub, c.name, c.topic, c.partition); got != c.want {
			t.Errorf("%s %s %d: %v, want %v", c.name, c.topic, c.partition, got, c.want)
		}
	}
	sub = move(`{"offsets":[{"stream":"orders.eu","partition":0,"offset":10},{"stream":"orders.us","partition":0,"offset":110}]}`)
	if got := [][2]int64{at(sub, "orders.eu", "t2", 0), at(sub, "orders.eu", "t2", 1), at(sub, "orders.us", "t3", 0)}; !cmp.Equal(got, [][2]int64{{10, 4}, {42, 3}, {110, 4}}) {
		t.Errorf("two moves, one after the other: %v", got)
	}
	sub = move(`{"from":"earliest"}`)
	if len(sub.Begin) != 2 || sub.Begin[0].Generation != 5 {
		t.Errorf("older places stay behind: %+v", sub.Begin)
	}
	w.kafka.layouts[1].TopicID = "made anew"
	if sub = move(`{"offsets":[{"stream":"orders.us","partition":0,"offset":11}]}`); len(sub.Begin) != 1 {
		t.Errorf("places in a stream that is gone stay behind: %+v", sub.Begin)
	}
}

func TestMoveRules(t *testing.T) {
	s := newWorld().gateway(t)
	create(t, s, "billing", "")
	for body, want := range map[string][]string{
		`{}`:                               {"#"},
		`{"from":null}`:                    {"#"},
		`{"from":"earliest","offsets":[]}`: {"#"},
		`{"from":"x"}`:                     {"#/from"},
		`{"from":5}`:                       {"#/from"},
		`{"from":"latest","x":1}`:          {"#/x"},
		`{"offsets":{}}`:                   {"#/offsets"},
		`{"offsets":[]}`:                   {"#/offsets"},
		`{"offsets":[1,{"stream":"orders.eu"},{"stream":5,"partition":-1,"offset":"x"},{"stream":"a","partition":0,"offset":0,"y":1}]}`: {
			"#/offsets/0", "#/offsets/1/offset", "#/offsets/1/partition", "#/offsets/2/offset", "#/offsets/2/partition", "#/offsets/2/stream", "#/offsets/3/y",
		},
		`{"offsets":[{"stream":"logs.a","partition":0,"offset":50},{"stream":"orders.eu","partition":2,"offset":50},{"stream":"orders.us","partition":0,"offset":50},{"stream":"orders.us","partition":0,"offset":51}]}`: {
			"#/offsets/0/stream", "#/offsets/1/partition", "#/offsets/3/partition",
		},
		`{"offsets":[{"stream":"orders.eu","partition":0,"offset":9},{"stream":"orders.eu","partition":1,"offset":112}]}`: {
			"#/offsets/0/offset", "#/offsets/1/offset",
		},
	} {
		_, err := s.Move(t.Context(), "billing", []byte(body), stream.Condition{})
		if diff := cmp.Diff(want, pointers(t, err)); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	_, err := s.Move(t.Context(), "nope", []byte(`{"from":"latest"}`), stream.Condition{})
	wantCode(t, err, stream.UnknownSubscription)
	_, err = s.Move(t.Context(), "billing", []byte(`{"from":"latest"}`), stream.Condition{Revisions: []int64{1}})
	wantCode(t, err, stream.EtagMismatch)
	sub, err := s.Get(t.Context(), "billing")
	if err != nil || sub.Revision != 2 {
		t.Errorf("revision %d, %v: something was changed", sub.Revision, err)
	}
}

// committed makes the offset of a partition, with strokes for its generation.
func committed(name string, partition int32, offset int64, metadata string) stream.GroupOffset {
	return stream.GroupOffset{Partition: stream.Partition{Stream: name, Number: partition}, Offset: offset, Metadata: metadata}
}

func TestStatus(t *testing.T) {
	w := newWorld()
	s := w.gateway(t)
	create(t, s, "x", `,"from":"earliest"`)
	status := func() stream.SubscriptionStatus {
		t.Helper()
		got, err := w.gateway(t).Status(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	part := func(name string, number int32, next, end int64) stream.PartitionStatus {
		return stream.PartitionStatus{Partition: stream.Partition{Stream: name, Number: number}, Next: next, End: end, Lag: end - next}
	}
	want := stream.SubscriptionStatus{
		ID: "x", State: "active", Lag: 301, DeadLetters: 201,
		Partitions: []stream.PartitionStatus{part("orders.eu", 0, 10, 110), part("orders.eu", 1, 10, 111), part("orders.us", 0, 10, 110)},
	}
	if diff := cmp.Diff(want, status()); diff != "" {
		t.Errorf("before the owner committed anything: %s", diff)
	}
	w.kafka.committed["x"] = []stream.GroupOffset{
		committed("orders.eu", 0, 100, "t2/|"), committed("orders.eu", 1, 100, "t2/"), // of the subscription before
		committed("orders.us", 0, 100, "an earlier one/|"), committed("x.dead-letter", 1, 101, "t4/|"),
	}
	want.Partitions = []stream.PartitionStatus{part("orders.eu", 0, 100, 110), part("orders.eu", 1, 10, 111), part("orders.us", 0, 10, 110)}
	want.Lag, want.DeadLetters = 211, 110
	if diff := cmp.Diff(want, status()); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Move(t.Context(), "x", []byte(`{"from":"latest"}`), stream.Condition{}); err != nil {
		t.Fatal(err)
	}
	if got := status(); got.Lag != 0 {
		t.Errorf("lag %d after a move that the owner has not carried out", got.Lag)
	}
	_, err := s.Status(t.Context(), "nope")
	wantCode(t, err, stream.UnknownSubscription)
}

func TestRedrive(t *testing.T) {
	w := newWorld()
	s := w.gateway(t)
	first := create(t, s, "none", "")
	sub, n, err := s.Redrive(t.Context(), "none", stream.Condition{})
	if err != nil || n != 0 || sub.Revision != first.Revision {
		t.Errorf("without dead letters: %d at revision %d, %v", n, sub.Revision, err)
	}
	create(t, s, "x", "")
	w.kafka.committed["x"] = []stream.GroupOffset{committed("x.dead-letter", 1, 101, "t4/|")}
	if _, n, err = s.Redrive(t.Context(), "x", stream.Condition{}); err != nil || n != 110 {
		t.Errorf("%d dead letters, %v", n, err)
	}
	got, err := w.gateway(t).Get(t.Context(), "x") // through the log
	want := stream.Redrive{Generation: 3, Until: []stream.Beginning{{Stream: "x.dead-letter", TopicID: "t4", Generation: 3, Offsets: []int64{110, 111}}}}
	if diff := cmp.Diff(want, got.Redrive); err != nil || diff != "" || got.Generation != 1 {
		t.Errorf("%v, generation %d, %s", err, got.Generation, diff)
	}
	_, _, err = s.Redrive(t.Context(), "x", stream.Condition{Revisions: []int64{1}})
	wantCode(t, err, stream.EtagMismatch)
}
