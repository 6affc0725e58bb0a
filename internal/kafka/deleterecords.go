package kafka

import (
	"cmp"
	"context"
	"slices"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// DeleteRecords deletes the records of a stream before a cut, and gives where
// the partitions that it cut begin then, in order. Kafka does so partition by
// partition: the error of one says that others may be cut. Errors:
// UnknownStream, InvalidRequest for a partition that there is not, an offset
// behind its end and a stream that is compacted alone, Forbidden,
// KafkaUnavailable.
func (s *Storage) DeleteRecords(ctx context.Context, id string, cut stream.Cut) ([]stream.PartitionBegin, error) {
	d, err := s.describe(ctx, id)
	if err != nil {
		return nil, err
	}
	var places []place
	for _, p := range d.Partitions {
		if n := int32(p.Partition); cut.Partition == stream.AnyPartition || cut.Partition == n {
			places = append(places, place{d.Name, n})
		}
	}
	if len(places) == 0 {
		return nil, stream.Errorf(stream.InvalidRequest, "the stream %s has no partition %d", id, cut.Partition)
	}
	asked, err := s.cuts(ctx, places, cut)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	h := s.cluster.handle
	r, err := use(h, func() (ckafka.DeleteRecordsResults, error) {
		return h.admin.DeleteRecords(ctx, asked, ckafka.SetAdminOperationTimeout(adminTimeout))
	})
	if err != nil {
		return nil, onTopic("DELETE", d.Name).of(changeError(err))
	}
	return begins(d.Name, r.DeleteRecordsResults, cut)
}

// cuts gives the offsets before which records are deleted.
func (s *Storage) cuts(ctx context.Context, places []place, cut stream.Cut) ([]ckafka.TopicPartition, error) {
	all := make([]ckafka.TopicPartition, 0, len(places))
	if cut.Start != stream.FromTime {
		offset := int64(ckafka.OffsetEnd)
		if cut.Start == stream.FromOffset {
			offset = cut.Offset
		}
		for _, p := range places {
			all = append(all, p.at(offset))
		}
		return all, nil
	}
	// The ends come first: a record that comes between the questions is newer
	// than they are, and must not be deleted.
	ends, err := s.cluster.listOffsets(ctx, places, ckafka.LatestOffsetSpec, readUncommitted)
	if err != nil {
		return nil, err
	}
	found, err := s.cluster.listOffsets(ctx, places, ckafka.NewOffsetSpecForTimestamp(milliseconds(cut.Time)), readUncommitted)
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		for _, o := range []offset{ends[p], found[p]} {
			if o.err != nil {
				return nil, onTopic("DESCRIBE", p.topic).of(adminError(o.err))
			}
		}
		at := ends[p].value
		if found[p].value >= 0 {
			at = found[p].value
		}
		all = append(all, p.at(at))
	}
	return all, nil
}

// begins reads what became of each partition.
func begins(topic string, results []ckafka.DeleteRecordsResult, cut stream.Cut) ([]stream.PartitionBegin, error) {
	var all []stream.PartitionBegin
	var failed []error
	for _, r := range results {
		switch {
		case r.TopicPartition.Error != nil:
			failed = append(failed, cutError(topic, r.TopicPartition, cut))
		case r.DeletedRecords != nil:
			all = append(all, stream.PartitionBegin{Partition: r.TopicPartition.Partition, Begin: int64(r.DeletedRecords.LowWatermark)})
		}
	}
	if len(failed) > 0 {
		e := *toError(failed[0])
		if len(all) > 0 {
			e.Message += "; in other partitions the records are deleted: GET /streams/{stream}/partitions shows where they begin"
		}
		return nil, &e
	}
	slices.SortFunc(all, func(a, b stream.PartitionBegin) int { return cmp.Compare(a.Partition, b.Partition) })
	return all, nil
}

func cutError(topic string, p ckafka.TopicPartition, cut stream.Cut) error {
	switch {
	case is(p.Error, ckafka.ErrPolicyViolation):
		return stream.Errorf(stream.InvalidRequest, `the stream is only compacted, and Kafka deletes no records before an offset there: publish a tombstone to delete a key, or let cleanup_policy be "compact,delete"`).Because(p.Error)
	case is(p.Error, ckafka.ErrOffsetOutOfRange):
		return stream.Errorf(stream.InvalidRequest, "partition %d ends before offset %d; GET /streams/{stream}/partitions shows its end", p.Partition, cut.Offset).Because(p.Error)
	}
	return onTopic("DELETE", topic).of(changeError(p.Error))
}
