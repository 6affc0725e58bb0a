package kafka

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// Bounds of reading pages: how many consumers there are unless asked for
// otherwise (each costs five threads), how much each holds that was not asked
// for yet, how much it fetches at once, of one partition and in all (Kafka
// sends a larger record all the same), how long Kafka may hold a fetch that
// finds nothing, and how long a consumer keeps what it fetched for the next
// page.
const (
	pageConsumers       = 4
	pageQueueKBytes     = 8 << 10
	pagePartitionBytes  = 512 << 10
	pageFetchBytes      = 4 << 20
	pageFetchWaitMillis = 10
	parkTime            = 2 * time.Second
)

// ReadersOptions says how readers of pages work.
type ReadersOptions struct {
	Topics    stream.Topics
	Consumers int // how many pages are read at a time; 0: four. Each costs five threads, and up to 8 MiB of records fetched ahead
}

// Readers finds streams and their offsets, and reads pages of records with a
// few consumers that all share. It keeps no state for anybody: what is to be
// read is told with each call. It may be used by any number of goroutines;
// beyond the number of consumers those who read wait for each other.
type Readers struct {
	cluster *Cluster
	topics  stream.Topics

	free    chan struct{} // a token for each consumer that nobody reads with
	mu      sync.Mutex
	idle    []*pageConsumer
	made    int // consumers there are, idle or not
	running sync.WaitGroup
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
}

// NewReaders makes the readers. Their consumers start with the first pages.
func NewReaders(c *Cluster, o ReadersOptions) *Readers {
	r := &Readers{cluster: c, topics: o.Topics, free: make(chan struct{}, cmp.Or(max(o.Consumers, 0), pageConsumers))}
	for range cap(r.free) {
		r.free <- struct{}{}
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.running.Go(r.upkeep)
	return r
}

// Close ends the consumers; pages under way end with an error.
func (r *Readers) Close() error {
	r.stop()
	for range cap(r.free) {
		<-r.free
	}
	r.running.Wait()
	var closing sync.WaitGroup
	errs := make([]error, len(r.idle))
	for i, c := range r.idle {
		closing.Go(func() { errs[i] = c.consumer.Close() })
	}
	closing.Wait()
	return cmp.Or(errs...)
}

// take gives a consumer to read those spans with: best the one that stopped
// where they begin, else one that has kept nothing, or the longest idle.
func (r *Readers) take(ctx context.Context, spans []*span) (*pageConsumer, error) {
	if r.ctx.Err() != nil {
		return nil, toError(errClosed)
	}
	select {
	case <-r.free:
	case <-r.ctx.Done():
		return nil, toError(errClosed)
	case <-ctx.Done():
		return nil, stream.Errorf(stream.Overloaded, "too many pages are being read at once; try again a little later").Because(context.Cause(ctx))
	}
	if c := r.choose(spans); c != nil {
		return c, nil
	}
	number := r.cluster.creds.number()
	consumer, err := r.cluster.consumer(ckafka.ConfigMap{
		"statistics.interval.ms":     r.cluster.statisticsInterval(),
		"queued.max.messages.kbytes": pageQueueKBytes,
		"max.partition.fetch.bytes":  pagePartitionBytes,
		"fetch.max.bytes":            pageFetchBytes,
		"message.max.bytes":          pagePartitionBytes, // which fetch.max.bytes must not be below
		"fetch.wait.max.ms":          pageFetchWaitMillis,
		"fetch.queue.backoff.ms":     5, // the default, a second, is how long a full queue would stay unfilled after it was emptied
		"fetch.error.backoff.ms":     50,
	})
	if err != nil {
		r.give(nil)
		return nil, toError(err)
	}
	return &pageConsumer{readers: r, consumer: consumer, number: number, next: map[place]int64{}}, nil
}

// choose takes an idle consumer out, or says that a new one is to be made.
func (r *Readers) choose(spans []*span) *pageConsumer {
	r.mu.Lock()
	defer r.mu.Unlock()
	best, most := -1, 0
	for i, c := range r.idle {
		if n := c.overlap(spans); n > most {
			best, most = i, n
		}
	}
	for i, c := range r.idle {
		spare := len(c.next) == 0 || r.made == cap(r.free)
		if most == 0 && spare && (best < 0 || c.since.Before(r.idle[best].since)) {
			best = i
		}
	}
	if best < 0 {
		r.made++
		return nil
	}
	return r.takeOut(best)
}

func (r *Readers) takeOut(i int) *pageConsumer {
	c := r.idle[i]
	r.idle = slices.Delete(r.idle, i, i+1)
	return c
}

// give puts a consumer back, and with it the token to take one. Of nil there
// is only the token: the consumer could not be made.
func (r *Readers) give(c *pageConsumer) {
	r.mu.Lock()
	if c != nil {
		r.idle = append(r.idle, c)
	} else {
		r.made--
	}
	r.mu.Unlock()
	r.free <- struct{}{}
}

// upkeep lets idle consumers take what they are told, a new token first of all,
// and drop what nobody asked for.
func (r *Readers) upkeep() {
	tick := time.NewTicker(idleInterval)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		}
		for range cap(r.free) {
			r.upkeepOne()
		}
	}
}

// upkeepOne serves the idle consumer that was served longest ago. One with
// credentials that have changed is given up; the next page makes another.
func (r *Readers) upkeepOne() {
	select {
	case <-r.free:
	default:
		return
	}
	r.mu.Lock()
	var c *pageConsumer
	if len(r.idle) > 0 {
		c = r.takeOut(0)
	}
	r.mu.Unlock()
	if c == nil {
		r.free <- struct{}{}
		return
	}
	if r.cluster.stale(c.number) {
		r.cluster.closed("pages", c.consumer)
		r.give(nil)
		return
	}
	c.rest()
	r.give(c)
}
