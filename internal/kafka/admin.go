package kafka

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// adminTimeout bounds one change to topics, on the broker's side too.
const adminTimeout = 15 * time.Second

// maxReplicationFactor is what topics get where nothing else is asked for, as
// long as there are so many brokers.
const maxReplicationFactor = 3

// Admin creates, describes, changes and deletes topics. It may be used by any
// number of goroutines.
type Admin struct {
	cluster           *Cluster
	replicationFactor int
	made              sync.Map // topic → time.Time: when it was made here
}

// NewAdmin makes an administrator. A replicationFactor of 0 means
// min(brokers, 3) for topics that ask for none.
func NewAdmin(c *Cluster, replicationFactor int) *Admin {
	return &Admin{cluster: c, replicationFactor: replicationFactor}
}

// Topics lists all topics, sorted by name, without ids and settings.
func (a *Admin) Topics(ctx context.Context) ([]stream.Topic, error) {
	md, err := metadata(ctx, a.cluster.handle, nil, true)
	if err != nil {
		return nil, toError(err)
	}
	topics := make([]stream.Topic, 0, len(md.Topics))
	for _, name := range slices.Sorted(maps.Keys(md.Topics)) {
		t := md.Topics[name]
		if t.Error.Code() == ckafka.ErrUnknownTopicOrPart || len(t.Partitions) == 0 {
			continue // being deleted, or being made
		}
		topics = append(topics, stream.Topic{Name: name, Partitions: len(t.Partitions), ReplicationFactor: len(t.Partitions[0].Replicas)})
	}
	return topics, nil
}

// Topic describes one topic, with its id and the settings that are its own.
// The error is UnknownStream when there is none.
func (a *Admin) Topic(ctx context.Context, name string) (stream.Topic, error) {
	t, err := a.Exists(ctx, name)
	if err != nil {
		return stream.Topic{}, err
	}
	err = a.whileLagging(ctx, name, func() (err error) {
		t.Config, err = a.cluster.topicConfig(ctx, name, false)
		return err
	})
	return t, err
}

// lagTime is how long after a topic was made some broker may not know it yet.
const lagTime = 10 * time.Second

// Exists describes one topic, without its settings. The error is UnknownStream
// when there is none. A broker that does not know a topic which was made here a
// moment ago is asked again, or another one is.
func (a *Admin) Exists(ctx context.Context, name string) (stream.Topic, error) {
	var t stream.Topic
	err := a.whileLagging(ctx, name, func() (err error) {
		t, err = a.describe(ctx, name)
		return err
	})
	return t, err
}

// whileLagging asks again while a topic that was made here a moment ago is
// unknown.
func (a *Admin) whileLagging(ctx context.Context, name string, ask func() error) error {
	for {
		err := ask()
		made, here := a.made.Load(name)
		if stream.CodeOf(err) != stream.UnknownStream || !here || ctx.Err() != nil {
			return err
		}
		if time.Since(made.(time.Time)) > lagTime {
			a.made.Delete(name)
			return err
		}
		pause(ctx, askPause)
	}
}

func (a *Admin) describe(ctx context.Context, name string) (stream.Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := use(a.cluster.handle, func() (ckafka.DescribeTopicsResult, error) {
		return a.cluster.handle.admin.DescribeTopics(ctx, ckafka.NewTopicCollectionOfTopicNames([]string{name}), ckafka.SetAdminRequestTimeout(callTimeout))
	})
	if err != nil {
		return stream.Topic{}, onTopic("DESCRIBE", name).of(adminError(err))
	}
	d := r.TopicDescriptions[0]
	if d.Error.Code() != ckafka.ErrNoError {
		return stream.Topic{}, onTopic("DESCRIBE", name).of(toError(d.Error))
	}
	t := stream.Topic{Name: name, ID: d.TopicID.String(), Partitions: len(d.Partitions)}
	if len(d.Partitions) > 0 {
		t.ReplicationFactor = len(d.Partitions[0].Replicas)
	}
	return t, nil
}

// Create makes a topic and waits until the cluster knows it. created is false,
// without an error, when there is one of that name. Errors: NameCollision,
// InvalidRequest for what Kafka refuses, Forbidden, KafkaUnavailable.
func (a *Admin) Create(ctx context.Context, spec stream.TopicSpec) (created bool, err error) {
	if created, err = a.create(ctx, spec, false); !created {
		return false, err
	}
	a.made.Store(spec.Name, time.Now())
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	return true, a.until(ctx, spec.Name, 1)
}

