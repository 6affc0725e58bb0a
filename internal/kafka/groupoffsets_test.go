package kafka_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// keeper commits for the group of one subscription.
type keeper struct {
	*kafka.Offsets
	*team
}

func newKeeper(t *testing.T, b *kafkatest.Broker) *keeper {
	t.Helper()
	g := newTeam(t, b)
	return &keeper{g.keepOffsets(t), g}
}

func (g *team) keepOffsets(t *testing.T) *kafka.Offsets {
	t.Helper()
	o := kafka.NewOffsets(g.Cluster, g.topics())
	t.Cleanup(o.Close)
	return o
}

// there gives the layouts of streams that were just made.
func (k *keeper) there(ids ...string) (ls []stream.Layout) {
	k.t.Helper()
	kafkatest.Eventually(k.t, patience, func() error {
		if ls = k.layouts(ids...); len(ls) != len(ids) {
			return fmt.Errorf("%d of %d streams are there", len(ls), len(ids))
		}
		return nil
	})
	return ls
}

// groupOffset is an offset of a stream, with metadata.
func groupOffset(l stream.Layout, n int32, offset int64, metadata string) stream.GroupOffset {
	return stream.GroupOffset{Partition: stream.Partition{Stream: l.Stream, Number: n}, TopicID: l.TopicID, Offset: offset, Metadata: metadata}
}

// want compares what the group has committed, as the gateway reads it and as
// another client does.
func (k *keeper) want(want ...stream.GroupOffset) {
	k.t.Helper()
	for i := range want {
		want[i].TopicID = "" // Kafka does not keep it
	}
	got, err := k.Committed(k.t.Context(), k.group)
	if err != nil {
		k.t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		k.t.Errorf("committed (-want +got):\n%s", d)
	}
	theirs, err := kadm.NewClient(k.b.Client(k.t)).FetchOffsets(k.t.Context(), k.group)
	if err != nil {
		k.t.Fatal(err)
	}
	var seen []stream.GroupOffset
	for _, o := range theirs.Sorted() {
		id, _ := k.topics().Stream(o.Topic)
		seen = append(seen, stream.GroupOffset{Partition: stream.Partition{Stream: id, Number: o.Partition}, Offset: o.At, Metadata: o.Metadata})
	}
	if d := cmp.Diff(want, seen); d != "" {
		k.t.Errorf("another client sees (-want +got):\n%s", d)
	}
}

// Offsets and the whole of their metadata are kept, forwards and backwards, and
// Kafka's tools show the lag.
func TestOffsetsKeepMetadata(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		k := newKeeper(t, b)
		b.Topic(t, "kept", 3, nil)
		b.Topic(t, "other", 1, nil)
		ls := k.there("kept", "other")
		k.fill("kept", 3, 10)
		k.want()
		full := "s1." + strings.Repeat("~", 4093)
		commit := func(os ...stream.GroupOffset) {
			t.Helper()
			if err := k.Commit(t.Context(), k.group, os); err != nil {
				t.Fatal(err)
			}
		}
		commit()
		commit(groupOffset(ls[0], 0, 7, full), groupOffset(ls[1], 0, 0, ""), groupOffset(ls[0], 2, 3, "a"))
		k.want(groupOffset(ls[0], 0, 7, full), groupOffset(ls[0], 2, 3, "a"), groupOffset(ls[1], 0, 0, ""))
		commit(groupOffset(ls[0], 0, 4, "b"))
		k.want(groupOffset(ls[0], 0, 4, "b"), groupOffset(ls[0], 2, 3, "a"), groupOffset(ls[1], 0, 0, ""))

		lags, err := kadm.NewClient(b.Client(t)).Lag(t.Context(), k.group)
		if err != nil || lags.Error() != nil {
			t.Fatal(err, lags.Error())
		}
		group := lags[k.group]
		if lag, _ := group.Lag.Lookup(k.topics().Topic("kept"), 0); lag.Lag != 6 || group.State != "Empty" {
			t.Errorf("got a lag of %d in a group that is %s, want 6, Empty", lag.Lag, group.State)
		}
	})
}

// What Kafka refuses is told, and does not hold up what it takes.
func TestOffsetsRefused(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		k := newKeeper(t, b)
		b.Topic(t, "here", 1, nil)
		b.Topic(t, "gone", 1, nil)
		ls := k.there("here", "gone")
		if err := k.admin.Delete(t.Context(), k.topics().Topic("gone")); err != nil {
			t.Fatal(err)
		}
		err := k.Commit(t.Context(), k.group, []stream.GroupOffset{groupOffset(ls[1], 0, 1, "x"), groupOffset(ls[0], 0, 1, "x")})
		wantCode(t, err, stream.UnknownStream)
		k.want(groupOffset(ls[0], 0, 1, "x"))

		m := k.join(ls[:1], byHand)
		k.awaitAlone(1)
		wantCode(t, k.Commit(t.Context(), k.group, []stream.GroupOffset{groupOffset(ls[0], 0, 2, "y")}), stream.GroupActive)
		m.leave()
		kafkatest.Eventually(t, patience, func() error {
			return k.Commit(t.Context(), k.group, []stream.GroupOffset{groupOffset(ls[0], 0, 2, "y")})
		})
		k.want(groupOffset(ls[0], 0, 2, "y"))
	})
}

