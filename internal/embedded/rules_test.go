package embedded_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"sluice/internal/kafkatest"
)

func same(err error, want *kerr.Error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}

// These tables run on both brokers: the embedded one must take and refuse what
// Kafka takes and refuses.

func TestCreateTopicChecksNames(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		admin := kadm.NewClient(b.Client(t))
		b.Topic(t, "there.one", 1, nil)
		for _, tt := range []struct {
			name string
			want *kerr.Error
		}{
			{"", kerr.InvalidTopicException},
			{".", kerr.InvalidTopicException},
			{"..", kerr.InvalidTopicException},
			{"bad name!", kerr.InvalidTopicException},
			{"ä", kerr.InvalidTopicException},
			{strings.Repeat("a", 250), kerr.InvalidTopicException},
			{strings.Repeat("a", 249), nil},
			{b.Prefix() + "A-Za_z.09", nil},
			{b.Prefix() + "there_one", kerr.InvalidTopicException},
			{b.Prefix() + "there.one", kerr.TopicAlreadyExists},
		} {
			got, err := admin.ValidateCreateTopics(t.Context(), 1, 1, nil, tt.name)
			if err != nil {
				t.Fatal(err)
			}
			if !same(got[tt.name].Err, tt.want) {
				t.Errorf("%.20q: got %v (%s), want %v", tt.name, got[tt.name].Err, got[tt.name].ErrMessage, tt.want)
			}
		}
	})
}

func TestCreateTopicChecksCounts(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		admin := kadm.NewClient(b.Client(t))
		for _, tt := range []struct {
			partitions int32
			replicas   int16
			want       *kerr.Error
		}{
			{-1, -1, nil},
			{10, 1, nil},
			{0, 1, kerr.InvalidPartitions},
			{-2, 1, kerr.InvalidPartitions},
			{1, 0, kerr.InvalidReplicationFactor},
			{1, -2, kerr.InvalidReplicationFactor},
			{1, 9, kerr.InvalidReplicationFactor},
		} {
			got, err := admin.ValidateCreateTopics(t.Context(), tt.partitions, tt.replicas, nil, b.Prefix()+"x")
			if err != nil {
				t.Fatal(err)
			}
			if err := got[b.Prefix()+"x"].Err; !same(err, tt.want) {
				t.Errorf("%d partitions, %d replicas: got %v, want %v", tt.partitions, tt.replicas, err, tt.want)
			}
		}
	})
}

func TestCreateTopicChecksSettings(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		admin := kadm.NewClient(b.Client(t))
		topic := b.Prefix() + "x"
		for _, tt := range settings() {
			name, value, _ := strings.Cut(tt.setting, "=")
			got, err := admin.ValidateCreateTopics(t.Context(), 1, 1, map[string]*string{name: &value}, topic)
			if err != nil {
				t.Fatal(err)
			}
			if !same(got[topic].Err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.setting, got[topic].Err, tt.want)
			}
			if tt.want != nil && !strings.Contains(got[topic].ErrMessage, name) {
				t.Errorf("%s: the message %q does not name it", tt.setting, got[topic].ErrMessage)
			}
		}
	})
}

func TestAlterConfigsChecksSettings(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		admin := kadm.NewClient(b.Client(t))
		topic := b.Topic(t, "x", 1, nil)
		for _, tt := range settings() {
			name, value, _ := strings.Cut(tt.setting, "=")
			change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}
			got, err := admin.ValidateAlterTopicConfigs(t.Context(), change, topic)
			if err != nil {
				t.Fatal(err)
			}
			if !same(got[0].Err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.setting, got[0].Err, tt.want)
			}
			got, err = admin.ValidateAlterTopicConfigsState(t.Context(), change, topic)
			if err != nil {
				t.Fatal(err)
			}
			if !same(got[0].Err, tt.want) {
				t.Errorf("%s, replacing all: got %v, want %v", tt.setting, got[0].Err, tt.want)
			}
		}
	})
}

type settingCase struct {
	setting string
	want    *kerr.Error
}

func settings() []settingCase {
	return []settingCase{
		{"retention.ms=-1", nil},
		{"retention.ms= 60000 ", nil},
		{"retention.ms=-2", kerr.InvalidConfig},
		{"retention.ms=zzz", kerr.InvalidConfig},
		{"retention.ms=99999999999999999999", kerr.InvalidConfig},
		{"retention.bytes=-2", nil},
		{"max.message.bytes=2147483648", kerr.InvalidConfig},
		{"min.insync.replicas=0", kerr.InvalidConfig},
		{"min.insync.replicas=x", kerr.InvalidConfig},
		{"segment.bytes=14", kerr.InvalidConfig},
		{"segment.bytes=1048576", nil},
		{"cleanup.policy=compact,delete", nil},
		{"cleanup.policy=compact, delete", nil},
		{"cleanup.policy=nonsense", kerr.InvalidConfig},
		{"cleanup.policy=Compact", kerr.InvalidConfig},
		{"compression.type=zstd", nil},
		{"compression.type=foo", kerr.InvalidConfig},
		{"message.timestamp.type=LogAppendTime", nil},
		{"message.timestamp.type=now", kerr.InvalidConfig},
		{"min.cleanable.dirty.ratio=0.5", nil},
		{"min.cleanable.dirty.ratio=1.5", kerr.InvalidConfig},
		{"preallocate=TRUE", nil},
		{"preallocate=maybe", kerr.InvalidConfig},
		{"unknown.name=1", kerr.InvalidConfig},
		{"sluice.retention.ms=1", kerr.InvalidConfig},
	}
}

