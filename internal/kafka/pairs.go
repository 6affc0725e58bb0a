package kafka

import (
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/stream"
)

// pairFor is how long a partition that has stored a record is believed to store
// another one at once. A leader that hangs is avoided from then on.
const pairFor = 100 * time.Millisecond

// pairs knows the pair of each topic.
type pairs struct{ topics sync.Map } // topic → *pair

// of gives the topic's pair.
func (p *pairs) of(topic string) *pair {
	v, known := p.topics.Load(topic)
	if !known {
		v, _ = p.topics.LoadOrStore(topic, newPair())
	}
	return v.(*pair)
}

// pair spreads a topic's records without a key over two partitions at a time:
// the one where librdkafka puts such records now, and the one where it did
// before. (Its sticky partitioner goes on to another one every 10 ms.) With one
// partition at a time librdkafka's thread finds no sleep: while more than four
// records of a partition are away it makes no other request for it, and asks
// without a pause whether it may. When a request for a second partition waits
// meanwhile, there is no room for another one, and it sleeps until the broker
// answers. With more than two, requests are needlessly small: each holds the
// records of one partition.
//
// Nobody is asked which partitions there are, and which have a leader: the
// reports tell, and librdkafka, which knows, still places every second record.
// So no record is for a partition that did not store one just now.
//
// One goroutine at a time, of a producer's events, calls learn and forget; any
// number may call choose.
type pair struct {
	turns  atomic.Uint32
	now    atomic.Int32 // where librdkafka put the last record that was reported
	other  atomic.Int32 // where it did before; AnyPartition: not known
	stored atomic.Int64 // when other last stored a record, in milliseconds since 1970
}

func newPair() *pair {
	p := &pair{}
	p.now.Store(stream.AnyPartition)
	p.other.Store(stream.AnyPartition)
	return p
}

// choose gives the partition of a record without a key, AnyPartition where
// librdkafka is to place it: the one or the other by turn.
func (p *pair) choose(now time.Time, turn uint32) int32 {
	if turn&1 == 0 || now.UnixMilli()-p.stored.Load() > pairFor.Milliseconds() {
		return stream.AnyPartition
	}
	return p.other.Load()
}

// learn takes the report of a record that is stored: chosen is what choose gave
// for it.
func (p *pair) learn(chosen, partition int32, now time.Time) {
	if chosen == stream.AnyPartition {
		before := p.now.Swap(partition)
		if before == partition || before == stream.AnyPartition {
			return
		}
		p.other.Store(before)
	} else if p.other.Load() != partition {
		return
	}
	p.stored.Store(now.UnixMilli())
}

// forget leaves the next records to librdkafka, until it has gone on to
// another partition: one that choose gave did not take a record.
func (p *pair) forget() { p.other.Store(stream.AnyPartition) }
