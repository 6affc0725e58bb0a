package kafka

import (
	"context"
	"slices"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/stream"
)

// place is a partition by the name of its topic.
type place struct {
	topic     string
	partition int32
}

func placeOf(tp ckafka.TopicPartition) place { return place{*tp.Topic, tp.Partition} }

// at gives the place as librdkafka takes it, with an offset.
func (p place) at(offset int64) ckafka.TopicPartition {
	return ckafka.TopicPartition{Topic: &p.topic, Partition: p.partition, Offset: ckafka.Offset(offset)}
}

// Bounds gives what each of the partitions holds, in their order: one question
// to Kafka for all first offsets and one for all ends, which are the last
// stable offsets unless the isolation level is read_uncommitted. Errors:
// UnknownStream, which names the stream, InvalidRequest for a partition that a
// stream does not have, Forbidden, KafkaUnavailable.
func (r *Readers) Bounds(ctx context.Context, partitions []stream.Partition) ([]stream.Bounds, error) {
	if err := r.cluster.Reachable(); err != nil {
		return nil, err
	}
	places := r.places(partitions)
	found, err := r.cluster.bounds(ctx, places, r.cluster.isolation)
	if err != nil {
		return nil, err
	}
	all := make([]stream.Bounds, len(places))
	for i, p := range places {
		if all[i] = found[p].Bounds; found[p].err != nil {
			return nil, r.partitionError(p, found[p].err)
		}
	}
	return all, nil
}

// OffsetsAt gives, for each of the partitions, the offset of the first record
// at or after a time, and the end (as Bounds has it) where there is none. Kafka
// counts milliseconds. The errors are those of Bounds.
func (r *Readers) OffsetsAt(ctx context.Context, partitions []stream.Partition, t time.Time) ([]int64, error) {
	if err := r.cluster.Reachable(); err != nil {
		return nil, err
	}
	places := r.places(partitions)
	// The ends come first: a record that comes between the questions must be
	// found by the second, or lie behind the answer to the first.
	ends, err := r.cluster.listOffsets(ctx, places, ckafka.LatestOffsetSpec, r.cluster.isolation)
	if err != nil {
		return nil, err
	}
	found, err := r.cluster.listOffsets(ctx, places, ckafka.NewOffsetSpecForTimestamp(milliseconds(t)), r.cluster.isolation)
	if err != nil {
		return nil, err
	}
	offsets := make([]int64, len(places))
	for i, p := range places {
		for _, o := range []offset{ends[p], found[p]} {
			if o.err != nil {
				return nil, r.partitionError(p, o.err)
			}
			if o.value >= 0 {
				offsets[i] = o.value
			}
		}
	}
	return offsets, nil
}

// milliseconds rounds a time up, and takes those before 1970 for its beginning:
// negative numbers mean something else to Kafka.
func milliseconds(t time.Time) int64 {
	return max(0, t.Add(time.Millisecond-time.Nanosecond).UnixMilli())
}

// places gives the partitions by their topics.
func (r *Readers) places(partitions []stream.Partition) []place {
	places := make([]place, len(partitions))
	for i, p := range partitions {
		places[i] = r.place(p)
	}
	return places
}

func (r *Readers) place(p stream.Partition) place { return place{r.topics.Topic(p.Stream), p.Number} }

// partitionError names the stream that an error of Kafka's is about.
func (r *Readers) partitionError(p place, err error) error {
	id, _ := r.topics.Stream(p.topic)
	switch e := toError(err); {
	case is(err, ckafka.ErrUnknownPartition):
		return stream.Errorf(stream.InvalidRequest, "the stream %s has no partition %d", id, p.partition).Because(err)
	case e.Code == stream.UnknownStream:
		return stream.Errorf(stream.UnknownStream, "the stream %s does not exist", id).WithOutcome(e.Outcome).Because(err)
	default:
		return onTopic("READ", p.topic).of(e)
	}
}

// offset is what Kafka says of a partition: -1 where it found none.
type offset struct {
	value int64
	err   error
}

// edges are a partition's bounds, or why they are not known.
type edges struct {
	stream.Bounds
	err error
}

// bounds asks for the bounds of partitions, as a reader of the isolation level
// sees them.
func (c *Cluster) bounds(ctx context.Context, places []place, isolation string) (map[place]edges, error) {
	var begins, ends map[place]offset
	var beginErr, endErr error
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		begins, beginErr = c.listOffsets(ctx, places, ckafka.EarliestOffsetSpec, isolation)
	}()
	ends, endErr = c.listOffsets(ctx, places, ckafka.LatestOffsetSpec, isolation)
	<-asked
	for _, err := range []error{beginErr, endErr} {
		if err != nil {
			return nil, err
		}
	}
	found := make(map[place]edges, len(places))
	for _, p := range places {
		e := edges{Bounds: stream.Bounds{Begin: begins[p].value, End: ends[p].value}, err: begins[p].err}
		if e.err == nil {
			e.err = ends[p].err
		}
		found[p] = e
	}
	return found, nil
}

