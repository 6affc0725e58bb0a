package embedded

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteRecords refuses what Kafka refuses: a topic that is compacted alone. An
// offset before a partition's beginning changes nothing, where kfake would
// refuse it. And the newest record stays (see keep).
func (r *rules) deleteRecords(request kmsg.Request) kmsg.Response {
	req := request.(*kmsg.DeleteRecordsRequest)
	for i := range req.Topics {
		t := &req.Topics[i]
		c, ok := configsOf(r.cluster, t.Topic)
		switch {
		case !ok:
			continue
		case !c.deletes():
			r.refuse(req, kfake.Fault{Topic: t.Topic}, &refusal{err: kerr.PolicyViolation})
			continue
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			info := r.cluster.PartitionInfo(t.Topic, p.Partition)
			if info == nil || p.Offset > info.HighWatermark || p.Offset < -1 {
				continue // kfake knows what to say
			}
			if p.Offset == -1 {
				p.Offset = info.HighWatermark
			}
			p.Offset = max(keep(info, p.Offset), info.LogStartOffset)
		}
	}
	return nil
}

// keep gives the offset before which records are deleted, so that one is left.
// Without any, kfake would have no file of the partition, and number its records
// from 0 again after a restart: readers that are further on would miss them.
func keep(info *kfake.PartitionInfo, offset int64) int64 {
	return min(offset, info.HighWatermark-1)
}
