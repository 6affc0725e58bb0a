package kafka_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// A stream that is made anew while it is read begins anew, after a gap in each
// partition that was read; so does one that was made anew while nobody read.
func TestMemberReadsAStreamMadeAnew(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		topic := b.Topic(t, "anew", 1, nil)
		m := g.join(g.layouts("anew"))
		g.fill("anew", 1, 5)
		g.await(5, m)
		again := func() {
			t.Helper()
			if err := g.admin.Delete(t.Context(), topic); err != nil {
				t.Fatal(err)
			}
			if _, err := g.admin.Create(t.Context(), stream.TopicSpec{Name: topic, Partitions: 1}); err != nil {
				t.Fatal(err)
			}
		}
		fill := func(n int) {
			t.Helper()
			for i := range n {
				g.b.Produce(t, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "new %d of %d", i, n)})
			}
		}
		again()
		fill(4)                                          // fewer than it has read, so that it sees none before it is told
		kafkatest.Eventually(t, patience, func() error { // as groups does, once a second
			m.set(g.layouts("anew"))
			if got := len(values(m)); got != 5+4 {
				return fmt.Errorf("%d values", got)
			}
			return nil
		})
		fill(8)
		g.await(5+4+8, m)
		want := []stream.Gap{{Partition: stream.Partition{Stream: "anew"}, From: 5}}
		if d := cmp.Diff(want, m.gaps); d != "" {
			t.Errorf("gaps (-want +got):\n%s", d)
		}
		m.leave()
		if d := cmp.Diff(map[int32]int64{0: 12}, g.committed("anew")); d != "" {
			t.Errorf("committed (-want +got):\n%s", d)
		}

		again()
		fill(9)
		kadmCommit(t, g, topic, "topic=another", 3) // a broker that forgets nothing
		m = g.join(g.layouts("anew"))
		g.await(9, m)
		want[0].From = 3
		if d := cmp.Diff(want, m.gaps); d != "" {
			t.Errorf("gaps (-want +got):\n%s", d)
		}
	})
}

// kadmCommit commits an offset as a client that is no gateway.
func kadmCommit(t *testing.T, g *team, topic, metadata string, offset int64) {
	t.Helper()
	os := kadm.Offsets{}
	os.Add(kadm.Offset{Topic: topic, At: offset, LeaderEpoch: -1, Metadata: metadata})
	if err := kadm.NewClient(g.b.Client(t)).CommitAllOffsets(t.Context(), g.group, os); err != nil {
		t.Fatal(err)
	}
}
