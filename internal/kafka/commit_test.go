package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

func (g *team) commits() *kafka.Commits {
	c := kafka.NewCommits(g.Cluster, g.topics())
	g.t.Cleanup(c.Close)
	return c
}

// at makes a position in one stream.
func at(l stream.Layout, offsets ...int64) stream.Position {
	var p stream.Position
	for n, o := range offsets {
		p.Set(l, int32(n), o)
	}
	return p
}

func (g *team) wantCommitted(id string, want map[int32]int64) {
	g.t.Helper()
	kafkatest.Eventually(g.t, patience, func() error { // a moment after the transaction
		if d := cmp.Diff(want, g.committed(id)); d != "" {
			return fmt.Errorf("committed (-want +got):\n%s", d)
		}
		return nil
	})
}

// A stranger commits for a group without members, and for one with members,
// forwards and backwards; the next member goes on there.
func TestCommit(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		b.Topic(t, "done", 3, nil)
		ls := g.layouts("done")
		g.fill("done", 3, 10)
		cs := g.commits()
		commit := func(p stream.Position) {
			t.Helper()
			if err := cs.Commit(t.Context(), g.group, ls, p); err != nil {
				t.Fatal(err)
			}
		}
		commit(at(ls[0], 2, -1, 4, 99)) // partition 1 is not known, 3 does not exist
		g.wantCommitted("done", map[int32]int64{0: 2, 2: 4})
		m := g.join(ls, byHand)
		g.await(8+10+6, m)
		other := kafka.NewCommits(start(t, b).Cluster, g.topics()) // another gateway
		defer other.Close()
		if err := other.Commit(t.Context(), g.group, ls, at(ls[0], 9, 9, 9)); err != nil {
			t.Fatal(err)
		}
		g.wantCommitted("done", map[int32]int64{0: 9, 1: 9, 2: 9})
		commit(at(ls[0], 7, 8, 9))
		g.wantCommitted("done", map[int32]int64{0: 7, 1: 8, 2: 9})
		m.leave()
		g.wantCommitted("done", map[int32]int64{0: 7, 1: 8, 2: 9})
		m = g.join(ls, byHand)
		g.await(3+2+1, m)

		got, err := cs.Committed(t.Context(), g.group)
		if err != nil || len(got) != 3 {
			t.Errorf("committed: got %v, %v", got, err)
		}
		none, err := cs.Committed(t.Context(), g.group+"-unknown")
		if err != nil || len(none) > 0 {
			t.Errorf("committed by nobody: got %v, %v", none, err)
		}
	})
}

// Commits of many at once are all made.
func TestCommitsAtOnce(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		b.Topic(t, "many", 20, nil)
		l := g.layouts("many")
		cs := g.commits()
		var all sync.WaitGroup
		want := map[int32]int64{}
		for n := range int32(20) {
			want[n] = int64(n)
			all.Go(func() {
				var p stream.Position
				p.Set(l[0], n, int64(n))
				if err := cs.Commit(t.Context(), g.group, l, p); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		g.wantCommitted("many", want)
	})
}

// What Kafka refuses is told, and the next commit goes through.
func TestCommitRefused(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		topic := b.Topic(t, "refused", 1, nil)
		l := g.layouts("refused")
		cs := g.commits()
		if err := g.admin.Delete(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		wantCode(t, cs.Commit(t.Context(), g.group, l, at(l[0], 1)), stream.UnknownStream)
		b.Topic(t, "taken", 1, nil)
		l = g.layouts("taken")
		if err := cs.Commit(t.Context(), g.group, l, at(l[0], 1)); err != nil {
			t.Fatal(err)
		}
		g.wantCommitted("taken", map[int32]int64{0: 1})
		ended, end := context.WithCancel(t.Context())
		end()
		wantCode(t, cs.Commit(ended, g.group, l, at(l[0], 2)), stream.KafkaUnavailable)
		if err := cs.Commit(t.Context(), g.group, l, at(l[0], 3)); err != nil {
			t.Fatal(err)
		}
		g.wantCommitted("taken", map[int32]int64{0: 3})
	})
}

// librdkafka names such a group in no transaction; it can be committed for all
// the same while it has no members.
func TestCommitForGroupBeyondASCII(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		b.Topic(t, "foreign", 1, nil)
		l := g.layouts("foreign")
		cs, group := g.commits(), g.group+"-größe-💶"
		if err := cs.Commit(t.Context(), group, l, at(l[0], 3)); err != nil {
			t.Fatal(err)
		}
		got, err := cs.Committed(t.Context(), group)
		if err != nil || len(got) != 1 || got[0].Offset != 3 {
			t.Errorf("committed: got %v, %v", got, err)
		}
	})
}

// Where transactional ids are denied, groups without members can still be
// committed for.
func TestCommitWithoutTransactions(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := newTeam(t, b)
	b.Topic(t, "plain", 1, nil)
	l := g.layouts("plain")
	b.Cluster(t).ControlKey(int16(kmsg.InitProducerID), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster(t).KeepControl()
		if req.(*kmsg.InitProducerIDRequest).TransactionalID == nil {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		return resp, nil, true
	})
	cs := g.commits()
	if err := cs.Commit(t.Context(), g.group, l, at(l[0], 5)); err != nil {
		t.Fatal(err)
	}
	g.wantCommitted("plain", map[int32]int64{0: 5})
	m := g.join(l, byHand)
	kafkatest.Eventually(t, patience, func() error {
		groups, err := kadm.NewClient(b.Client(t)).DescribeGroups(t.Context(), g.group)
		if err == nil && groups[g.group].State != "Stable" {
			err = fmt.Errorf("the group is %s", groups[g.group].State)
		}
		return err
	})
	wantCode(t, cs.Commit(t.Context(), g.group, l, at(l[0], 6)), stream.GroupActive)
	m.leave()
	wantDenied(t, b, cs, g, l)
}

// wantDenied: a group that may not be used is Forbidden.
func wantDenied(t *testing.T, b *kafkatest.Broker, cs *kafka.Commits, g *team, l []stream.Layout) {
	t.Helper()
	b.Cluster(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	wantCode(t, cs.Commit(t.Context(), g.group, l, at(l[0], 7)), stream.Forbidden)
}
