package kafka_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
)

// The sign of life that is asked for each second is about the brokers alone: an
// answer about all topics is megabytes where there are thousands of them.
func TestProbeAsksForNoTopics(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	b.Topic(t, "probed", 3, nil)
	c := openCluster(t, b, "")
	if _, err := kafka.NewAdmin(c, 0).Topics(t.Context()); err != nil { // which librdkafka may remember
		t.Fatal(err)
	}

	var without, with atomic.Int32
	b.Cluster(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata, kmsg.DescribeCluster}, Observe: true, TopLevel: true, Count: -1, When: func(r kmsg.Request) bool {
		if m, about := r.(*kmsg.MetadataRequest); about && (m.Topics == nil || len(m.Topics) > 0) {
			with.Add(1)
		} else {
			without.Add(1)
		}
		return true
	}})
	kafkatest.Eventually(t, patience, func() error {
		if n := without.Load(); n < 3 {
			return fmt.Errorf("%d questions about the brokers alone were seen, %d about topics", n, with.Load())
		}
		return nil
	})
	// librdkafka asks for the topics that it knows when it connects again.
	if n := with.Load(); n >= without.Load() {
		t.Errorf("%d of %d questions were about topics", n, n+without.Load())
	}
}
