package embedded_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafkatest"
)

// deleteBefore asks for the deletion of partition 0's records.
func deleteBefore(t *testing.T, b *kafkatest.Broker, topic string, offset int64) (begin int64, err error) {
	t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 10_000
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = topic
	rt.Partitions = []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: offset}}
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(t.Context(), b.Client(t))
	if err != nil {
		t.Fatal(err)
	}
	p := resp.Topics[0].Partitions[0]
	return p.LowWatermark, kerr.ErrorForCode(p.ErrorCode)
}

func TestDeleteRecordsIsAnsweredAsKafkaDoes(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		compacted := b.Topic(t, "compacted", 1, map[string]string{"cleanup.policy": "compact"})
		both := b.Topic(t, "both", 1, map[string]string{"cleanup.policy": "compact,delete"})
		plain := b.Topic(t, "plain", 1, nil)
		for _, topic := range []string{compacted, both, plain} {
			for range 5 {
				b.Produce(t, rec(topic, "k", "v", 0))
			}
		}
		for _, tt := range []struct {
			topic  string
			offset int64
			begin  int64
			want   *kerr.Error
		}{
			{compacted, 2, 0, kerr.PolicyViolation},
			{both, 2, 2, nil},
			{plain, 3, 3, nil},
			{plain, 1, 3, nil}, // before the beginning
			{plain, 6, 0, kerr.OffsetOutOfRange},
			{plain, 4, 4, nil},
		} {
			begin, err := deleteBefore(t, b, tt.topic, tt.offset)
			if !same(err, tt.want) || tt.want == nil && begin != tt.begin {
				t.Errorf("%s before %d: %d, %v; want %d, %v", tt.topic, tt.offset, begin, err, tt.begin, tt.want)
			}
		}
	})
}

// A partition without records would begin again at 0 when the broker is started
// again, under readers that are further on.
func TestDeletedRecordsLeaveTheOffsets(t *testing.T) {
	b := kafkatest.Embedded(t)
	topic := b.Topic(t, "all", 1, nil)
	for range 3 {
		b.Produce(t, rec(topic, "k", "v", 0))
	}
	for range 2 {
		if begin, err := deleteBefore(t, b, topic, -1); begin != 2 || err != nil {
			t.Errorf("got %d, %v", begin, err)
		}
	}
	b.Stop(t)
	b.Start(t)
	ends, err := kadm.NewClient(b.Client(t)).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if end, _ := ends.Lookup(topic, 0); end.Offset != 3 {
		t.Errorf("the partition ends at %d, want 3", end.Offset)
	}
}
