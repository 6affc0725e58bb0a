package kafka_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

func TestAdmin(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		a, ctx := g.admin, t.Context()
		name := b.Prefix() + "made.here"
		b.DeleteLater(t, name)

		created, err := a.Create(ctx, stream.TopicSpec{Name: name, Partitions: 2, Config: map[string]string{"retention.ms": "60000"}})
		if err != nil || !created {
			t.Fatalf("create: %v, %v", created, err)
		}
		if created, err = a.Create(ctx, stream.TopicSpec{Name: name}); err != nil || created {
			t.Errorf("create again: %v, %v", created, err)
		}
		got, err := a.Topic(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID == "" {
			t.Error("the topic has no id")
		}
		got.ID = ""
		if d := cmp.Diff(stream.Topic{Name: name, Partitions: 2, ReplicationFactor: 1, Config: map[string]string{"retention.ms": "60000"}}, got); d != "" {
			t.Errorf("topic (-want +got):\n%s", d)
		}

		compact := "compact"
		if err := a.Configure(ctx, name, map[string]*string{"retention.ms": nil, "cleanup.policy": &compact}); err != nil {
			t.Fatal(err)
		}
		if err := a.AddPartitions(ctx, name, 5); err != nil {
			t.Fatal(err)
		}
		if got, err = a.Topic(ctx, name); err != nil || got.Partitions != 5 {
			t.Errorf("got %+v, %v", got, err)
		}
		if d := cmp.Diff(map[string]string{"cleanup.policy": "compact"}, got.Config); d != "" {
			t.Errorf("settings (-want +got):\n%s", d)
		}

		if err := a.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		wantCode(t, a.Delete(ctx, name), stream.UnknownStream)
		_, err = a.Topic(ctx, name)
		wantCode(t, err, stream.UnknownStream)
	})
}

func TestAdminTellsWhatKafkaRefuses(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		b.Topic(t, "a.b", 2, nil)
		bad, short := "zzz", b.Prefix()+"a.b"
		create := func(s stream.TopicSpec) error {
			_, err := g.admin.Create(t.Context(), s)
			return err
		}
		for i, tc := range []struct {
			err  error
			code stream.Code
		}{
			{create(stream.TopicSpec{Name: b.Prefix() + "a_b"}), stream.NameCollision},
			{create(stream.TopicSpec{Name: b.Prefix() + "no way"}), stream.InvalidRequest},
			{create(stream.TopicSpec{Name: b.Prefix() + "c", Config: map[string]string{"no.such.setting": "1"}}), stream.InvalidRequest},
			{create(stream.TopicSpec{Name: b.Prefix() + "c", Config: map[string]string{"retention.ms": bad}}), stream.InvalidRequest},
			{create(stream.TopicSpec{Name: b.Prefix() + "c", ReplicationFactor: 9}), stream.InvalidRequest},
			{g.admin.Configure(t.Context(), short, map[string]*string{"retention.ms": &bad}), stream.InvalidRequest},
			{g.admin.AddPartitions(t.Context(), short, 1), stream.InvalidRequest},
			{g.admin.AddPartitions(t.Context(), b.Prefix()+"nowhere", 3), stream.UnknownStream},
		} {
			if got := stream.CodeOf(tc.err); got != tc.code {
				t.Errorf("%d: got %q (%v), want %q", i, got, tc.err, tc.code)
			}
		}
	})
}

// A topic that was deleted stays so, though brokers may create topics that
// clients ask about, and this producer still knows it.
func TestDeletedTopicsStayDeleted(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "gone", 1, nil)
		g.store(t, message(topic, "k", "v"))
		if err := g.admin.Delete(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			wantCode(t, await(t, g.send(message(topic, "k", "v"))).err, stream.UnknownStream)
			if err := g.Refresh(t.Context(), topic); stream.CodeOf(err) != stream.UnknownStream {
				t.Fatalf("refresh: %v", err)
			}
		}
		topics, err := g.admin.Topics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range topics {
			if other.Name == topic {
				t.Error(fmt.Errorf("%s is back", topic))
			}
		}
	})
}