func TestGoodTopicsOfABadRequestAreCreated(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		admin := kadm.NewClient(b.Client(t))
		good, bad := b.Prefix()+"good", b.Prefix()+"bad!"
		b.DeleteLater(t, good)
		got, err := admin.CreateTopics(t.Context(), 1, 1, nil, good, bad)
		if err != nil {
			t.Fatal(err)
		}
		if !same(got[good].Err, nil) || !same(got[bad].Err, kerr.InvalidTopicException) {
			t.Errorf("got %v and %v", got[good].Err, got[bad].Err)
		}
		kafkatest.Eventually(t, 10*time.Second, func() error { // Kafka shows it a moment later
			found, err := admin.ListTopics(t.Context(), good)
			if err == nil && !found.Has(good) {
				err = errors.New("the good topic was not created")
			}
			return err
		})
	})
}

func TestMetadataRefusesBadNames(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		found, err := kadm.NewClient(b.Client(t)).ListTopics(t.Context(), "bad name!")
		if err != nil {
			t.Fatal(err)
		}
		if got := found["bad name!"].Err; !same(got, kerr.InvalidTopicException) {
			t.Errorf("got %v", got)
		}
	})
}

func TestDescribeConfigs(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		admin := kadm.NewClient(b.Client(t))
		topic := b.Topic(t, "x", 1, map[string]string{"retention.ms": "60000"})
		add := "compact"
		if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: &add}}, topic); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"retention.ms":           "DYNAMIC_TOPIC_CONFIG 60000",
			"cleanup.policy":         "DYNAMIC_TOPIC_CONFIG delete,compact",
			"max.message.bytes":      "DEFAULT_CONFIG 1048588",
			"message.timestamp.type": "DEFAULT_CONFIG CreateTime",
		}
		got := make(map[string]string)
		kafkatest.Eventually(t, 10*time.Second, func() error { // a broker learns of a change a moment later
			described, err := admin.DescribeTopicConfigs(t.Context(), topic)
			if err != nil {
				return err
			}
			for _, c := range described[0].Configs {
				got[c.Key] = c.Source.String() + " " + c.MaybeValue()
			}
			for name := range want {
				if diff := cmp.Diff(want[name], got[name]); diff != "" {
					return fmt.Errorf("%s: %s", name, diff)
				}
			}
			return nil
		})
		if _, ok := got["sluice.retention.ms"]; ok {
			t.Error("the hidden setting is shown")
		}
	})
}

func TestDescribeConfigsOfAnUnknownTopic(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		described, err := kadm.NewClient(b.Client(t)).DescribeTopicConfigs(t.Context(), b.Prefix()+"nothing")
		if err != nil {
			t.Fatal(err)
		}
		if got := described[0].Err; !same(got, kerr.UnknownTopicOrPartition) {
			t.Errorf("got %v", got)
		}
	})
}

func TestOffsetsOfAnUnknownGroup(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		admin := kadm.NewClient(b.Client(t))
		topic := b.Topic(t, "x", 2, nil)
		used, fresh := b.Prefix()+"used", b.Prefix()+"fresh"
		var commit kadm.Offsets
		commit.Add(kadm.Offset{Topic: topic, Partition: 1, At: 7, LeaderEpoch: -1, Metadata: "m"})
		if err := admin.CommitAllOffsets(t.Context(), used, commit); err != nil {
			t.Fatal(err)
		}
		for _, groups := range [][]string{{fresh}, {used, fresh}} {
			got := admin.FetchManyOffsets(t.Context(), groups...)
			if err := got.AllFailed(); err {
				t.Fatalf("%v: %v", groups, got)
			}
			if err := got[fresh].Err; err != nil || len(got[fresh].Fetched) != 0 {
				t.Errorf("%v: the fresh group got %v and %v", groups, got[fresh].Fetched, err)
			}
			if len(groups) == 1 {
				continue
			}
			if o, ok := got[used].Fetched.Lookup(topic, 1); !ok || o.At != 7 || o.Metadata != "m" {
				t.Errorf("the used group got %v", got[used])
			}
		}
		one, err := admin.FetchOffsetsForTopics(t.Context(), fresh, topic)
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := one.Lookup(topic, 1); !ok || o.At != -1 {
			t.Errorf("got %v, want the offset -1", one)
		}
	})
}

func TestEmbeddedRefusesWhatItCouldNotKeep(t *testing.T) {
	b := kafkatest.Embedded(t)
	admin := kadm.NewClient(b.Client(t))
	limit, policy := "1000", "compact"
	_, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &policy, "retention.bytes": &limit}, "x")
	if !same(err, kerr.InvalidConfig) {
		t.Errorf("retention.bytes on a compacted topic: got %v", err)
	}
	if _, err := admin.CreateTopic(t.Context(), 10_001, 1, nil, "x"); !same(err, kerr.InvalidPartitions) {
		t.Errorf("too many partitions: got %v", err)
	}
	topic := b.Topic(t, "x", 1, map[string]string{"retention.bytes": limit})
	got, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy}}, topic)
	if err != nil || !same(got[0].Err, kerr.InvalidConfig) {
		t.Errorf("compaction beside retention.bytes: got %v, %v", got, err)
	}
	more, err := admin.UpdatePartitions(t.Context(), 10_001, topic)
	if err != nil || !same(more[topic].Err, kerr.InvalidPartitions) {
		t.Errorf("more partitions: got %v, %v", more, err)
	}
	got, err = admin.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "log.retention.ms", Value: &limit}})
	if err != nil || !same(got[0].Err, kerr.InvalidConfig) {
		t.Errorf("the broker's own settings: got %v, %v", got, err)
	}
}
