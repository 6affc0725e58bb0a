package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// How long a sign of life holds, how often the group is asked for one, how long
// its answer may take, and after how long without any the consumer is replaced.
const (
	aliveFor     = 2 * time.Second
	proofEvery   = 500 * time.Millisecond
	proofTimeout = 3 * time.Second
	proofLost    = 30 * time.Second
)

var errUnanswered = errors.New("the group does not answer, though Kafka does")

// life is what is known of whether a gateway still owns what it was assigned.
// Two things are needed, and each alone would not do.
//
// The group's coordinator must have confirmed the member a short while ago,
// counted from before it was asked. It keeps a member whom it confirmed for the
// session's time at least, which is three times as long. That librdkafka knows
// of no trouble is not enough: a process that was stopped is served what it
// missed in any order, and one that is cut off is told when the session's time
// is over, when others own its partitions already.
//
// And the poll loop must run, for a rebalance that it does not serve ends
// without this member after the time for a rebalance, though it was confirmed
// until then.
type life struct {
	servedUntil time.Time // when the poll loop is taken for stalled
	proven      time.Time // before the question that was confirmed last
	epoch       int       // counts rebalances: an answer must belong to the one it was asked in
}

func (l *life) alive(now time.Time) bool {
	return within(now, l.servedUntil) && within(now, l.proven.Add(aliveFor))
}

// within compares by both clocks. Neither counts always: the one that Go
// prefers stands still while the machine sleeps, the other is set by people.
func within(now, end time.Time) bool {
	return now.Before(end) && now.Round(0).Before(end.Round(0))
}

// polled notes that the poll loop runs, and will for d.
func (l *life) polled(now time.Time, d time.Duration) { l.servedUntil = now.Add(d) }

// rebalanced makes answers to questions from before void.
func (l *life) rebalanced() { l.epoch++ }

// end is the end of all that was confirmed.
func (l *life) end() { l.proven = time.Time{} }

// confirm takes an answer to a question that was asked at a time, in an epoch.
func (l *life) confirm(asked time.Time, epoch int) {
	if epoch == l.epoch {
		l.proven = asked
	}
}

// prove asks the group, again and again, whether this gateway is a member.
func (m *fleetMember) prove(ctx context.Context) {
	tick := time.NewTicker(proofEvery)
	defer tick.Stop()
	for !m.deaf.Load() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-m.wake:
		}
		if err := m.ask(ctx); err != nil {
			m.log.Debug("the group does not confirm the gateway", slog.Any("error", err))
		}
	}
}

// answer waits for one, and gives the consumer up when none comes although
// Kafka answers.
func (m *fleetMember) answer(ctx context.Context, answer <-chan error) error {
	late := time.NewTicker(proofLost)
	defer late.Stop()
	for {
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			if m.cluster.Reachable() == nil {
				m.deaf.Store(true)
				return errUnanswered
			}
		}
	}
}

// ask commits offsets as a member, which Kafka takes from members of the
// present generation alone. There is no other question that a consumer could
// ask its coordinator by itself, and get an answer to.
//
// librdkafka forgets who it is when it learns that its session is over, and
// then commits as a stranger, which Kafka takes while the group has no members.
// Such an answer does not count: the assignment is marked as lost by then, and
// stays so until the rebalance that begins another epoch.
func (m *fleetMember) ask(ctx context.Context) error {
	m.mu.Lock()
	owned, epoch := slices.Clone(m.owned), m.life.epoch
	m.mu.Unlock()
	if len(owned) == 0 {
		return nil
	}
	asked, at := time.Now(), m.news(owned, epoch)
	err := m.answer(ctx, m.questions.put(func() error { return m.commit(at) }))
	if err != nil && !is(err, ckafka.ErrRebalanceInProgress) { // which is said to members alone
		return err
	}
	if err == nil {
		m.told.add(at)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.consumer.AssignmentLost() {
		m.life.confirm(asked, epoch)
	}
	return nil
}

// told are the offsets that this member committed since a rebalance; others may
// have committed theirs before.
type told struct {
	epoch   int
	offsets map[int32]ckafka.Offset
}

func (t *told) add(parts []ckafka.TopicPartition) {
	for _, tp := range parts {
		t.offsets[tp.Partition] = tp.Offset
	}
}

// news gives the offsets that the group does not know yet, or one that it does:
// an answer to one proves as much as one to all, and Kafka stores each.
func (m *fleetMember) news(owned []int32, epoch int) []ckafka.TopicPartition {
	if m.told.epoch != epoch || m.told.offsets == nil {
		m.told = told{epoch, map[int32]ckafka.Offset{}}
	}
	var all, at []ckafka.TopicPartition
	for _, p := range owned {
		tp := place{m.o.Topic, p}.at(m.position(p))
		if known, ok := m.told.offsets[p]; !ok || known != tp.Offset {
			at = append(at, tp)
		}
		all = append(all, tp)
	}
	if len(at) == 0 {
		at = all[:1]
	}
	return at
}

// position is how far this gateway has read a partition.
func (m *fleetMember) position(p int32) int64 {
	if m.o.Position == nil {
		return 0
	}
	return max(0, m.o.Position(p))
}

func (m *fleetMember) commit(at []ckafka.TopicPartition) error {
	committed, err := m.consumer.CommitOffsets(at)
	if err != nil {
		return err
	}
	for _, tp := range committed {
		if tp.Error != nil {
			return tp.Error
		}
	}
	return nil
}
