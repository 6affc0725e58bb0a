package kafka

import (
	"context"
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

// settle asks what has become of partitions if that is to be asked, and tells
// of those that the last answer says are lost.
func (t *Tail) settle() {
	select {
	case a := <-t.check.answers:
		t.check.asking = false
		t.judge(a)
	default:
	}
	if t.check.wanted && !t.check.asking && time.Since(t.check.asked) > checkAgain {
		t.ask()
	}
}

func (t *Tail) ask() {
	of, still := make(map[place]asked, len(t.next)), t.check.still
	for at, f := range t.next {
		of[at] = asked{f, f.next}
	}
	t.check = partitionCheck{asking: true, asked: time.Now(), answers: t.check.answers}
	places := slices.Collect(maps.Keys(of))
	t.checking.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
		defer cancel()
		// The last stable offset may lie behind a place where one follows.
		found, err := t.cluster.bounds(ctx, places, readUncommitted)
		t.check.answers <- checked{of, found, still, err}
	})
}

// judge drops the partitions that are lost. Where one stands still and none is
// lost, for its bounds have changed again or it was dropped meanwhile, all are
// assigned anew.
func (t *Tail) judge(a checked) {
	if a.err != nil {
		t.check.wanted, t.check.still = true, t.check.still || a.still
		return
	}
	var gone []stream.Partition
	found := false // the one that stands still
	for at, f := range a.of {
		lost, outside := f.lost(a.bounds[at])
		found = found || outside
		if lost && t.next[at] == f.followed {
			gone = append(gone, f.Partition)
			t.fetched = append(t.fetched, stream.Fetched{Partition: f.Partition, Next: f.next, Lost: true})
		}
	}
	err := t.Drop(gone)
	if err == nil && a.still && !found {
		err = t.restart()
	}
	if err != nil {
		t.cluster.log.Warn("the tail's assignment could not be changed", "error", err)
	}
}

// restart assigns every partition anew where it goes on. What was fetched and
// not given yet is fetched again.
func (t *Tail) restart() error {
	parts := make([]ckafka.TopicPartition, 0, len(t.next))
	for at, f := range t.next {
		if !slices.Contains(t.lost, at) {
			parts = append(parts, at.at(f.next))
		}
	}
	return t.assigned(t.consumer.Assign(parts))
}
