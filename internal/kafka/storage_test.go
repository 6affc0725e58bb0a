package kafka_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

func storage(t *testing.T, b *kafkatest.Broker) (*gateway, *kafka.Storage) {
	t.Helper()
	g := start(t, b)
	return g, kafka.NewStorage(g.admin, stream.Topics{Prefix: b.Prefix()})
}

// aged stores records of partition 0, a minute apart, the last one now.
func aged(t *testing.T, b *kafkatest.Broker, topic string, n int) (oldest time.Time) {
	t.Helper()
	oldest = time.Now().Add(-time.Duration(n-1) * time.Minute).Truncate(time.Millisecond)
	for i := range n {
		b.Produce(t, &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("v"), Timestamp: oldest.Add(time.Duration(i) * time.Minute)})
	}
	return oldest
}

func TestPartitions(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g, s := storage(t, b)
		aged(t, b, b.Topic(t, "x", 2, nil), 3)
		got, err := s.Partitions(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		node := *got[0].Leader
		for i, p := range got {
			if p.Size == nil || (*p.Size > 0) != (i == 0) {
				t.Errorf("partition %d: size %v", i, p.Size)
			}
			got[i].Size = nil
		}
		want := []stream.PartitionInfo{
			{Number: 0, Leader: &node, Replicas: []int32{node}, InSyncReplicas: []int32{node}, Begin: new(int64(0)), End: new(int64(3))},
			{Number: 1, Leader: &node, Replicas: []int32{node}, InSyncReplicas: []int32{node}, Begin: new(int64(0)), End: new(int64(0))},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		_, err = s.Partitions(t.Context(), "none")
		if e := wantCode(t, err, stream.UnknownStream); e == nil || !strings.Contains(e.Message, `"none"`) {
			t.Error(err)
		}
		if err := g.admin.AddPartitions(t.Context(), b.Prefix()+"x", 3); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, patience, func() error { // a broker may tell of it a moment later
			if got, err := s.Partitions(t.Context(), "x"); err != nil || len(got) != 3 {
				return fmt.Errorf("after a third was added: %+v, %w", got, err)
			}
			return nil
		})
	})
}

// Where the broker does not tell sizes, all else is told.
func TestPartitionsWithoutSizes(t *testing.T) {
	b := kafkatest.Embedded(t)
	_, s := storage(t, b)
	aged(t, b, b.Topic(t, "x", 1, nil), 3)
	b.Cluster(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeLogDirs}, TopLevel: true, Err: kerr.ClusterAuthorizationFailed, Count: -1})
	got, err := s.Partitions(t.Context(), "x")
	if err != nil || len(got) != 1 || got[0].Size != nil || got[0].End == nil || *got[0].End != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSettings(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		_, s := storage(t, b)
		b.Topic(t, "x", 1, map[string]string{"retention.ms": "60000"})
		got, err := s.Settings(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(got, func(a, b stream.Setting) int { return strings.Compare(a.Name, b.Name) }) {
			t.Error("not sorted")
		}
		of := func(name string) stream.Setting {
			i := slices.IndexFunc(got, func(x stream.Setting) bool { return x.Name == name })
			if i < 0 {
				t.Fatalf("there is no %s in %+v", name, got)
			}
			out := got[i]
			if b.Name == "kafka" && out.Documentation == "" {
				t.Errorf("%s has no documentation", name)
			}
			out.Documentation = ""
			return out
		}
		for _, want := range []stream.Setting{
			{Name: "retention.ms", Value: new("60000"), Source: stream.SourceTopic},
			{Name: "cleanup.policy", Value: new("delete"), Source: stream.SourceDefault, Default: true},
		} {
			if d := cmp.Diff(want, of(want.Name)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		}
		_, err = s.Settings(t.Context(), "none")
		wantCode(t, err, stream.UnknownStream)
	})
}