// create asks for a topic, or whether it can be made.
func (a *Admin) create(ctx context.Context, spec stream.TopicSpec, trial bool) (created bool, err error) {
	t := ckafka.TopicSpecification{Topic: spec.Name, NumPartitions: spec.Partitions, ReplicationFactor: spec.ReplicationFactor, Config: spec.Config}
	if t.NumPartitions == 0 {
		t.NumPartitions = -1 // the broker's num.partitions, KIP-464
	}
	if t.ReplicationFactor == 0 {
		if t.ReplicationFactor, err = a.defaultReplication(ctx); err != nil {
			return false, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	r, err := use(a.cluster.handle, func() ([]ckafka.TopicResult, error) {
		return a.cluster.handle.admin.CreateTopics(ctx, []ckafka.TopicSpecification{t}, ckafka.SetAdminOperationTimeout(adminTimeout), ckafka.SetAdminValidateOnly(trial))
	})
	if err != nil {
		return false, changeError(err)
	}
	switch e := r[0].Error; e.Code() {
	case ckafka.ErrNoError:
		return true, nil
	case ckafka.ErrTopicAlreadyExists:
		return false, nil
	case ckafka.ErrTopicException:
		return false, a.badName(ctx, spec.Name, e)
	default:
		return false, onTopic("CREATE", spec.Name).of(refused(e))
	}
}

// defaultReplication gives the configured factor, or min(brokers, 3).
func (a *Admin) defaultReplication(ctx context.Context) (int, error) {
	if a.replicationFactor > 0 {
		return a.replicationFactor, nil
	}
	md, err := metadata(ctx, a.cluster.handle, nil, false)
	if err != nil {
		return 0, toError(err)
	}
	return max(1, min(len(md.Brokers), maxReplicationFactor)), nil
}

// Delete deletes a topic and returns when the cluster does not know it any
// more. The error is UnknownStream when there was none.
func (a *Admin) Delete(ctx context.Context, name string) error {
	a.made.Delete(name)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	r, err := use(a.cluster.handle, func() ([]ckafka.TopicResult, error) {
		return a.cluster.handle.admin.DeleteTopics(ctx, []string{name}, ckafka.SetAdminOperationTimeout(adminTimeout))
	})
	if err != nil {
		return changeError(err)
	}
	if e := r[0].Error; e.Code() != ckafka.ErrNoError {
		return onTopic("DELETE", name).of(refused(e))
	}
	return a.until(ctx, name, 0)
}

// until waits until the brokers agree that a topic has so many partitions, or
// more, with a leader for each, or for 0 that it does not exist. Brokers learn of a change one after the
// other, so a few answers in a row must say so.
func (a *Admin) until(ctx context.Context, name string, partitions int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for agreed := 0; agreed < 3; {
		md, err := metadata(ctx, a.cluster.handle, &name, false)
		if err == nil && settled(md.Topics[name], partitions) {
			agreed++
		} else {
			agreed = 0
		}
		select {
		case <-ctx.Done():
			return ended(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func settled(t ckafka.TopicMetadata, partitions int) bool {
	if partitions == 0 {
		return is(t.Error, ckafka.ErrUnknownTopicOrPart, ckafka.ErrUnknownTopic)
	}
	led := len(t.Partitions) >= partitions && t.Error.Code() == ckafka.ErrNoError
	for _, p := range t.Partitions {
		led = led && p.Leader >= 0
	}
	return led
}

// AddPartitions raises the number of a topic's partitions to n.
func (a *Admin) AddPartitions(ctx context.Context, name string, n int) error {
	if err := a.addPartitions(ctx, name, n, false); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	return a.until(ctx, name, n)
}

// addPartitions asks for more partitions, or whether they can be had.
func (a *Admin) addPartitions(ctx context.Context, name string, n int, trial bool) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	r, err := use(a.cluster.handle, func() ([]ckafka.TopicResult, error) {
		return a.cluster.handle.admin.CreatePartitions(ctx, []ckafka.PartitionsSpecification{{Topic: name, IncreaseTo: n}}, ckafka.SetAdminOperationTimeout(adminTimeout), ckafka.SetAdminValidateOnly(trial))
	})
	if err != nil {
		return changeError(err)
	}
	if e := r[0].Error; e.Code() != ckafka.ErrNoError {
		return onTopic("ALTER", name).of(refused(e))
	}
	return nil
}

// Configure sets a topic's settings; a nil value takes one back to the
// broker's default. The others stay as they are (KIP-339).
func (a *Admin) Configure(ctx context.Context, name string, settings map[string]*string) error {
	if err := a.configure(ctx, name, settings, false); err != nil {
		return err
	}
	a.untilSet(ctx, name, settings)
	return nil
}

// configure asks for settings, or whether they can be had.
func (a *Admin) configure(ctx context.Context, name string, settings map[string]*string, trial bool) error {
	entries := make([]ckafka.ConfigEntry, 0, len(settings))
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		e := ckafka.ConfigEntry{Name: key, IncrementalOperation: ckafka.AlterConfigOpTypeDelete}
		if v := settings[key]; v != nil {
			e.Value, e.IncrementalOperation = *v, ckafka.AlterConfigOpTypeSet
		}
		entries = append(entries, e)
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	r, err := use(a.cluster.handle, func() ([]ckafka.ConfigResourceResult, error) {
		return a.cluster.handle.admin.IncrementalAlterConfigs(ctx, []ckafka.ConfigResource{{Type: ckafka.ResourceTopic, Name: name, Config: entries}}, ckafka.SetAdminRequestTimeout(adminTimeout), ckafka.SetAdminValidateOnly(trial))
	})
	if err != nil {
		return changeError(err)
	}
	if e := r[0].Error; e.Code() != ckafka.ErrNoError {
		return onTopic("ALTER_CONFIGS", name).of(refused(e))
	}
	return nil
}

// settleTimeout is how long Configure waits to read back what it set.
const settleTimeout = time.Second

// untilSet waits until the settings can be read: a broker learns of them a
// moment after they were accepted. It does not wait for ever, since Kafka may
// spell a value another way.
func (a *Admin) untilSet(ctx context.Context, name string, settings map[string]*string) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := a.cluster.topicConfig(ctx, name, false)
		if err == nil && (stream.Topic{Config: found}).Has(settings) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// topicConfig reads a topic's settings: all that are in force, or only those
// that were set for this topic.
func (c *Cluster) topicConfig(ctx context.Context, name string, all bool) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := use(c.handle, func() ([]ckafka.ConfigResourceResult, error) {
		return c.handle.admin.DescribeConfigs(ctx, []ckafka.ConfigResource{{Type: ckafka.ResourceTopic, Name: name}}, ckafka.SetAdminRequestTimeout(callTimeout))
	})
	if err != nil {
		return nil, adminError(err)
	}
	if e := r[0].Error; e.Code() != ckafka.ErrNoError {
		return nil, onTopic("DESCRIBE_CONFIGS", name).of(toError(e))
	}
	settings := map[string]string{}
	for _, e := range r[0].Config {
		if (all || e.Source == ckafka.ConfigSourceDynamicTopic) && !e.IsSensitive {
			settings[e.Name] = e.Value
		}
	}
	return settings, nil
}

// adminError maps an error of a whole administrative call: one that ran into
// its context's end is an outage, not a fault of ours.
func adminError(err error) error {
	e := toError(err)
	if e.Code == stream.Internal {
		return stream.Errorf(stream.KafkaUnavailable, "Kafka did not answer in time; try again").
			WithOutcome(stream.OutcomeUnclear).Because(err)
	}
	return e
}

// changeError is adminError for a call that changes something: without an
// answer nobody knows whether it did.
func changeError(err error) error {
	e := toError(err)
	if e.Code == stream.Internal || e.Code == stream.KafkaUnavailable {
		return stream.Errorf(stream.KafkaUnavailable, "Kafka did not answer in time; look whether the change took place, and try again").
			WithOutcome(stream.OutcomeUnclear).Because(err)
	}
	return e
}

// refused tells the client in Kafka's words why a change was refused: they are
// about the request.
func refused(err ckafka.Error) error {
	e := toError(err)
	if e.Code == stream.KafkaUnavailable {
		return changeError(err)
	}
	if e.Code == stream.InvalidRequest {
		e.Message += ": " + strings.TrimSuffix(err.String(), ".")
	}
	return e
}

// badName tells a name that collides with another topic's from one that is not
// a name: Kafka has one code for both.
func (a *Admin) badName(ctx context.Context, name string, err ckafka.Error) error {
	topics, listing := a.Topics(ctx)
	if listing != nil {
		return listing
	}
	for _, t := range topics {
		if stream.Collides(name, t.Name) {
			return stream.Errorf(stream.NameCollision, `Kafka takes "." and "_" for one in names: there is the topic %s already`, t.Name).
				WithOutcome(stream.NotStored).Because(err)
		}
	}
	return refused(err)
}