// A stream that was made anew does not get the offsets of the one before.
func TestOffsetsOfAStreamMadeAnew(t *testing.T) {
	t.Parallel()
	b := kafkatest.Kafka(t)
	k := newKeeper(t, b)
	topic := b.Topic(t, "anew", 1, nil)
	before := k.there("anew")
	if err := k.admin.Delete(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if _, err := k.admin.Create(t.Context(), stream.TopicSpec{Name: topic, Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, k.Commit(t.Context(), k.group, []stream.GroupOffset{groupOffset(before[0], 0, 5, "")}), stream.UnknownStream)
	k.want()
}

// More metadata than Kafka takes is refused, not cut.
func TestOffsetsWithTooMuchMetadata(t *testing.T) {
	t.Parallel()
	b := kafkatest.Kafka(t)
	k := newKeeper(t, b)
	b.Topic(t, "much", 1, nil)
	l := k.there("much")[0]
	e := wantCode(t, k.Commit(t.Context(), k.group, []stream.GroupOffset{groupOffset(l, 0, 1, strings.Repeat("x", 4097))}), stream.InvalidRequest)
	if !strings.Contains(e.Message, "offset.metadata.max.bytes") {
		t.Errorf("the message is %q", e.Message)
	}
}

// Commits for many groups go side by side.
func TestOffsetsOfManyGroups(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		k := newKeeper(t, b)
		b.Topic(t, "busy", 1, nil)
		l := k.there("busy")[0]
		const groups, each = 100, 5
		name := func(n int) string { return fmt.Sprintf("%s%d", k.group, n) }
		began := time.Now()
		var all sync.WaitGroup
		for n := range groups {
			all.Go(func() {
				for i := range int64(each) {
					if err := k.Commit(t.Context(), name(n), []stream.GroupOffset{groupOffset(l, 0, i, fmt.Sprint(n))}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		t.Logf("%.0f commits a second", groups*each/time.Since(began).Seconds())
		for n := range groups {
			got, err := k.Committed(t.Context(), name(n))
			if err != nil || len(got) != 1 || got[0].Offset != each-1 || got[0].Metadata != fmt.Sprint(n) {
				t.Errorf("group %d: got %v, %v", n, got, err)
			}
		}
	})
}

// Without a broker it is said at once; with one again, commits go on.
func TestOffsetsWithoutABroker(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	k := newKeeper(t, b)
	b.Topic(t, "away", 1, nil)
	at := []stream.GroupOffset{groupOffset(k.there("away")[0], 0, 1, "x")}
	if err := k.Commit(t.Context(), k.group, at); err != nil {
		t.Fatal(err)
	}
	b.Stop(t)
	wantCode(t, k.Commit(t.Context(), k.group, at), stream.KafkaUnavailable)
	b.Start(t)
	kafkatest.Eventually(t, patience, func() error { return k.Commit(t.Context(), k.group, at) })
}

// The second client that commits is let in by every security protocol and
// mechanism that the first is.
func TestOffsetsWithEverySecurity(t *testing.T) {
	s := kafkatest.KafkaSecured(t)
	fresh := s.Topic(t, "secret", 1, nil)
	for name, options := range map[string]kafka.Options{
		"SSL":        secured(s, "SSL", ""),
		"PLAIN":      secured(s, "SASL_PLAINTEXT", "PLAIN"),
		"SCRAM-256":  secured(s, "SASL_SSL", "SCRAM-SHA-256"),
		"SCRAM-512":  secured(s, "SASL_SSL", "SCRAM-SHA-512"),
		"token file": withTokenFile(t, secured(s, "SASL_SSL", "")),
		"endpoint":   oidc(secured(s, "SASL_PLAINTEXT", ""), endpoint(t, func() (int, string) { return 200, validFor(t, time.Hour) })),
		"unsigned": func() kafka.Options { // which librdkafka alone can do
			o := secured(s, "SASL_PLAINTEXT", "")
			o.SASL.Mechanism = "OAUTHBEARER"
			o.Settings = map[string]string{"enable.sasl.oauthbearer.unsecure.jwt": "true", "sasl.oauthbearer.config": "principal=gateway"}
			return o
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &team{gateway: startWith(t, s.Broker, options), t: t, b: s.Broker, group: s.Prefix() + strings.ReplaceAll(name, " ", "-")}
			k := &keeper{g.keepOffsets(t), g}
			at := groupOffset(k.there(strings.TrimPrefix(fresh, s.Prefix()))[0], 0, 1, "kept")
			if err := k.Commit(t.Context(), k.group, []stream.GroupOffset{at}); err != nil {
				t.Fatal(err)
			}
			k.want(at)
		})
	}
}

func withTokenFile(t *testing.T, o kafka.Options) kafka.Options {
	path := t.TempDir() + "/token"
	write(t, path, validFor(t, time.Hour))
	return withToken(o, path)
}

// What a deleted subscription had committed is deleted; a group that nobody
// knows is as good as deleted.
func TestOffsetsAreForgotten(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		k := newKeeper(t, b)
		b.Topic(t, "left", 2, nil)
		l := k.there("left")[0]
		group := b.Prefix() + "left"
		if err := k.Commit(t.Context(), group, []stream.GroupOffset{groupOffset(l, 0, 3, "a"), groupOffset(l, 1, 5, "b")}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := k.Forget(t.Context(), group); err != nil {
				t.Fatal(err)
			}
			if left, err := k.Committed(t.Context(), group); err != nil || len(left) != 0 {
				t.Errorf("%v, %v", left, err)
			}
		}
	})
}
