package kafka

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// Bounds of a commit: how long it may take, with the wait for those before it,
// and how long Kafka keeps a transaction open whose gateway died: as long those
// offsets cannot be read.
const (
	commitTimeout      = 10 * time.Second
	transactionTimeout = 10 * time.Second
)

// Commits commits positions for consumer groups, without being a member of
// any. It may be used by any number of goroutines; commits go one after the
// other.
//
// Kafka takes offsets from a stranger only while a group has no members: a
// commit carries its member's id and generation (KIP-62). The offsets of a
// transaction need neither (KIP-447), so each commit is a transaction, which
// suits groups with members and without. What it commits is not compared with
// what was committed before: an offset may go backwards. Where the gateway may
// not use transactional ids (ACL), or librdkafka refuses the group's id, the
// plain way is tried, which groups with members refuse.
type Commits struct {
	cluster *Cluster
	topics  stream.Topics
	id      string        // the transactional id, of this process alone
	turn    chan struct{} // holds one token: whose it is commits

	producer *ckafka.Producer // nil: made with the next commit
	number   int64            // of the credentials that it has
	serving  sync.WaitGroup
	closed   bool
}

// NewCommits makes one. Its producer starts with the first commit.
func NewCommits(c *Cluster, topics stream.Topics) *Commits {
	cs := &Commits{cluster: c, topics: topics, id: c.group + ".commit." + rand.Text(), turn: make(chan struct{}, 1)}
	cs.turn <- struct{}{}
	return cs
}

// Commit makes a position the group's in all of its streams that are among the
// layouts and are still what those say; partitions that a position does not
// know keep what they have. Errors: InvalidRequest for a group id that Kafka
// refuses, UnknownStream where none of the streams is there any more,
// Forbidden, GroupActive where only transactions could do it and Kafka denies
// them, KafkaUnavailable.
func (c *Commits) Commit(ctx context.Context, group string, layouts []stream.Layout, p stream.Position) error {
	if err := c.cluster.Reachable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return commitError(ctx, err) // nobody waits for it any more
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	layouts, err := c.present(ctx, layouts)
	if err != nil {
		return err
	}
	offsets := c.offsets(layouts, p)
	if len(offsets) == 0 {
		return nil
	}
	select {
	case <-c.turn:
	case <-ctx.Done():
		return stream.Errorf(stream.Overloaded, "too many positions are being committed; try again a little later").Because(ctx.Err())
	}
	defer func() { c.turn <- struct{}{} }()
	return onGroup(group).of(commitError(ctx, c.either(ctx, group, offsets)))
}

// either commits in a transaction, or in the plain way where that cannot be.
// librdkafka reads no metadata of groups whose id has other bytes than the
// printable ones of ASCII.
func (c *Commits) either(ctx context.Context, group string, offsets []ckafka.TopicPartition) error {
	if strings.ContainsFunc(group, func(r rune) bool { return r < ' ' || r > '~' }) {
		return c.plain(ctx, group, offsets, "the gateway can commit for such a group only if its id is of printable ASCII; read in one of another name")
	}
	err := c.transaction(ctx, group, offsets)
	if err != nil {
		c.cluster.metrics.failed(err)
	}
	if is(err, ckafka.ErrTransactionalIDAuthorizationFailed) {
		return c.plain(ctx, group, offsets, "Kafka does not let the gateway commit in a transaction; ask who runs it for WRITE on transactional ids that begin with "+c.cluster.group)
	}
	return err
}

// present leaves out the streams that were deleted, or made anew. librdkafka
// would wait for their topics to come back, and everybody else with it.
func (c *Commits) present(ctx context.Context, layouts []stream.Layout) ([]stream.Layout, error) {
	names := make([]string, len(layouts))
	for i, l := range layouts {
		names[i] = c.topics.Topic(l.Stream)
	}
	if len(names) == 0 {
		return nil, nil
	}
	r, err := use(c.cluster.handle, func() (ckafka.DescribeTopicsResult, error) {
		return c.cluster.handle.admin.DescribeTopics(ctx, ckafka.NewTopicCollectionOfTopicNames(names), ckafka.SetAdminRequestTimeout(callTimeout))
	})
	if err != nil {
		return nil, adminError(err)
	}
	var found []stream.Layout
	for i, d := range r.TopicDescriptions { // in the order of the question
		switch {
		case is(d.Error, ckafka.ErrUnknownTopicOrPart):
		case d.Error.Code() != ckafka.ErrNoError:
			return nil, onTopic("DESCRIBE", names[i]).of(toError(d.Error))
		case d.TopicID.String() == layouts[i].TopicID:
			found = append(found, layouts[i])
		}
	}
	if len(found) == 0 {
		return nil, stream.Errorf(stream.UnknownStream, "the streams of the position do not exist any more, or were made anew")
	}
	return found, nil
}

// offsets gives a position in librdkafka's way, of the partitions there are.
func (c *Commits) offsets(layouts []stream.Layout, p stream.Position) []ckafka.TopicPartition {
	var all []ckafka.TopicPartition
	for _, l := range layouts {
		offsets, known := p.Find(l)
		if known != stream.KnownWell {
			continue
		}
		topic, metadata := c.topics.Topic(l.Stream), commitMetadata(l.TopicID)
		for n, offset := range offsets[:min(len(offsets), l.Partitions)] {
			if offset >= 0 {
				all = append(all, ckafka.TopicPartition{Topic: &topic, Partition: int32(n), Offset: ckafka.Offset(offset), Metadata: &metadata})
			}
		}
	}
	return all
}

