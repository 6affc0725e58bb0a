package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"golang.org/x/sync/singleflight"

	"sluice/internal/stream"
)

// ProducerOptions is what a Producer needs.
type ProducerOptions struct {
	PublishTimeout time.Duration // how long anybody waits for a record's report
	MaxRecordBytes int           // the largest value the gateway takes, in bytes; the client's own limit lies above it
}

// producerDefaults hold unless the configuration says otherwise.
//
// A lone record must not wait, so librdkafka does not linger: records wait for
// each other before it has them, where there are many (see gather). And one
// request at a time is in flight to a
// broker. That makes batches grow by themselves under load, and it is the only
// way to lose nothing on a partition that was just made: of two requests the
// broker may refuse the first, for it does not know the partition yet, take the
// second, and then take the repeated first for a duplicate (KAFKA-15591).
//
// Records without a key stay with one partition for a while (KIP-480): a
// request to the broker holds one partition's records, so that a record here
// and a record there would be a round trip each. librdkafka does so by itself
// only when it lingers. Two partitions at a time are better still: see pair.
//
// One cost of linger.ms 0 is known: while a batch of more than four records of
// a partition is away, and nothing is ready for another one on that broker,
// librdkafka's thread asks without a pause whether it can send those that came
// since. A linger ends that, and makes a lone record wait a millisecond, three
// times as long as everything else takes.
var producerDefaults = ckafka.ConfigMap{
	"linger.ms":                             0,
	"max.in.flight.requests.per.connection": 1,
	"sticky.partitioning.linger.ms":         10,
	"queue.buffering.max.messages":          100_000,
	"queue.buffering.max.kbytes":            128 << 10,
}

// Producer publishes with acks=all and idempotence (KIP-98), so that a
// record that was reported is stored once and in order. It may be used by any
// number of goroutines. When librdkafka reports a fatal error, a new producer
// takes the place of the old one.
type Producer struct {
	cluster  *Cluster
	log      *slog.Logger
	opts     ProducerOptions
	caller   *caller // as whom it publishes; nil: as the gateway
	replicas *replicaWatch

	timestamps *timestampTypes
	pairs      pairs
	looks      singleflight.Group
	forget     func() // ends the renewal of credentials
	gather     *gather[*held]
	deadlines  *deadlines

	denied   denial
	current  atomic.Pointer[generation]
	replaced sync.Mutex // held while a producer is replaced
	closed   atomic.Bool
	running  sync.WaitGroup
}

// generation is one librdkafka producer.
type generation struct {
	gate
	handle *ckafka.Producer
	topics sync.Map // topic → struct{}: those that took records of it, which it counts
}

// pending is a message's opaque: it finds its waiter again.
type pending struct {
	topic     string
	partition int32  // as it was asked for
	chosen    int32  // the same, or what pair chose
	pair      *pair  // nil for a record with a key, or with a partition
	burst     *burst // that it was gathered for; nil: none
	size      int    // of key and value, in bytes
	queued    time.Time
	timestamp time.Time // of the record; the delivery report has none
	delivered func(stream.Report, error)

	// The deadlines' own: how it stands, when its time is over, its neighbours.
	due        dueState
	until      time.Time
	prev, next *pending
}

// NewProducer starts a producer on the client's cluster.
func NewProducer(c *Cluster, o ProducerOptions) (*Producer, error) {
	p := &Producer{cluster: c, log: c.log, opts: o, replicas: newReplicaWatch(c), timestamps: &timestampTypes{cluster: c}}
	p.gather = newGather(p.sendBurst)
	p.deadlines = newDeadlines(o.PublishTimeout, c.metrics.late, p.expired, p.crowded)
	g, err := p.open()
	if err != nil {
		return nil, err
	}
	p.start(g)
	p.forget = c.onRenewal(p.renewCredentials)
	return p, nil
}

// open makes librdkafka's producer.
func (p *Producer) open() (*generation, error) {
	cfg, err := p.cluster.config(ckafka.ConfigMap{
		"acks":                      "all",
		"enable.idempotence":        true,
		"partitioner":               "murmur2_random",
		"message.timeout.ms":        0, // none: see deadlines
		"message.max.bytes":         max(1_000_000, p.opts.MaxRecordBytes+128<<10),
		"go.delivery.report.fields": "none",
		"go.events.channel.size":    10_000,
		"go.produce.channel.size":   1,
	})
	if err != nil {
		return nil, err
	}
	if p.caller != nil {
		p.caller.configure(cfg, p.opts)
	}
	for name, value := range producerDefaults {
		if _, set := cfg[name]; !set {
			cfg[name] = value
		}
	}
	hush(cfg)
	p.deadlines.hold(intSetting(cfg, "queue.buffering.max.messages"), intSetting(cfg, "queue.buffering.max.kbytes")<<10)
	handle, err := ckafka.NewProducer(&cfg)
	if err != nil {
		return nil, fmt.Errorf("configure the Kafka producer: %w", err)
	}
	return &generation{handle: handle}, nil
}

