package kafka

import (
	"context"
	"log/slog"

	"sluice/internal/stream"
)

// ensureLog makes the log's topic, or checks the one that is there: a log in a
// topic that is not compacted would lose state, and where an entity is rests on
// the number of partitions.
func (a *Admin) ensureLog(ctx context.Context, name string, partitions int) error {
	t, err := a.Topic(ctx, name)
	if stream.CodeOf(err) == stream.UnknownStream {
		if err := a.createLog(ctx, name, partitions); err != nil {
			return err
		}
		t, err = a.Topic(ctx, name) // somebody else may have been faster
	}
	compact := "compact"
	switch {
	case err != nil:
		return err
	case t.Partitions != partitions:
		return stream.Errorf(stream.KafkaUnavailable, "the topic %s has %d partitions, and must have %d: the count is fixed, for records are found by it; "+
			"restore the topic, or delete it if what the gateways keep in it may be lost", name, t.Partitions, partitions)
	case t.Config["cleanup.policy"] != compact:
		a.cluster.log.Warn("the log's topic was not compacted; it is now", slog.String("topic", name))
		return a.Configure(ctx, name, map[string]*string{"cleanup.policy": &compact})
	}
	return nil
}

// createLog makes the log's topic. Where there are three replicas, two must
// have a write before it counts.
func (a *Admin) createLog(ctx context.Context, name string, partitions int) error {
	rf, err := a.defaultReplication(ctx)
	if err != nil {
		return err
	}
	cfg := map[string]string{"cleanup.policy": "compact"}
	if rf >= maxReplicationFactor {
		cfg["min.insync.replicas"] = "2"
	}
	_, err = a.Create(ctx, stream.TopicSpec{Name: name, Partitions: partitions, ReplicationFactor: rf, Config: cfg})
	return err
}
