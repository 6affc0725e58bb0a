package kafka

import (
	"context"
	"log/slog"

	"sluice/internal/stream"
)

// ensureLog makes the log's topic, or checks the one that is there: a log in a
// topic that is not compacted, or of several partitions, would lose state.
func (a *Admin) ensureLog(ctx context.Context, name string) error {
	compact := "compact"
	t, err := a.Topic(ctx, name)
	if stream.CodeOf(err) == stream.UnknownStream {
		return a.createLog(ctx, name)
	}
	switch {
	case err != nil:
		return err
	case t.Partitions != 1:
		return stream.Errorf(stream.KafkaUnavailable, "the topic %s must have one partition, and has %d", name, t.Partitions)
	case t.Config["cleanup.policy"] != compact:
		a.cluster.log.Warn("the log's topic was not compacted; it is now", slog.String("topic", name))
		return a.Configure(ctx, name, map[string]*string{"cleanup.policy": &compact})
	}
	return nil
}

// createLog makes the log's topic. Where there are three replicas, two must
// have a write before it counts.
func (a *Admin) createLog(ctx context.Context, name string) error {
	rf, err := a.defaultReplication(ctx)
	if err != nil {
		return err
	}
	cfg := map[string]string{"cleanup.policy": "compact"}
	if rf >= maxReplicationFactor {
		cfg["min.insync.replicas"] = "2"
	}
	_, err = a.Create(ctx, stream.TopicSpec{Name: name, Partitions: 1, ReplicationFactor: rf, Config: cfg})
	return err
}
