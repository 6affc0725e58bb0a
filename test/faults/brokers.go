package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/test/bench/measure"
)

// brokers are the three of test/kafka/kafka-up3, numbered from 1, and a plain
// client that reaches them beside the links.
type brokers struct {
	state   string // kafka-up3's directory
	servers []string
	client  *kgo.Client
}

func newBrokers() (*brokers, error) {
	b := &brokers{state: os.Getenv("KAFKA_STATE"), servers: strings.Split(os.Getenv("SLUICE_TEST_KAFKA3"), ",")}
	if b.state == "" || len(b.servers) != 3 {
		return nil, errors.New("three brokers are needed: run `make test-faults`")
	}
	var err error
	b.client, err = kgo.NewClient(kgo.SeedBrokers(b.servers...))
	return b, err
}

func (b *brokers) pid(node int) (int, error) {
	text, err := os.ReadFile(filepath.Join(b.state, fmt.Sprintf("node%d.pid", node)))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func (b *brokers) signal(node int, s syscall.Signal) error {
	pid, err := b.pid(node)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, s)
}

// ended waits until a broker's process is gone.
func (b *brokers) ended(ctx context.Context, node int) error {
	pid, err := b.pid(node)
	if err != nil {
		return err
	}
	return measure.Eventually(ctx, patience, fmt.Sprintf("broker %d has ended", node), func() error {
		// What has ended and was not waited for has no command line.
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(line) > 0 {
			return errors.New("it runs")
		}
		return nil
	})
}

// start starts those that do not run, and waits until all replicas are in sync.
func (b *brokers) start(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "test/kafka/kafka-up3") // it finds its ports in KAFKA_STATE
	cmd.Env = append(os.Environ(), "KAFKA_LINKS=1", fmt.Sprintf("KAFKA_WAIT=%.0f", patience.Seconds()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("start brokers: %w\n%s", err, out)
	}
	return b.inSync(ctx)
}

func (b *brokers) inSync(ctx context.Context) error {
	return measure.Eventually(ctx, patience, "all replicas are in sync", func() error {
		topics, err := kadm.NewClient(b.client).ListTopicsWithInternal(ctx)
		if err != nil {
			return err
		}
		if err := topics.Error(); err != nil {
			return err
		}
		for _, t := range topics {
			for _, p := range t.Partitions {
				if len(p.ISR) < len(p.Replicas) || p.Err != nil {
					return fmt.Errorf("%s/%d: %d of %d", t.Topic, p.Partition, len(p.ISR), len(p.Replicas))
				}
			}
		}
		return nil
	})
}

// controller gives the broker that leads the quorum of controllers. What the
// metadata calls the controller, as does `GET /cluster`, is with KRaft any
// broker, which passes requests on.
func (b *brokers) controller(ctx context.Context) (int, error) {
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}}
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, b.client)
	if err != nil {
		return 0, fmt.Errorf("ask for the controller: %w", err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 || resp.Topics[0].Partitions[0].LeaderID < 1 {
		return 0, fmt.Errorf("no controller: code %d", resp.ErrorCode)
	}
	return int(resp.Topics[0].Partitions[0].LeaderID), nil
}

// read gives all records of a topic, as one reads who sees only what is
// committed, up to its end as of now.
func (b *brokers) read(ctx context.Context, topic string) ([]*kgo.Record, error) {
	ends, err := kadm.NewClient(b.client).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	if err := ends.Error(); err != nil {
		return nil, err
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition], left[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	c, err := kgo.NewClient(kgo.SeedBrokers(b.servers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var records []*kgo.Record
	for len(left) > 0 {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read %s: partitions %v were not read to their ends", topic, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			records = append(records, r)
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return records, nil
}