// listOffsets asks for one offset of each partition, all in one call. It asks
// again about those that the control connection knows too little of, since they
// are new or their leader has just changed.
func (c *Cluster) listOffsets(ctx context.Context, places []place, spec ckafka.OffsetSpec, isolation string) (map[place]offset, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found := make(map[place]offset, len(places))
	for again := false; len(places) > 0; again = true {
		if again {
			pause(ctx, askPause)
		}
		answers, err := c.askOffsets(ctx, places, spec, isolation)
		if err != nil {
			return nil, err
		}
		var stale []place
		for p, o := range answers {
			found[p] = o
			if is(o.err, staleLeader...) || is(o.err, staleLayout...) {
				stale = append(stale, p)
			}
		}
		if places, err = lookAgain(ctx, c.handle, stale, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// staleLeader are the errors of who knows an old leader of a partition, and
// staleLayout those of who does not know a new partition yet.
var (
	staleLeader = []ckafka.ErrorCode{
		ckafka.ErrNotLeaderForPartition, ckafka.ErrLeaderNotAvailable, ckafka.ErrReplicaNotAvailable,
		ckafka.ErrFencedLeaderEpoch, ckafka.ErrUnknownLeaderEpoch, ckafka.ErrKafkaStorageError, ckafka.ErrOffsetNotAvailable,
	}
	staleLayout = []ckafka.ErrorCode{ckafka.ErrUnknownPartition, ckafka.ErrUnknownTopic, ckafka.ErrUnknownTopicOrPart, ckafka.ErrNoent}
)

// askOffsets asks once.
func (c *Cluster) askOffsets(ctx context.Context, places []place, spec ckafka.OffsetSpec, isolation string) (found map[place]offset, err error) {
	if c.wire == nil {
		return c.askOffsetsOfLibrdkafka(ctx, places, spec, isolation)
	}
	err = c.wire.use(func(client *kgo.Client) error {
		found, err = askOffsets(ctx, client, offsetsRequest(places, spec, isolation))
		return err
	})
	return found, err
}

// askOffsetsOfLibrdkafka asks where only librdkafka knows how to log in. An
// error of the whole call that is about partitions is given to each of them:
// librdkafka answers so where it can ask about none.
//
// Where it does not know a partition's leader, librdkafka frees its question in
// one thread while another still works on it, and the process may die. (Seen
// with 2.11.1 under load, while topics were deleted.) So it is made to learn
// the leaders just before.
func (c *Cluster) askOffsetsOfLibrdkafka(ctx context.Context, places []place, spec ckafka.OffsetSpec, isolation string) (map[place]offset, error) {
	found := make(map[place]offset, len(places))
	there, err := lookAgain(ctx, c.handle, places, found)
	if err != nil || len(there) == 0 {
		return found, err
	}
	question := make(map[ckafka.TopicPartition]ckafka.OffsetSpec, len(there))
	for _, p := range there {
		question[p.at(0)] = spec
	}
	level := ckafka.IsolationLevelReadCommitted
	if isolation != readCommitted {
		level = ckafka.IsolationLevelReadUncommitted
	}
	r, err := use(c.handle, func() (r ckafka.ListOffsetsResult, err error) {
		err = askAgain(ctx, func() error {
			r, err = c.handle.admin.ListOffsets(ctx, question, ckafka.SetAdminIsolationLevel(level), ckafka.SetAdminRequestTimeout(callTimeout))
			return err
		})
		return r, err
	})
	switch {
	case err == nil:
		for tp, a := range r.ResultInfos {
			o := offset{value: int64(a.Offset)}
			if a.Error.Code() != ckafka.ErrNoError {
				o.err = a.Error
			}
			found[placeOf(tp)] = o
		}
	case is(err, slices.Concat(staleLeader, staleLayout)...):
		for _, p := range there {
			found[p] = offset{value: -1, err: err}
		}
	default:
		return nil, adminError(err)
	}
	return found, nil
}

// lookAgain makes a client learn of the partitions' topics anew. It gives the
// partitions that there are; the error of the others goes to found.
func lookAgain(ctx context.Context, a asker, places []place, found map[place]offset) (there []place, err error) {
	topics := map[string]ckafka.TopicMetadata{}
	for _, p := range places {
		t, looked := topics[p.topic]
		if !looked {
			md, err := metadata(ctx, a, &p.topic, false)
			switch {
			case ctx.Err() != nil:
				return nil, ended(ctx)
			case err != nil:
				return nil, toError(err)
			}
			t = md.Topics[p.topic]
			topics[p.topic] = t
		}
		switch {
		case t.Error.Code() != ckafka.ErrNoError:
			found[p] = offset{value: -1, err: t.Error}
		case p.partition < 0 || int(p.partition) >= len(t.Partitions):
			found[p] = offset{value: -1, err: ckafka.NewError(ckafka.ErrUnknownPartition, "the topic has fewer partitions", false)}
		default:
			there = append(there, p)
		}
	}
	return there, nil
}