// intSetting gives a number of the configuration. librdkafka refuses what is none.
func intSetting(cfg ckafka.ConfigMap, name string) int {
	n, err := strconv.Atoi(fmt.Sprint(cfg[name]))
	if err != nil {
		return math.MaxInt32
	}
	return n
}

func (p *Producer) start(g *generation) {
	p.current.Store(g)
	p.running.Go(func() { p.serve(g) })
}

// Send queues a message and returns at once; delivered is told what became of
// it. When Send returns an error nothing was queued and delivered is not
// called. The message's slices are copied. Errors: KafkaUnavailable while no
// broker answers, Overloaded when the queue is full, UnknownStream,
// InvalidRecord for a partition that does not exist, TooLarge. A message whose
// report somebody waits for is gathered with others, a millisecond at most;
// then delivered may be told these errors, too.
func (p *Producer) Send(m *stream.Message, delivered func(stream.Report, error)) error {
	if err := p.cluster.Reachable(); err != nil {
		return err
	}
	if err := p.replicas.refuse(m.Topic); err != nil {
		return err
	}
	if err := p.denied.error(m.Topic); err != nil {
		return err
	}
	if err := p.deadlines.refuse(m.Topic); err != nil {
		return err
	}
	now := time.Now()
	timestamp := m.Timestamp
	if timestamp.IsZero() {
		timestamp = now.Truncate(time.Millisecond)
	}
	w := &pending{topic: m.Topic, partition: m.Partition, chosen: m.Partition, queued: now, timestamp: timestamp, size: len(m.Key) + len(m.Value), delivered: delivered}
	if m.Key == nil && m.Partition == stream.AnyPartition {
		w.pair = p.pairs.of(m.Topic)
	}
	if mayWait(m) {
		p.gather.add(hold(m, w))
		return nil
	}
	if w.pair != nil {
		w.chosen = w.pair.choose(now, w.pair.turns.Add(1))
	}
	err := p.place(&ckafka.Message{
		TopicPartition: ckafka.TopicPartition{Topic: &m.Topic, Partition: w.chosen},
		Key:            m.Key,
		Value:          m.Value,
		Timestamp:      timestamp,
		Headers:        headers(m.Headers),
		Opaque:         w,
	}, w)
	if err != nil {
		return p.notPlaced(m.Topic, err)
	}
	return nil
}

// notPlaced puts into words why librdkafka did not take a message.
func (p *Producer) notPlaced(topic string, err error) error {
	return toError(p.denied.explain(topic, err)).WithOutcome(stream.NotStored)
}

// place hands a message over. A partition that the pair chose may have gone
// with an earlier topic of that name: then librdkafka chooses.
func (p *Producer) place(m *ckafka.Message, w *pending) error {
	err := p.produce(m)
	if w.chosen != w.partition && isUnknown(err) {
		w.pair.forget()
		w.chosen, m.TopicPartition.Partition = w.partition, w.partition
		err = p.produce(m)
	}
	if isUnknown(err) {
		err = p.produceAnew(m, err)
	}
	return err
}

// isUnknown says whether err is about a topic or partition that librdkafka does
// not know, or not any more.
func isUnknown(err error) bool {
	return err != nil && is(err, ckafka.ErrUnknownTopic, ckafka.ErrUnknownPartition, ckafka.ErrTopicAuthorizationFailed)
}

// produceAnew is for a message whose topic or partition librdkafka does not
// know. It may have learnt so before they were made, or not yet that the topic
// is gone: Kafka is asked, and decides.
func (p *Producer) produceAnew(m *ckafka.Message, unknown error) error {
	if err := p.look(*m.TopicPartition.Topic); err != nil {
		return err
	}
	if is(unknown, ckafka.ErrUnknownTopic) {
		p.renew(*m.TopicPartition.Topic)
	}
	if err := p.produce(m); !is(err, ckafka.ErrUnknownTopic) {
		return err
	}
	return unknown
}

// produce hands a message to the current generation, or to the next one when
// that has just failed. From then on its time counts.
func (p *Producer) produce(m *ckafka.Message) error {
	for {
		g := p.enter()
		if g == nil {
			return ckafka.NewError(ckafka.ErrFatal, "the producer is being replaced", true)
		}
		err := g.handle.Produce(m, nil)
		if err == nil {
			p.deadlines.begin(m.Opaque.(*pending))
		}
		g.leave()
		if err == nil || !isFatal(err) {
			return err
		}
		if p.replace(g); p.current.Load() == g {
			return err
		}
	}
}

