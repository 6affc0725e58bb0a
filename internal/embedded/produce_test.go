package embedded_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/embedded"
	"sluice/internal/kafkatest"
)

func TestCompactedTopicsNeedKeys(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		plain := b.Topic(t, "plain", 1, nil)
		topic := b.Topic(t, "compacted", 1, map[string]string{"cleanup.policy": "compact"})
		keyless := &kgo.Record{Topic: topic, Value: []byte("x")}
		if err := b.Client(t).ProduceSync(t.Context(), keyless).FirstErr(); !errors.Is(err, kerr.InvalidRecord) {
			t.Errorf("got %v, want INVALID_RECORD", err)
		}
		b.Produce(t,
			&kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("x")},
			&kgo.Record{Topic: topic, Key: []byte(""), Value: nil},
			&kgo.Record{Topic: plain, Value: []byte("x")})

		// The policy is asked for again when it may have changed.
		policy := "compact"
		admin := kadm.NewClient(b.Client(t))
		if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy}}, plain); err != nil {
			t.Fatal(err)
		}
		if err := b.Client(t).ProduceSync(t.Context(), &kgo.Record{Topic: plain, Value: []byte("x")}).FirstErr(); !errors.Is(err, kerr.InvalidRecord) {
			t.Errorf("after the change: got %v, want INVALID_RECORD", err)
		}
	})
}

// record encodes one record as a batch holds it.
func record(offset int64, headers int64, tail string) []byte {
	body := []byte{0}                        // attributes
	body = binary.AppendVarint(body, 0)      // timestamp
	body = binary.AppendVarint(body, offset) // offset
	body = append(binary.AppendVarint(body, 1), 'k')
	body = append(binary.AppendVarint(body, 1), 'v')
	body = append(binary.AppendVarint(body, headers), tail...)
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

func batch(count int32, records []byte) []byte {
	b := kmsg.RecordBatch{Magic: 2, NumRecords: count, LastOffsetDelta: count - 1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, Records: records}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

func TestMalformedBatchesAreRefused(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		topic := b.Topic(t, "x", 1, nil)
		good := record(0, 0, "")
		for name, tt := range map[string]struct {
			raw []byte
			ok  bool
		}{
			"good":                {batch(2, slices.Concat(good, record(1, 0, ""))), true},
			"with header":         {batch(1, record(0, 1, "\x02h\x02v")), true},
			"fewer than said":     {batch(2, good), false},
			"more than said":      {batch(1, slices.Concat(good, record(1, 0, ""))), false},
			"none":                {batch(0, nil), false},
			"length beyond end":   {batch(1, append(binary.AppendVarint(nil, 1000), good[1:]...)), false},
			"negative length":     {batch(1, append(binary.AppendVarint(nil, -5), good[1:]...)), false},
			"endless length":      {batch(1, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), false},
			"headers missing":     {batch(1, record(0, 3, "")), false},
			"too many headers":    {batch(1, record(0, 1<<40, "")), false},
			"bytes after headers": {batch(1, record(0, 0, "rest")), false},
		} {
			t.Run(name, func(t *testing.T) {
				if code := produceRaw(t, b, topic, tt.raw); (code == 0) != tt.ok {
					t.Errorf("got code %d (%v)", code, kerr.ErrorForCode(code))
				}
			})
		}
	})
}

// Kafka corrects such offsets or takes them; kfake would store them as they are.
func TestWrongOffsetsInABatchAreRefused(t *testing.T) {
	b := kafkatest.Embedded(t)
	if code := produceRaw(t, b, b.Topic(t, "x", 1, nil), batch(1, record(5, 0, ""))); code == 0 {
		t.Error("was stored")
	}
}

func produceRaw(t *testing.T, b *kafkatest.Broker, topic string, raw []byte) int16 {
	t.Helper()
	c := b.Client(t)
	metadata, err := kadm.NewClient(c).ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, metadata[topic].ID
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = raw
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	var code int16
	kafkatest.Eventually(t, patience, func() error {
		resp, err := req.RequestWith(t.Context(), c)
		if err != nil {
			return err
		}
		code = resp.Topics[0].Partitions[0].ErrorCode
		if err := kerr.ErrorForCode(code); code != kerr.CorruptMessage.Code && kerr.IsRetriable(err) {
			return err // Kafka answers before a new topic has settled
		}
		return nil
	})
	return code
}

func BenchmarkProduce(b *testing.B) {
	broker := kafkatest.EmbeddedWith(b, embedded.Options{})
	topic := broker.Topic(b, "x", 1, nil)
	c := broker.Client(b, kgo.ProducerLinger(0))
	value := make([]byte, 200)
	for b.Loop() {
		c.Produce(b.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: value}, nil)
	}
	if err := c.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}
