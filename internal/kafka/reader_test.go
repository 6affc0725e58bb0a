package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

func reader(t *testing.T, b *kafkatest.Broker) *kafka.Reader {
	t.Helper()
	g := start(t, b)
	r := kafka.NewReader(g.Cluster, stream.Topics{Prefix: b.Prefix()})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestReaderReads(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		r := reader(t, b)
		topic := b.Topic(t, "read", 2, nil)
		at := time.UnixMilli(1_700_000_000_123).UTC()
		b.Produce(t,
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte(`{"schema":"S:1","data": {"a":1} }`), Key: []byte("k"), Timestamp: at},
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte(`{"b":2}`), Headers: []kgo.RecordHeader{{Key: "x"}, {Key: stream.SchemaHeader, Value: []byte("T:3")}}, Timestamp: at},
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte{0, 0, 0, 0, 7, 0xff}, Timestamp: at},
			&kgo.Record{Topic: topic, Partition: 1, Key: []byte("gone"), Timestamp: at},
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte(`[1]`), Timestamp: at},
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte{}, Timestamp: at},
		)
		want := []stream.Record{
			{Schema: "S:1", Key: []byte("k"), Data: []byte(` {"a":1} `), Value: []byte(`{"schema":"S:1","data": {"a":1} }`)},
			{Schema: "T:3", Headers: []stream.Header{{Name: "x"}}, Data: []byte(`{"b":2}`), Value: []byte(`{"b":2}`)},
			{Value: []byte{0, 0, 0, 0, 7, 0xff}},
			{Key: []byte("gone")},
			{Data: []byte(`[1]`), Value: []byte(`[1]`)},
			{Value: []byte{}},
		}
		for i := len(want) - 1; i >= 0; i-- {
			got, err := r.Read(t.Context(), "read", 1, int64(i))
			if err != nil {
				t.Fatalf("offset %d: %v", i, err)
			}
			want[i].Stream, want[i].Partition, want[i].Offset, want[i].Timestamp = "read", 1, int64(i), at
			if d := cmp.Diff(want[i], got); d != "" {
				t.Errorf("offset %d (-want +got):\n%s", i, d)
			}
		}
		for _, at := range []struct {
			partition int32
			offset    int64
		}{{1, 6}, {1, 1 << 40}, {0, 0}, {2, 0}, {-1, 0}, {1, -1}} {
			_, err := r.Read(t.Context(), "read", at.partition, at.offset)
			wantCode(t, err, stream.UnknownRecord)
		}
		_, err := r.Read(t.Context(), "nowhere", 0, 0)
		wantCode(t, err, stream.UnknownStream)
		_, err = r.Read(t.Context(), "../read", 0, 0)
		wantCode(t, err, stream.InvalidRequest)
	})
}

// What a transaction has not committed is not read, and neither are the marks
// that end one.
func TestReaderReadsOnlyWhatIsCommitted(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		r := reader(t, b)
		topic := b.Topic(t, "tx", 1, nil)
		c := b.Client(t, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
		transaction := func(value string, end kgo.TransactionEndTry) {
			t.Helper()
			if err := c.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := c.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := c.EndTransaction(context.Background(), end); err != nil {
				t.Fatal(err)
			}
		}
		transaction("aborted", kgo.TryAbort)    // 0, its mark 1
		transaction("committed", kgo.TryCommit) // 2, its mark 3
		b.Produce(t, &kgo.Record{Topic: topic, Value: []byte("plain")})
		for offset, want := range []string{"", "", "committed", "", "plain"} {
			got, err := r.Read(t.Context(), "tx", 0, int64(offset))
			if want == "" {
				wantCode(t, err, stream.UnknownRecord)
			} else if err != nil || string(got.Value) != want {
				t.Errorf("offset %d: got %q, %v", offset, got.Value, err)
			}
		}
	})
}
