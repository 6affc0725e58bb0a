package kafka_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// ordinary is an ordinary consumer in a group.
func ordinary(t *testing.T, k *keeper, group, protocol string, topics ...string) *kgo.Client {
	t.Helper()
	opts := []kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.ClientID("ordinary"), kgo.DisableAutoCommit()}
	if protocol == stream.GroupConsumer {
		opts = append(opts, kgo.ServerSideBalancer())
	}
	return k.b.Client(t, opts...)
}

// A group of ordinary consumers is listed and described, with its members, and
// is not changed as long as it has some. Topics that are no streams are counted.
func TestGroupsOfOrdinaryConsumers(t *testing.T) {
	t.Parallel()
	for name, protocol := range map[string]string{"classic": stream.GroupClassic, "consumer": stream.GroupConsumer, "librdkafka": stream.GroupClassic} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
				t.Parallel()
				k := newKeeper(t, b)
				if name == "librdkafka" {
					k = k.throughLibrdkafka()
				}
				g := kafka.NewGroups(k.Offsets)
				streamTopic, foreign := b.Topic(t, "read", 2, nil), k.foreign("x"+b.Prefix()+"other")
				ls := k.there("read")
				id := b.Prefix() + protocol
				c := ordinary(t, k, id, protocol, streamTopic, foreign)
				var got stream.Group
				kafkatest.Eventually(t, patience, func() (err error) {
					got, err = g.Describe(t.Context(), id)
					if err == nil && (got.State != "stable" || len(got.Members) != 1 || len(got.Members[0].Assignment) != 2 || got.Members[0].Others != 1) {
						err = fmt.Errorf("it is %+v", got)
					}
					return err
				})
				want := stream.Group{
					ID: id, State: "stable", Protocol: protocol, Members: []stream.GroupMember{{
						ClientID: "ordinary", Host: "127.0.0.1", Others: 1,
						Assignment: []stream.Partition{{Stream: "read"}, {Stream: "read", Number: 1}},
					}},
				}
				ignored := []cmp.Option{cmpopts.IgnoreFields(stream.Group{}, "Assignor", "Coordinator"), cmpopts.IgnoreFields(stream.GroupMember{}, "ID")}
				if d := cmp.Diff(want, got, ignored...); d != "" || got.Members[0].ID == "" || got.Assignor == "" {
					t.Errorf("described (-want +got):\n%s%+v", d, got)
				}
				own := func(id string) bool { return strings.HasPrefix(id, b.Prefix()) }
				list, err := g.List(t.Context(), own)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff([]stream.Group{got}, list); d != "" {
					t.Errorf("listed (-want +got):\n%s", d)
				}
				set := []stream.GroupOffset{groupOffset(ls[0], 0, 0, "")}
				for what, err := range map[string]error{
					"set": g.Set(t.Context(), id, set), "delete": g.Delete(t.Context(), id),
				} {
					if stream.CodeOf(err) != stream.GroupActive {
						t.Errorf("%s: %v", what, err)
					}
				}
				c.Close()
				k.awaitEmpty(g, id)
				k.changes(g, id, ls[0])
			})
		})
	}
}

// throughLibrdkafka is a keeper that franz-go cannot help: a setting is known to
// librdkafka alone.
func (k *keeper) throughLibrdkafka() *keeper {
	k.t.Helper()
	options := kafka.Options{BootstrapServers: []string{k.b.Addr}, Settings: map[string]string{"ssl.curves.list": "P-256"}}
	g := &team{gateway: startWith(k.t, k.b, options), t: k.t, b: k.b, group: k.group}
	return &keeper{g.keepOffsets(k.t), g}
}

// foreign makes a topic that is no stream: its name has another prefix.
func (k *keeper) foreign(name string) string {
	k.t.Helper()
	admin := kafkatest.Broker{Name: k.b.Name, Addr: k.b.Addr}
	return admin.Topic(k.t, name, 1, nil)
}

func (k *keeper) awaitEmpty(g *kafka.Groups, id string) {
	k.t.Helper()
	kafkatest.Eventually(k.t, patience, func() error {
		got, err := g.Describe(k.t.Context(), id)
		if err == nil && (got.State != "empty" || len(got.Members) > 0) {
			err = fmt.Errorf("it is %+v", got)
		}
		return err
	})
}

// changes moves a group without members, forgets a part of it, and all.
func (k *keeper) changes(g *kafka.Groups, id string, l stream.Layout) {
	k.t.Helper()
	ctx := k.t.Context()
	if err := g.Set(ctx, id, []stream.GroupOffset{groupOffset(l, 0, 3, ""), groupOffset(l, 1, 0, "")}); err != nil {
		k.t.Fatal(err)
	}
	k.group = id
	noted := "topic=" + l.TopicID
	k.want(groupOffset(l, 0, 3, noted), groupOffset(l, 1, 0, noted))
	committed, err := k.Committed(ctx, id)
	if err != nil {
		k.t.Fatal(err)
	}
	anew := l
	anew.TopicID = "AAAAAAAAAAAAAAAAAAAAAA"
	if kafka.CommittedElsewhere(committed[0], l) || !kafka.CommittedElsewhere(committed[0], anew) {
		k.t.Error("the topic of a commit is not known")
	}
	if err := g.Forget(ctx, id, []stream.Partition{{Stream: l.Stream, Number: 1}}); err == nil {
		k.want(groupOffset(l, 0, 3, noted))
	} else if stream.CodeOf(err) != stream.InvalidRequest || !strings.Contains(k.t.Name(), "librdkafka") {
		k.t.Fatal(err)
	}
	if err := g.Delete(ctx, id); err != nil {
		k.t.Fatal(err)
	}
	for what, err := range map[string]error{
		"delete":   g.Delete(ctx, id),
		"describe": func() error { _, err := g.Describe(ctx, id); return err }(),
	} {
		if stream.CodeOf(err) != stream.UnknownGroup {
			k.t.Errorf("%s of what is gone: %v", what, err)
		}
	}
}

// Groups that gateways have among themselves are not listed, those that have
// only offsets are.
func TestWhichGroupsAreListed(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		k := newKeeper(t, b)
		g := kafka.NewGroups(k.Offsets)
		b.Topic(t, "read", 1, nil)
		l := k.there("read")[0]
		for _, id := range []string{"b", "a", "_sluice.readers", "hidden"} {
			if err := k.Commit(t.Context(), b.Prefix()+id, []stream.GroupOffset{groupOffset(l, 0, 0, "")}); err != nil {
				t.Fatal(err)
			}
		}
		list, err := g.List(t.Context(), func(id string) bool {
			return strings.HasPrefix(id, b.Prefix()) && id != b.Prefix()+"hidden"
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []stream.Group{
			{ID: b.Prefix() + "a", State: "empty", Protocol: stream.GroupClassic},
			{ID: b.Prefix() + "b", State: "empty", Protocol: stream.GroupClassic},
		}
		if d := cmp.Diff(want, list, cmpopts.IgnoreFields(stream.Group{}, "Coordinator", "Assignor")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// Without a broker every question has an answer.
func TestGroupsWithoutABroker(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	k := newKeeper(t, b)
	g := kafka.NewGroups(k.Offsets)
	b.Stop(t)
	_, listed := g.List(t.Context(), func(string) bool { return true })
	_, described := g.Describe(t.Context(), "g")
	for _, err := range []error{listed, described, g.Delete(t.Context(), "g")} {
		if stream.CodeOf(err) != stream.KafkaUnavailable {
			t.Errorf("got %v", err)
		}
	}
}
