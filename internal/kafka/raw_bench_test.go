package kafka

import (
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// The raw loops are the baselines of test/bench: what confluent-kafka-go does
// by itself on the same broker, with the same guarantees.

func rawProducer(b *testing.B, settings ckafka.ConfigMap) (*ckafka.Producer, string) {
	b.Helper()
	server, topic := os.Getenv("SLUICE_TEST_KAFKA"), os.Getenv("SLUICE_BENCH_TOPIC")
	if server == "" || topic == "" {
		b.Skip("SLUICE_TEST_KAFKA and SLUICE_BENCH_TOPIC say where to publish; test/bench/run sets them")
	}
	cfg := ckafka.ConfigMap{
		"bootstrap.servers": server, "acks": "all", "enable.idempotence": true, "partitioner": "murmur2_random",
		"queue.buffering.max.messages": 1_000_000, "go.delivery.report.fields": "none", "go.logs.channel.enable": true,
	}
	maps.Copy(cfg, settings)
	p, err := ckafka.NewProducer(&cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	go func() {
		for range p.Logs() { // librdkafka's lines are of no interest here
		}
	}()
	return p, topic
}

func rawMessage(topic *string) *ckafka.Message {
	return &ckafka.Message{
		TopicPartition: ckafka.TopicPartition{Topic: topic, Partition: ckafka.PartitionAny},
		Value:          []byte(`{"schema":"Bench:1","data":` + strings.Repeat("1", 200) + "}"),
	}
}

// BenchmarkRawAsync queues records as fast as it can and waits for all reports.
func BenchmarkRawAsync(b *testing.B) {
	p, topic := rawProducer(b, ckafka.ConfigMap{"linger.ms": 5})
	reported := make(chan struct{})
	go func() {
		n := 0
		for ev := range p.Events() {
			if m, ok := ev.(*ckafka.Message); ok {
				if m.TopicPartition.Error != nil {
					b.Error(m.TopicPartition.Error)
				}
				if n++; n == b.N {
					close(reported)
				}
			}
		}
	}()
	start := time.Now()
	for range b.N {
		for {
			err := p.Produce(rawMessage(&topic), nil)
			if err == nil {
				break
			}
			p.Flush(1) // the queue is full
		}
	}
	<-reported
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "records/s")
}

// BenchmarkRawOneAtATime waits for each report before the next record.
func BenchmarkRawOneAtATime(b *testing.B) {
	p, topic := rawProducer(b, ckafka.ConfigMap{"linger.ms": 0})
	start := time.Now()
	for b.Loop() {
		if err := p.Produce(rawMessage(&topic), nil); err != nil {
			b.Fatal(err)
		}
		for ev := range p.Events() {
			if m, ok := ev.(*ckafka.Message); ok {
				if m.TopicPartition.Error != nil {
					b.Fatal(m.TopicPartition.Error)
				}
				break
			}
		}
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "records/s")
}
