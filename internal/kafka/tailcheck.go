package kafka

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// partitionCheck finds out which partitions of a tail are lost. librdkafka says
// that something is wrong with a partition, but not with which, so the bounds of
// all are asked for, by a goroutine of its own: the others must not wait.
type partitionCheck struct {
	wanted  bool // something was told since the last question
	still   bool // of a partition that stands still until it is assigned again
	asking  bool
	asked   time.Time
	answers chan checked
}

// checked is the answer to a question about all partitions.
type checked struct {
	of     map[place]asked
	bounds map[place]edges
	still  bool
	err    error
}

// asked is a partition, and where it was to go on when the question was asked.
type asked struct {
	*followed

	from int64
}

// lost says whether a partition cannot be followed any more, and whether it is
// because the place where one goes on is outside of its bounds.
func (a asked) lost(b edges) (lost, outside bool) {
	if b.err != nil {
		return is(b.err, mayBeGone...) || is(b.err, ckafka.ErrTopicAuthorizationFailed), false
	}
	outside = a.next < b.Begin || a.from > b.End // what came since the question lies beyond that end
	return outside, outside
}

// located is what Kafka says of partitions that were added.
type located struct {
	added  map[place]*followed
	begins map[place]offset
	err    error
}

// locate asks where partitions are, and whether they begin in time, by a
// goroutine of its own.
func (t *Tail) locate(added map[place]*followed) {
	places := slices.Collect(maps.Keys(added))
	t.locating++
	consumer := t.consumer
	t.asking.Go(func() {
		begins, err := locate(t.ctx, consumer, places)
		select {
		case t.located <- located{added, begins, err}:
		case <-t.ctx.Done():
		}
	})
}

// settle takes the answers that have come, and asks what has become of
// partitions if that is to be asked.
func (t *Tail) settle() {
	var err error
	select {
	case a := <-t.located:
		t.locating--
		err = t.assign(a)
	case a := <-t.check.answers:
		t.check.asking = false
		err = t.judge(a)
	default:
	}
	if err != nil {
		t.cluster.log.Error("the tail's assignment could not be changed", slog.Any("error", err))
	}
	if t.check.wanted && !t.check.asking && time.Since(t.check.asked) > checkAgain {
		t.ask()
	}
}

// assign begins to follow what was added, as far as it is there and was not
// dropped meanwhile. Where Kafka gave no answer librdkafka finds out by itself.
func (t *Tail) assign(a located) error {
	var parts []ckafka.TopicPartition
	for at, f := range a.added {
		switch b := a.begins[at]; {
		case t.next[at] != f:
		case a.err == nil && (b.err != nil || f.next < b.value):
			t.tellLost(at)
			delete(t.next, at)
		default:
			f.assigned = true
			parts = append(parts, at.at(f.next))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return changed(t.consumer.IncrementalAssign(parts))
}

func (t *Tail) ask() {
	of, still := make(map[place]asked, len(t.next)), t.check.still
	for at, f := range t.next {
		if f.assigned {
			of[at] = asked{f, f.next}
		}
	}
	t.check = partitionCheck{asking: true, asked: time.Now(), answers: t.check.answers}
	places := slices.Collect(maps.Keys(of))
	t.asking.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
		defer cancel()
		// The last stable offset may lie behind a place where one follows.
		found, err := t.cluster.bounds(ctx, places, readUncommitted)
		t.check.answers <- checked{of, found, still, err} // has room: one at a time is asked
	})
}

// judge drops the partitions that are lost. Where one stands still and none is
// lost, for its bounds have changed again or it was dropped meanwhile, all are
// assigned anew.
func (t *Tail) judge(a checked) error {
	if a.err != nil {
		t.check.wanted, t.check.still = true, t.check.still || a.still
		return nil
	}
	var gone []stream.Partition
	found := false // the one that stands still
	for at, f := range a.of {
		lost, outside := f.lost(a.bounds[at])
		found = found || outside
		if lost && t.next[at] == f.followed {
			gone = append(gone, f.Partition)
			t.tellLost(at)
		}
	}
	if err := t.Drop(gone); err != nil {
		return err
	}
	if a.still && !found {
		return t.restart()
	}
	return nil
}

// restart assigns every partition anew where it goes on. What was fetched and
// not given yet is fetched again.
func (t *Tail) restart() error {
	parts := make([]ckafka.TopicPartition, 0, len(t.next))
	for at, f := range t.next {
		if f.assigned {
			parts = append(parts, at.at(f.next))
		}
	}
	return changed(t.consumer.Assign(parts))
}
