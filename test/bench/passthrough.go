package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// passthrough publishes each body as it comes, and answers when it is stored:
// net/http and confluent-kafka-go, as a gateway would use them, without anything
// that a gateway is for. So it tells how much of the bare server's speed these
// two leave. It lingers for the millisecond that suits many publishers best;
// with one, that is most of its time.
func passthrough(ctx context.Context, addr, servers, topic string) error {
	producer, err := ckafka.NewProducer(&ckafka.ConfigMap{
		"bootstrap.servers": servers, "acks": "all", "enable.idempotence": true, "linger.ms": 1,
	})
	if err != nil {
		return fmt.Errorf("configure the producer: %w", err)
	}
	defer producer.Close()
	go func() {
		for event := range producer.Events() {
			if m, ok := event.(*ckafka.Message); ok {
				m.Opaque.(chan ckafka.TopicPartition) <- m.TopicPartition
			}
		}
	}()
	reports := sync.Pool{New: func() any { return make(chan ckafka.TopicPartition, 1) }}
	return serve(ctx, addr, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		report := reports.Get().(chan ckafka.TopicPartition)
		defer reports.Put(report)
		record := ckafka.Message{TopicPartition: ckafka.TopicPartition{Topic: &topic, Partition: ckafka.PartitionAny}, Value: body, Opaque: report}
		if err := producer.Produce(&record, nil); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		at := <-report
		if at.Error != nil {
			http.Error(w, at.Error.Error(), http.StatusServiceUnavailable)
			return
		}
		answerCreated(w, int(at.Partition), int64(at.Offset))
	})
}

// answerCreated answers as many bytes as the gateway does.
func answerCreated(w http.ResponseWriter, partition int, offset int64) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	answer := make([]byte, 0, 192)
	answer = append(answer, `{"stream":"bench","partition":`...)
	answer = strconv.AppendInt(answer, int64(partition), 10)
	answer = append(answer, `,"offset":`...)
	answer = strconv.AppendInt(answer, offset, 10)
	answer = append(answer, `,"timestamp":"2026-01-31T12:00:00.123Z","key":null,"headers":{},"schema":"Bench:1"}`+"\n"...)
	_, _ = w.Write(answer) // the client sees what it gets
}
