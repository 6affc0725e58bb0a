package catalog

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"sluice/internal/stream"
)

// How long a gateway waits for another one to make a topic: one whose binding
// that other has just won, and one that was bound before, which is rather one
// that was deleted than one that is being made. And how often it looks.
const (
	awaitWon   = 5 * time.Second
	awaitBound = 500 * time.Millisecond
	awaitEvery = 25 * time.Millisecond
)

// create makes the topic of a stream whose binding, at revision, was just won.
// A topic that somebody made in the meantime may be adopted by who manages
// streams, and by who found the stream bound already; created is false then.
// Otherwise it is not ours to bind, and the binding is taken back.
func (c *Catalog) create(ctx context.Context, spec stream.TopicSpec, revision int64, adopt bool) (created bool, err error) {
	id, _ := c.Names.Stream(spec.Name)
	created, err = c.Topics.Create(ctx, spec)
	if err == nil && !created && !adopt {
		err = unbound(id)
	}
	if err != nil {
		if outcomeOf(err) != stream.OutcomeUnclear {
			c.takeBack(ctx, id, revision)
		}
		return false, err
	}
	return created, c.Producer.Made(ctx, spec.Name)
}

// takeBack removes a binding whose topic could not be made. If it fails the
// binding stays without a topic, which the next publish or PUT mends.
func (c *Catalog) takeBack(ctx context.Context, id string, revision int64) {
	if _, err := c.Bindings.Unbind(context.WithoutCancel(ctx), id, revision); err != nil {
		c.Log.Warn("cannot take a binding back", slog.String("stream", id), slog.Any("error", err))
	}
}

// awaitTopic waits until the gateway that won the binding has made the topic.
// The error is Overloaded when there is still none.
func (c *Catalog) awaitTopic(ctx context.Context, id string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for {
		_, err := c.Topics.Exists(ctx, c.Names.Topic(id))
		if stream.CodeOf(err) != stream.UnknownStream && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			e := stream.Errorf(stream.Overloaded, "another gateway is making the stream; try again").WithOutcome(stream.NotStored)
			e.RetryAfter = time.Second
			return e
		}
	}
}

// retentionOf gives the settings that a schema's retention asks for.
func retentionOf(v stream.SchemaVersion) map[string]string {
	if v.Retention == 0 {
		return nil
	}
	return map[string]string{"retention.ms": retentionMs(v.Retention)}
}

// retentionMs writes a retention as Kafka's retention.ms; negative is for ever.
func retentionMs(d time.Duration) string {
	if d < 0 {
		return "-1"
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}