// enter gives the current generation, whose handle stays until it is left; nil
// when it is gone and has no successor.
func (p *Producer) enter() *generation {
	for {
		g := p.current.Load()
		if g.enter() {
			return g
		}
		if p.current.Load() == g {
			return nil
		}
	}
}

// replace puts a new producer in the place of g, once, and reports what g still
// held: what was queued is not stored, what was sent is unknown. When no new
// one can be made g stays, and the next Send tries again.
func (p *Producer) replace(g *generation) {
	p.replaced.Lock()
	defer p.replaced.Unlock()
	if p.current.Load() != g || p.closed.Load() {
		return
	}
	p.log.Log(context.Background(), p.level(slog.LevelError), "the producer failed", slog.Any("error", g.handle.GetFatalError()))
	if p.succeed() {
		p.running.Go(g.retire)
	}
}

// renew replaces the producer if it has sent to a topic that was made anew
// since. It counts its records by topic, and a broker may refuse a new topic's
// first record that is not numbered 0. Nobody sends until what is on its way
// has been reported, so order is kept and nothing is given up.
func (p *Producer) renew(topic string) {
	p.replaced.Lock()
	defer p.replaced.Unlock()
	g := p.current.Load()
	if _, sent := g.topics.Load(topic); !sent || p.closed.Load() {
		return
	}
	g.hold()
	g.handle.Flush(int(callTimeout.Milliseconds()))
	p.handOver(g)
}

// handOver lets go of a generation that is held, of which another one has taken
// the place, if that could be made.
func (p *Producer) handOver(g *generation) (succeeded bool) {
	succeeded = p.succeed()
	g.release(succeeded) // or who waits outside would put a record into what is about to be purged
	if succeeded {
		p.running.Go(g.retire)
	}
	return succeeded
}

// succeed makes a new generation the current one. The lock is held.
func (p *Producer) succeed() bool {
	next, err := p.open()
	if err != nil {
		p.log.Error("cannot replace the producer", slog.Any("error", err))
		return false
	}
	p.log.Log(context.Background(), p.level(slog.LevelInfo), "producer replaced")
	p.cluster.metrics.replaced.Inc()
	p.start(next)
	return true
}

// retire frees a generation that nobody enters any more.
func (g *generation) retire() {
	g.close()
	// Errors only say that there is nothing to purge.
	_ = g.handle.Purge(ckafka.PurgeQueue | ckafka.PurgeInFlight)
	g.handle.Flush(int(callTimeout.Milliseconds())) // until the reports of what was purged are served
	g.handle.Close()
}

// Made tells the producer that a topic was just made, so that it sees it at
// once, and does not take it for an earlier one of that name.
func (p *Producer) Made(ctx context.Context, topic string) error {
	p.renew(topic)
	for lag := time.Now().Add(lagTime); ; pause(ctx, askPause) {
		err := p.Refresh(ctx, topic) // of a broker that may not know it yet
		if stream.CodeOf(err) != stream.UnknownStream || ctx.Err() != nil || time.Now().After(lag) {
			return err
		}
	}
}

// Refresh asks Kafka anew about a topic, so that the producer sees at once that
// it was made or grew. The error is UnknownStream when there is no such topic.
func (p *Producer) Refresh(ctx context.Context, topic string) error {
	p.timestamps.forget(topic)
	g := p.enter()
	if g == nil {
		return ended(ctx)
	}
	defer g.leave()
	md, err := metadata(ctx, g.handle, &topic, false)
	if err != nil {
		return toError(err)
	}
	if t := md.Topics[topic]; t.Error.Code() != ckafka.ErrNoError {
		return toError(t.Error)
	}
	return nil
}

// look is Refresh, shared by all who ask about the topic at the same time.
func (p *Producer) look(topic string) error {
	_, err, _ := p.looks.Do(topic, func() (any, error) { return nil, p.Refresh(context.Background(), topic) })
	return err
}

// Close waits until what was queued is reported, at most until ctx ends, then
// gives up the rest, and says how many records that were. Send fails from then
// on, and a second call does nothing.
func (p *Producer) Close(ctx context.Context) error {
	p.forget()
	left := p.end(ctx)
	p.running.Wait() // outside the lock, which a replacement under way waits for
	if left > 0 {
		return fmt.Errorf("%d records were not acknowledged before the producer was closed", left)
	}
	return nil
}

// end closes the last generation, and gives the number of records given up.
func (p *Producer) end(ctx context.Context) (left int) {
	p.replaced.Lock()
	defer p.replaced.Unlock()
	if p.closed.Swap(true) {
		return 0
	}
	p.gather.flush()
	g := p.current.Load()
	left = g.handle.Len()
	for left > 0 && ctx.Err() == nil {
		left = g.handle.Flush(100)
	}
	g.retire()
	p.deadlines.close()
	return left
}
