package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// upkeep does, now and then, what Kafka does in the background: it deletes
// records that are older than their topic's retention.ms, and compacts. kfake
// would do both on its own, but by time it deletes records that are still
// young (see hiddenPrefix), and it compacts everything each time, changed or
// not.
type upkeep struct {
	cluster *kfake.Cluster
	admin   *kadm.Client
	log     *slog.Logger
	clean   map[partition]int64 // bytes of compacted partitions after the last compaction
	cancel  context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended
}

type partition struct {
	topic  string
	number int32
}

// startUpkeep works every so often until stop.
func startUpkeep(cluster *kfake.Cluster, every time.Duration, log *slog.Logger) (*upkeep, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ClientID("embedded-upkeep"),
		kgo.MetadataMinAge(100*time.Millisecond)) // topics come and go between two rounds
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	u := &upkeep{
		cluster: cluster,
		admin:   kadm.NewClient(client),
		log:     log,
		clean:   make(map[partition]int64),
		cancel:  cancel,
		done:    make(chan struct{}),
	}
	go u.run(ctx, every)
	return u, nil
}

// stop ends the upkeep and waits for it. It has to come before the cluster is
// closed, since a closed cluster answers no more.
func (u *upkeep) stop() {
	if u == nil {
		return
	}
	u.cancel()
	<-u.done
}

func (u *upkeep) run(ctx context.Context, every time.Duration) {
	defer close(u.done)
	defer u.admin.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := u.round(ctx); err != nil && ctx.Err() == nil {
			u.log.Warn("the embedded broker's upkeep failed and will be tried again", slog.Any("error", err))
		}
	}
}

func (u *upkeep) round(ctx context.Context) error {
	topics, err := u.admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	var compacted []string
	full := false
	for _, topic := range topics.Names() {
		c, ok := configsOf(u.cluster, topic)
		if !ok {
			continue
		}
		if c.compacts() {
			compacted = append(compacted, topic)
		}
		full = full || u.full(topic, c)
		if keep := c.retention(); c.deletes() && keep >= 0 {
			if err := u.expire(ctx, topic, time.Now().Add(-keep)); err != nil {
				return fmt.Errorf("delete old records of %s: %w", topic, err)
			}
		}
	}
	u.compact(compacted)
	if full {
		u.cluster.ApplyRetention() // by size alone: retention.ms is hidden from it
	}
	return nil
}

// full tells whether a partition of the topic has outgrown retention.bytes.
func (u *upkeep) full(topic string, c configs) bool {
	limit, err := strconv.ParseInt(c[retentionBytes], 10, 64)
	if err != nil || limit < 0 {
		return false
	}
	return slices.ContainsFunc(u.cluster.PartitionInfos(topic), func(p *kfake.PartitionInfo) bool {
		return p.NumBytes > limit
	})
}

// expire deletes the records before the first one that is not older than
// limit, but none of an open transaction or behind it, and not the newest of all
// (see keep).
//
// How far the log reaches is noted before the offsets are asked for. The
// answer for a log without young records is its end, found by a second
// request, and a record that was appended between the two is young.
func (u *upkeep) expire(ctx context.Context, topic string, limit time.Time) error {
	partitions := u.cluster.PartitionInfos(topic)
	offsets, err := u.admin.ListOffsetsAfterMilli(ctx, limit.UnixMilli(), topic)
	if err != nil {
		return err
	}
	for _, info := range partitions {
		young, ok := offsets.Lookup(topic, info.Partition)
		if !ok || young.Err != nil {
			continue // the topic was deleted meanwhile
		}
		to := keep(info, min(young.Offset, info.LastStableOffset))
		if to <= info.LogStartOffset {
			continue
		}
		if err := u.cluster.DeleteRecords(topic, info.Partition, to); err != nil {
			return err
		}
	}
	return nil
}

// compact compacts when a partition has doubled since the last time, so that
// the work stays in proportion to what is written, like Kafka's
// min.cleanable.dirty.ratio of one half. While a transaction is open it waits:
// kfake takes the transaction's records for committed, and if it were aborted
// the values before them would be gone.
func (u *upkeep) compact(topics []string) {
	due := false
	for _, topic := range topics {
		for _, info := range u.cluster.PartitionInfos(topic) {
			if info.LastStableOffset < info.HighWatermark {
				return
			}
			due = due || info.NumBytes > 2*u.clean[partition{topic, info.Partition}]
		}
	}
	if !due {
		return
	}
	u.cluster.Compact()
	clear(u.clean)
	for _, topic := range topics {
		for _, info := range u.cluster.PartitionInfos(topic) {
			u.clean[partition{topic, info.Partition}] = info.NumBytes
		}
	}
}

// retention is how long records are kept, negative for ever.
func (c configs) retention() time.Duration {
	value, ok := c[retentionMs]
	if !ok {
		value = topicSettings()[retentionMs].def
	}
	const longest = int64(1<<63-1) / int64(time.Millisecond)
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil || ms < 0 || ms > longest {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}
