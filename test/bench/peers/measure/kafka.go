package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/test/bench/measure"
	"sluice/test/bench/peers"
)

// broker is the Kafka behind all, reached by a client of its own: what readers
// are measured with was published by none of the gateways.
type broker struct {
	client *kgo.Client
	admin  *kadm.Client
	prefix string
}

func connect(address, prefix string) (*broker, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(8<<20), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	return &broker{c, kadm.NewClient(c), prefix}, nil
}

// close deletes all topics of the run, for the Kafka may be one that stays, and
// ends the connection.
func (b *broker) close() {
	defer b.client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	all, err := b.admin.ListTopicsWithInternal(ctx)
	var ours []string
	for _, name := range all.Names() {
		if strings.HasPrefix(name, b.prefix) {
			ours = append(ours, name)
		}
	}
	if err == nil && len(ours) > 0 {
		_, err = b.admin.DeleteTopics(ctx, ours...)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "peers: the topics %s* are left: %v\n", b.prefix, err)
	}
}

// topic makes a topic for records of up to 8 MiB, and gives its full name.
func (b *broker) topic(ctx context.Context, name string, partitions int32) (string, error) {
	name = b.prefix + strings.TrimPrefix(name, b.prefix)
	most := "8388608"
	_, err := b.admin.CreateTopic(ctx, partitions, 1, map[string]*string{"max.message.bytes": &most}, name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return "", fmt.Errorf("make the topic %s: %w", name, err)
	}
	// It is there when the broker that everybody asks says so.
	for ctx.Err() == nil {
		there, err := b.admin.ListTopics(ctx, name)
		if err == nil && there[name].Err == nil && len(there[name].Partitions) == int(partitions) {
			break
		}
		measure.Pause(ctx, 50*time.Millisecond)
	}
	return name, ctx.Err()
}

// produce writes one record, and says where it lies.
func (b *broker) produce(ctx context.Context, topic string, partition int32, value []byte) (peers.Coordinates, error) {
	r, err := b.client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: value}).First()
	if err != nil {
		return peers.Coordinates{}, fmt.Errorf("produce to %s: %w", topic, err)
	}
	return peers.Coordinates{Partition: int(r.Partition), Offset: r.Offset}, nil
}

// pace calls do for 0 to n-1, rate times a second, in bursts of a millisecond
// when that is needed.
func pace(ctx context.Context, rate, n int, do func(i int)) {
	start := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; i < n; {
		due := min(n, int(time.Since(start).Seconds()*float64(rate))+1)
		for ; i < due; i++ {
			do(i)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// call makes a request whose answer matters only in its status.
func call(ctx context.Context, method, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %.200s", method, url, resp.Status, text)
	}
	return err
}
