package kafka

import (
	"context"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// Bounds of reading single records: how many consumers are kept for it (each
// costs five threads), how long one read may take, how much is fetched at once
// (Kafka sends a larger record all the same), how long one waits for an event,
// and how often idle ones look for theirs.
const (
	readConsumers  = 2
	readTimeout    = 10 * time.Second
	readFetchBytes = 256 << 10
	pollInterval   = 100 * time.Millisecond
	idleInterval   = 500 * time.Millisecond
)

// Reader reads single records by their place. It may be used by any number of
// goroutines; beyond a few at a time they wait for each other.
type Reader struct {
	cluster *Cluster
	topics  stream.Topics
	admin   *Admin
	free    chan *recordConsumer // nil: not made yet

	idling sync.WaitGroup
	stop   context.CancelFunc
}

// recordConsumer is a consumer, with the number of the credentials it has.
type recordConsumer struct {
	*ckafka.Consumer

	number int64
}

// NewReader makes a reader. Its consumers start with the first reads.
func NewReader(c *Cluster, topics stream.Topics) *Reader {
	r := &Reader{cluster: c, topics: topics, admin: NewAdmin(c, 0), free: make(chan *recordConsumer, readConsumers)}
	for range readConsumers {
		r.free <- nil
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.idling.Go(func() { r.idle(ctx) })
	return r
}

// Read gives the record at an offset. Errors: UnknownStream; UnknownRecord for
// a partition or offset that does not exist, is gone, was never committed or is
// a transaction's marker; KafkaUnavailable.
func (r *Reader) Read(ctx context.Context, id string, partition int32, offset int64) (stream.Record, error) {
	if err := r.topics.CheckID(id); err != nil {
		return stream.Record{}, err
	}
	if err := r.cluster.Reachable(); err != nil {
		return stream.Record{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	topic := r.topics.Topic(id)
	t, err := r.admin.Exists(ctx, topic)
	if err != nil {
		return stream.Record{}, err
	}
	if partition < 0 || int(partition) >= t.Partitions {
		return stream.Record{}, stream.Errorf(stream.UnknownRecord, "the stream has the partitions 0 to %d", t.Partitions-1)
	}
	m, err := r.fetch(ctx, ckafka.TopicPartition{Topic: &topic, Partition: partition, Offset: ckafka.Offset(offset)})
	if err != nil {
		return stream.Record{}, err
	}
	return record(id, m), nil
}

func (r *Reader) fetch(ctx context.Context, at ckafka.TopicPartition) (*ckafka.Message, error) {
	c, err := r.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { r.free <- c }()
	r.catchUp(c)
	if err := check(ctx, c.Consumer, at); err != nil {
		return nil, err
	}
	if err := c.Assign([]ckafka.TopicPartition{at}); err != nil {
		return nil, toError(err)
	}
	m, err := r.first(ctx, c.Consumer, at)
	if e := c.Unassign(); e != nil && err == nil {
		err = toError(e)
	}
	return m, err
}

// idle lets the consumers that nobody reads with take what they are told.
// librdkafka renews a login by itself, with the token that it has, and drops the
// connection when that is over; and it would keep every error for the next
// reader, through a whole outage.
func (r *Reader) idle(ctx context.Context) {
	tick := time.NewTicker(idleInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for range readConsumers { // the longest idle first
			select {
			case c := <-r.free:
				if c != nil && r.cluster.stale(c.number) {
					r.cluster.closed("reader", c.Consumer)
					c = nil
				}
				if c != nil {
					r.catchUp(c)
				}
				r.free <- c
			default:
			}
		}
	}
}

// catchUp takes what a consumer was told while nobody read with it: that its
// token is about to expire, and errors which are over.
func (r *Reader) catchUp(c *recordConsumer) {
	for ev := c.Poll(0); ev != nil; ev = c.Poll(0) {
		if _, expires := ev.(ckafka.OAuthBearerTokenRefresh); expires {
			r.cluster.event("reader", c, ev)
		}
	}
}

// check refuses what the partition's bounds rule out already. It asks through
// the consumer that will read, which so learns where the partition is: otherwise
// an assignment to a topic it does not know waits for a scan, once a second.
func check(ctx context.Context, c *ckafka.Consumer, at ckafka.TopicPartition) error {
	low, high, err := bounds(ctx, c, *at.Topic, at.Partition)
	switch offset := int64(at.Offset); {
	case err != nil:
		return onTopic("READ", *at.Topic).of(toError(err))
	case offset < low:
		return stream.Errorf(stream.UnknownRecord, "that record is gone: the partition begins at offset %d", low)
	case offset >= high:
		return stream.Errorf(stream.UnknownRecord, "there is no such record yet: the partition's next offset is %d", high)
	}
	return nil
}

// first polls until the assigned partition gives its first record, or says
// that there is none.
func (r *Reader) first(ctx context.Context, c *ckafka.Consumer, at ckafka.TopicPartition) (*ckafka.Message, error) {
	for ctx.Err() == nil {
		switch ev := c.Poll(int(pollInterval.Milliseconds())).(type) {
		case *ckafka.Message:
			switch err := ev.TopicPartition.Error; {
			case err != nil:
				return nil, onTopic("READ", *at.Topic).of(readError(err))
			case ev.TopicPartition.Offset == at.Offset:
				return ev, nil
			default:
				return nil, noRecord()
			}
		case ckafka.PartitionEOF:
			return nil, noRecord()
		case ckafka.Error:
			r.cluster.event("reader", c, ev)
			if is(ev, ckafka.ErrAllBrokersDown, ckafka.ErrTopicAuthorizationFailed) {
				return nil, onTopic("READ", *at.Topic).of(toError(ev))
			}
		case ckafka.OAuthBearerTokenRefresh:
			r.cluster.event("reader", c, ev)
		}
	}
	return nil, ended(ctx)
}

func (r *Reader) take(ctx context.Context) (*recordConsumer, error) {
	select {
	case c := <-r.free:
		if c != nil {
			return c, nil
		}
	case <-ctx.Done():
		return nil, stream.Errorf(stream.Overloaded, "too many records are being read one by one; try again a little later")
	}
	number := r.cluster.creds.number()
	c, err := r.cluster.consumer(ckafka.ConfigMap{
		"queued.min.messages":       1,
		"fetch.queue.backoff.ms":    1, // with a queue of one record the default, a second, is what the next reader waits
		"max.partition.fetch.bytes": readFetchBytes,
		"fetch.wait.max.ms":         10,
	})
	if err != nil {
		r.free <- nil
		return nil, err
	}
	return &recordConsumer{c, number}, nil
}

// Close ends the consumers; it waits for reads under way.
func (r *Reader) Close() error {
	r.stop()
	r.idling.Wait()
	var first error
	for range readConsumers {
		if c := <-r.free; c != nil {
			if err := c.Close(); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

func readError(err error) error {
	if is(err, ckafka.ErrAutoOffsetReset, ckafka.ErrOffsetOutOfRange) {
		return noRecord()
	}
	return toError(err)
}

func noRecord() error {
	return stream.Errorf(stream.UnknownRecord, "there is no record at that offset: it was compacted away, belongs to a transaction that is not committed, or is a transaction's marker")
}
