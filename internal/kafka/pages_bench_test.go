package kafka_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// BenchmarkReadPages reads records of 200 bytes by pages of 1 MiB, as a
// follower does that catches up. One iteration is one record.
func BenchmarkReadPages(b *testing.B) {
	broker := kafkatest.Kafka(b)
	for _, partitions := range []int32{1, 6} {
		b.Run(fmt.Sprint("partitions=", partitions), func(b *testing.B) {
			r := openReaders(b, broker, openCluster(b, broker, ""), 0)
			spans := fill(b, broker, partitions)
			b.ResetTimer()
			for read := 0; read < b.N; {
				p, err := r.Read(b.Context(), spans, stream.PageLimit{Records: 10000, Bytes: 1 << 20})
				if err != nil {
					b.Fatal(err)
				}
				read, spans = read+len(p.Records), p.Left
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// fill stores b.N records or a few more, and gives the spans that hold them.
func fill(b *testing.B, broker *kafkatest.Broker, partitions int32) []stream.Span {
	b.Helper()
	id := fmt.Sprintf("bench.%d.%d", partitions, b.N)
	topic := broker.Topic(b, id, partitions, nil)
	c := broker.Client(b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	value := fmt.Appendf(nil, `{"schema":"Bench:1","data":{"text":%q}}`, strings.Repeat("x", 200-42))
	each := b.N/int(partitions) + 1
	for p := range partitions {
		for range each {
			c.Produce(b.Context(), &kgo.Record{Topic: topic, Partition: p, Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					b.Error(err)
				}
			})
		}
	}
	if err := c.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	spans := make([]stream.Span, partitions)
	for p := range partitions {
		spans[p] = spanOf(id, p, 0, int64(each))
	}
	return spans
}
