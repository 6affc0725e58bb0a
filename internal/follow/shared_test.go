package follow_test

import (
	"fmt"
	"strings"
	"testing"

	"sluice/internal/follow"
	"sluice/internal/stream"
)

// TestThoseWhoReturnTogetherShareWhatIsRead: after a restart thousands come
// with nearly the same position. A question to Kafka for each of them takes
// longer than the stream takes to grow by as much again.
func TestThoseWhoReturnTogetherShareWhatIsRead(t *testing.T) {
	bubble(t, nil, func(w *world) {
		const partitions, records, readers = 3, 300, 60
		w.c.create("a", partitions)
		for n := range int32(partitions) {
			w.put("a", n, records)
		}
		layouts, err := w.c.Layouts(w.Context(), pattern(w, "a"))
		if err != nil {
			t.Fatal(err)
		}
		all := make([]*follow.Follower, readers)
		for i := range all {
			all[i] = w.follow(w.reading("a", from(staggered(layouts[0], i))))
		}
		for i, f := range all {
			next := map[string]int{}
			for n := range int32(partitions) {
				next[fmt.Sprintf("a/%d", n)] = begin(i, n)
			}
			for _, frame := range w.frames(f) {
				partition, offset, _ := strings.Cut(frame, ":")
				if offset != fmt.Sprint(next[partition]) {
					t.Fatalf("reader %d was given %s, want offset %d", i, frame, next[partition])
				}
				next[partition]++
			}
			for partition, n := range next {
				if n != records {
					t.Errorf("reader %d was given %s up to %d, want %d", i, partition, n, records)
				}
			}
		}
		if w.c.reads > readers/2 {
			t.Errorf("Kafka was asked %d times for what %d readers had in common", w.c.reads, readers)
		}
		w.put("a", 0, 1)
		w.want(all[0], fmt.Sprintf("a/0:%d", records))
	})
}

// begin is where a reader goes on in a partition: each a little elsewhere.
func begin(reader int, partition int32) int { return (reader*5 + int(partition)*3) % 11 }

func staggered(l stream.Layout, reader int) stream.Position {
	var at stream.Position
	for n := range int32(l.Partitions) {
		at.Set(l, n, int64(begin(reader, n)))
	}
	return at
}

// TestSharedPagesAreOfTheStreamAsItIs: what was kept of a stream is not shown
// as records of the one that took its place.
func TestSharedPagesAreOfTheStreamAsItIs(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.c.create("a", 1)
		w.put("a", 0, 3)
		f, g := w.follow(w.reading("a", earliest)), w.follow(w.reading("a", earliest))
		w.want(f, "a/0:0", "a/0:1", "a/0:2")
		w.c.remove("a")
		w.c.create("a", 1)
		w.put("a", 0, 1)
		w.want(f, "a/0:3>0", "a/0:0")
		got := w.frames(g)
		if len(got) == 0 || got[len(got)-1] != "a/0:0" {
			t.Errorf("the second reader was given %v, which ends elsewhere than in the new stream's one record", got)
		}
	})
}
