package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/test/bench/measure"
)

// payload is a record's data: about 130 bytes of JSON, with its number and the
// nanosecond it was produced in.
func payload(i int) string {
	return fmt.Sprintf(`{"n":%d,"t":%d,"name":"A customer's name, not short","amount":1299.95,"currency":"EUR","paid":true}`, i, time.Now().UnixNano())
}

// source makes records: through Kafka for the gateway, by itself for the bare
// server.
type source interface {
	send(ctx context.Context, rate, n int) error
}

type kafkaSource struct {
	client *kgo.Client
	topic  string
}

func newKafkaSource(broker, topic string) (*kafkaSource, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	return &kafkaSource{c, topic}, err
}

func (s *kafkaSource) send(ctx context.Context, rate, n int) error {
	measure.Pace(ctx, rate, n, func(i int) {
		s.client.Produce(ctx, &kgo.Record{Value: []byte(`{"schema":"Bench:1","data":` + payload(i) + `}`)}, nil)
	})
	return s.client.Flush(ctx)
}

type bareSource struct{ url string }

func (s bareSource) send(ctx context.Context, rate, n int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/?rate=%d&n=%d", s.url, rate, n), strings.NewReader(""))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the bare server answered %s", resp.Status)
	}
	return nil
}
