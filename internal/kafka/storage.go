package kafka

import (
	"context"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/stream"
)

// figuresTimeout bounds the questions how far partitions go and how large they
// are: an answer without these is better than none.
const figuresTimeout = 2 * time.Second

// Storage tells how the brokers keep streams, and has them forget records. It
// makes and changes no topics: that is Admin's. It may be used by any number of
// goroutines.
type Storage struct {
	cluster *Cluster
	admin   *Admin
	topics  stream.Topics
}

// NewStorage makes one. The admin knows which topics were made a moment ago.
func NewStorage(a *Admin, names stream.Topics) *Storage {
	return &Storage{cluster: a.cluster, admin: a, topics: names}
}

// Partitions gives a stream's partitions, in order, with what can be had of
// their figures. Errors: UnknownStream, Forbidden, KafkaUnavailable.
func (s *Storage) Partitions(ctx context.Context, id string) ([]stream.PartitionInfo, error) {
	d, err := s.describe(ctx, id)
	if err != nil {
		return nil, err
	}
	partitions := make([]stream.PartitionInfo, 0, len(d.Partitions))
	leaders := map[int32][]int32{} // broker → partitions
	var led []place
	for _, p := range d.Partitions {
		info := stream.PartitionInfo{Number: int32(p.Partition), Replicas: ids(p.Replicas), InSyncReplicas: ids(p.Isr)}
		if p.Leader != nil && p.Leader.ID >= 0 {
			leader := int32(p.Leader.ID)
			info.Leader = &leader
			leaders[leader] = append(leaders[leader], info.Number)
			led = append(led, place{d.Name, info.Number})
		}
		partitions = append(partitions, info)
	}
	bounds, sizes := s.figures(ctx, d.Name, led, leaders)
	for i := range partitions {
		p := &partitions[i]
		if e, told := bounds[place{d.Name, p.Number}]; told && e.err == nil {
			p.Begin, p.End = &e.Begin, &e.End
		}
		if size, told := sizes[p.Number]; told {
			p.Size = &size
		}
	}
	return partitions, nil
}

func ids(nodes []ckafka.Node) []int32 {
	all := make([]int32, len(nodes))
	for i, n := range nodes {
		all[i] = int32(n.ID)
	}
	return all
}

// figures asks for bounds and sizes at the same time. What is not told in time
// is left out.
func (s *Storage) figures(ctx context.Context, topic string, led []place, leaders map[int32][]int32) (bounds map[place]edges, sizes map[int32]int64) {
	ctx, cancel := context.WithTimeout(ctx, figuresTimeout)
	defer cancel()
	var asking sync.WaitGroup
	asking.Go(func() { sizes = s.sizes(ctx, topic, leaders) })
	bounds, _ = s.cluster.bounds(ctx, led, s.cluster.isolation)
	asking.Wait()
	return bounds, sizes
}

// describe asks for a topic's partitions.
func (s *Storage) describe(ctx context.Context, id string) (d ckafka.TopicDescription, err error) {
	if err := s.cluster.Reachable(); err != nil {
		return d, err
	}
	name := s.topics.Topic(id)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = s.admin.whileLagging(ctx, name, func() error {
		h := s.cluster.handle
		r, err := use(h, func() (r ckafka.DescribeTopicsResult, err error) {
			err = askAgain(ctx, func() error {
				r, err = h.admin.DescribeTopics(ctx, ckafka.NewTopicCollectionOfTopicNames([]string{name}), ckafka.SetAdminRequestTimeout(callTimeout))
				return err
			})
			return r, err
		})
		if err != nil {
			return adminError(err)
		}
		d = r.TopicDescriptions[0]
		if d.Error.Code() != ckafka.ErrNoError {
			return onTopic("DESCRIBE", name).of(toError(d.Error))
		}
		return nil
	})
	return d, missingStream(id, err)
}

// missingStream names the stream in an error that says there is none.
func missingStream(id string, err error) error {
	if stream.CodeOf(err) != stream.UnknownStream {
		return err
	}
	return stream.Errorf(stream.UnknownStream, "there is no stream %q; GET /streams lists those there are", id).Because(err)
}

// sizes asks each leader for the sizes of its partitions (KIP-113). Brokers that
// do not tell, be it that the gateway may not know, are left out.
func (s *Storage) sizes(ctx context.Context, topic string, leaders map[int32][]int32) map[int32]int64 {
	if s.cluster.wire == nil {
		return nil
	}
	var asking sync.WaitGroup
	var mu sync.Mutex
	found := map[int32]int64{}
	for leader, partitions := range leaders {
		asking.Go(func() {
			_ = s.cluster.wire.use(func(client *kgo.Client) error {
				resp, err := client.Broker(int(leader)).Request(ctx, logDirsRequest(topic, partitions))
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				addSizes(found, resp.(*kmsg.DescribeLogDirsResponse))
				return nil
			})
		})
	}
	asking.Wait()
	return found
}

func logDirsRequest(topic string, partitions []int32) *kmsg.DescribeLogDirsRequest {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	t := kmsg.NewDescribeLogDirsRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	req.Topics = append(req.Topics, t)
	return req
}

func addSizes(found map[int32]int64, resp *kmsg.DescribeLogDirsResponse) {
	for _, dir := range resp.Dirs {
		for _, t := range dir.Topics {
			for _, p := range t.Partitions {
				if dir.ErrorCode == 0 && !p.IsFuture { // a future one is a copy on its way to another disk
					found[p.Partition] = p.Size
				}
			}
		}
	}
}
