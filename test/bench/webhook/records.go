package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/test/bench/measure"
)

// keys is how many keys the records have, in turn.
const keys = 10_000

type record struct {
	n    int
	key  string
	data string
}

// newRecord makes a record: about 130 bytes of JSON, with its number and the
// nanosecond it was made in.
func newRecord(n int) record {
	return record{n, fmt.Sprintf("customer-%d", n%keys), fmt.Sprintf(`{"n":%d,"t":%d,"name":"A customer's name, not short","amount":1299.95,"currency":"EUR","paid":true}`, n, time.Now().UnixNano())}
}

// produce writes n records to a topic.
func produce(ctx context.Context, broker, topic string, rate, n int) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(n+1))
	if err != nil {
		return err
	}
	defer c.Close()
	failed := make(chan error, n)
	measure.Pace(ctx, rate, n, func(i int) {
		r := newRecord(i)
		c.Produce(ctx, &kgo.Record{Key: []byte(r.key), Value: []byte(`{"schema":"Bench:1","data":` + r.data + `}`)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed <- err
			}
		})
	})
	if err := c.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