// transaction commits offsets in a transaction of their own. A producer that
// failed is given up; the next one, of the same id, ends what it left open.
func (c *Commits) transaction(ctx context.Context, group string, offsets []ckafka.TopicPartition) error {
	if err := c.open(ctx); err != nil {
		return err
	}
	err := c.send(ctx, group, offsets)
	if err == nil {
		return nil
	}
	if theirs, ok := errors.AsType[ckafka.Error](err); ok && theirs.TxnRequiresAbort() && c.producer.AbortTransaction(ctx) == nil {
		return err
	}
	c.giveUp()
	return err
}

func (c *Commits) send(ctx context.Context, group string, offsets []ckafka.TopicPartition) error {
	// Despite its name, this is how a group is named by one who is no member.
	who, err := ckafka.NewTestConsumerGroupMetadata(group)
	if err != nil {
		return fmt.Errorf("name the group: %w", err)
	}
	if err := c.producer.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	if err := c.producer.SendOffsetsToTransaction(ctx, offsets, who); err != nil {
		return fmt.Errorf("send offsets: %w", err)
	}
	if err := c.producer.CommitTransaction(ctx); err != nil {
		return fmt.Errorf("commit a transaction: %w", err)
	}
	return nil
}

// open makes the producer where there is none.
func (c *Commits) open(ctx context.Context) error {
	if c.closed {
		return errClosed
	}
	if c.producer != nil && c.cluster.stale(c.number) {
		c.giveUp()
	}
	if c.producer != nil {
		return nil
	}
	c.number = c.cluster.creds.number()
	cfg, err := c.cluster.config(ckafka.ConfigMap{
		"transactional.id":       c.id,
		"transaction.timeout.ms": int(transactionTimeout.Milliseconds()),
		"message.timeout.ms":     int(transactionTimeout.Milliseconds()), // may not be longer
		"acks":                   "all",
		"enable.idempotence":     true,
		"statistics.interval.ms": 0,
	})
	if err != nil {
		return err
	}
	if c.producer, err = ckafka.NewProducer(&cfg); err != nil {
		return fmt.Errorf("configure the producer of commits: %w", err)
	}
	producer := c.producer
	c.serving.Go(func() {
		for ev := range producer.Events() {
			c.cluster.event("commits", producer, ev)
		}
	})
	if err := c.producer.InitTransactions(ctx); err != nil {
		c.giveUp()
		return fmt.Errorf("begin with transactions: %w", err)
	}
	return nil
}

func (c *Commits) giveUp() {
	producer := c.producer
	c.producer = nil
	c.serving.Go(producer.Close) // may wait for the broker; nobody else does
}

// plain commits as an administrator does, which Kafka allows while the group
// has no members; why says what else would do.
func (c *Commits) plain(ctx context.Context, group string, offsets []ckafka.TopicPartition, why string) error {
	ask := []ckafka.ConsumerGroupTopicPartitions{{Group: group, Partitions: offsets}}
	r, err := use(c.cluster.handle, func() (ckafka.AlterConsumerGroupOffsetsResult, error) {
		return c.cluster.handle.admin.AlterConsumerGroupOffsets(ctx, ask, ckafka.SetAdminRequestTimeout(callTimeout))
	})
	if err == nil {
		err = partitionError(r.ConsumerGroupsTopicPartitions)
	}
	if is(err, ckafka.ErrUnknownMemberID) {
		return stream.Errorf(stream.GroupActive, "the group has members, and %s", why).Because(err)
	}
	return err
}

// Committed gives all offsets that a group has committed in streams; none for a
// group that nobody knows. Errors: Forbidden, KafkaUnavailable.
func (c *Commits) Committed(ctx context.Context, group string) ([]stream.At, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ask := []ckafka.ConsumerGroupTopicPartitions{{Group: group}}
	r, err := use(c.cluster.handle, func() (ckafka.ListConsumerGroupOffsetsResult, error) {
		return c.cluster.handle.admin.ListConsumerGroupOffsets(ctx, ask, ckafka.SetAdminRequestTimeout(callTimeout), ckafka.SetAdminRequireStableOffsets(true))
	})
	if err == nil {
		err = partitionError(r.ConsumerGroupsTopicPartitions)
	}
	if err != nil {
		return nil, onGroup(group).of(commitError(ctx, err))
	}
	var all []stream.At
	for _, g := range r.ConsumerGroupsTopicPartitions {
		for _, tp := range g.Partitions {
			if id, ok := c.topics.Stream(*tp.Topic); ok && tp.Offset >= 0 {
				all = append(all, stream.At{Partition: stream.Partition{Stream: id, Number: tp.Partition}, Offset: int64(tp.Offset)})
			}
		}
	}
	return all, nil
}

func partitionError(groups []ckafka.ConsumerGroupTopicPartitions) error {
	for _, g := range groups {
		for _, tp := range g.Partitions {
			if tp.Error != nil {
				return tp.Error
			}
		}
	}
	return nil
}

// commitError words what went wrong for the client. A commit without an answer
// may have been made: it does no harm to commit the same again.
func commitError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return stream.Errorf(stream.KafkaUnavailable, "Kafka did not answer in time; commit the position again").
			WithOutcome(stream.OutcomeUnclear).Because(err)
	case is(err, ckafka.ErrInvalidGroupID):
		return stream.Errorf(stream.InvalidRequest, "Kafka refuses the id of the group").Because(err)
	}
	e := toError(err)
	if e.Code == stream.Internal {
		e.Code, e.Message = stream.KafkaUnavailable, "Kafka did not take the position; commit it again"
		if !e.Kind.Passes() {
			e.Kind = stream.Retriable
		}
	}
	return e
}

// Close ends the producer, after the commit under way.
func (c *Commits) Close() {
	<-c.turn
	c.closed = true
	if c.producer != nil {
		c.giveUp()
	}
	c.turn <- struct{}{}
	c.serving.Wait()
	c.cluster.log.Debug("no more commits", slog.String("transactional_id", c.id))
}