func TestDeleteRecords(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		_, s := storage(t, b)
		oldest := aged(t, b, b.Topic(t, "x", 2, nil), 6)
		all := int64(6)
		if b.Name == "embedded" {
			all = 5 // it keeps the newest
		}
		every := stream.AnyPartition
		for _, tt := range []struct {
			cut  stream.Cut
			want []stream.PartitionBegin
		}{
			{stream.Cut{Partition: 0, Start: stream.FromOffset, Offset: 1}, []stream.PartitionBegin{{Partition: 0, Begin: 1}}},
			{stream.Cut{Partition: 0, Start: stream.FromOffset, Offset: 0}, []stream.PartitionBegin{{Partition: 0, Begin: 1}}},
			{stream.Cut{Partition: every, Start: stream.FromTime, Time: oldest.Add(3 * time.Minute)}, []stream.PartitionBegin{{Partition: 0, Begin: 3}, {Partition: 1, Begin: 0}}},
			{stream.Cut{Partition: every, Start: stream.FromTime, Time: oldest}, []stream.PartitionBegin{{Partition: 0, Begin: 3}, {Partition: 1, Begin: 0}}},
			{stream.Cut{Partition: every, Start: stream.FromLatest}, []stream.PartitionBegin{{Partition: 0, Begin: all}, {Partition: 1, Begin: 0}}},
		} {
			got, err := s.DeleteRecords(t.Context(), "x", tt.cut)
			if err != nil {
				t.Fatalf("%+v: %v", tt.cut, err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%+v: -want +got:\n%s", tt.cut, d)
			}
		}
		if got, err := s.Partitions(t.Context(), "x"); err != nil || *got[0].Begin != all || *got[0].End != 6 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestDeleteRecordsRefused(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		_, s := storage(t, b)
		aged(t, b, b.Topic(t, "x", 1, nil), 2)
		aged(t, b, b.Topic(t, "compacted", 1, map[string]string{"cleanup.policy": "compact"}), 2)
		for _, tt := range []struct {
			id   string
			cut  stream.Cut
			code stream.Code
			says string
		}{
			{"none", stream.Cut{Partition: stream.AnyPartition, Start: stream.FromLatest}, stream.UnknownStream, `"none"`},
			{"x", stream.Cut{Partition: 1, Start: stream.FromLatest}, stream.InvalidRequest, "no partition 1"},
			{"x", stream.Cut{Partition: 0, Start: stream.FromOffset, Offset: 3}, stream.InvalidRequest, "before offset 3"},
			{"compacted", stream.Cut{Partition: 0, Start: stream.FromOffset, Offset: 1}, stream.InvalidRequest, "tombstone"},
		} {
			_, err := s.DeleteRecords(t.Context(), tt.id, tt.cut)
			if e := wantCode(t, err, tt.code); e == nil || !strings.Contains(e.Message, tt.says) {
				t.Errorf("%s %+v: %v", tt.id, tt.cut, err)
			}
		}
	})
}

// A trial is checked by the broker and changes nothing.
func TestTrial(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		trial, ctx := kafka.NewTrial(g.admin), t.Context()
		name := b.Topic(t, "x", 2, nil)
		before, err := g.admin.Topic(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := trial.Create(ctx, stream.TopicSpec{Name: b.Prefix() + "new", Partitions: 1}); err != nil || !ok {
			t.Errorf("create: %v, %v", ok, err)
		}
		if ok, err := trial.Create(ctx, stream.TopicSpec{Name: name}); err != nil || ok {
			t.Errorf("create what is there: %v, %v", ok, err)
		}
		_, err = trial.Create(ctx, stream.TopicSpec{Name: b.Prefix() + "new", Config: map[string]string{"retention.ms": "x"}})
		wantCode(t, err, stream.InvalidRequest)
		if err := trial.AddPartitions(ctx, name, 3); err != nil {
			t.Error(err)
		}
		wantCode(t, trial.AddPartitions(ctx, name, 1), stream.InvalidRequest)
		if err := trial.Configure(ctx, name, map[string]*string{"retention.ms": new("60000")}); err != nil {
			t.Error(err)
		}
		wantCode(t, trial.Configure(ctx, name, map[string]*string{"retention.ms": new("x")}), stream.InvalidRequest)
		if after, err := g.admin.Topic(ctx, name); err != nil || !cmp.Equal(before, after) {
			t.Errorf("got %+v, %v, before %+v", after, err, before)
		}
		_, err = g.admin.Exists(ctx, b.Prefix()+"new")
		wantCode(t, err, stream.UnknownStream)
	})
}
