package kafka

import (
	"context"
	"slices"
	"strings"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// describeChunk is how many topics are described in one request.
const describeChunk = 500

// Layouts gives the streams that the pattern selects, sorted by id. Where all
// its parts are plain ids Kafka is asked for those alone, and ids that do not
// exist are left out; else for the names of all topics, and then about those
// that match. Errors: Forbidden for a plain id, KafkaUnavailable.
func (r *Readers) Layouts(ctx context.Context, pattern stream.Pattern) ([]stream.Layout, error) {
	if err := r.cluster.Reachable(); err != nil {
		return nil, err
	}
	names, plain, err := r.matching(ctx, pattern)
	if err != nil {
		return nil, err
	}
	layouts := make([]stream.Layout, 0, len(names))
	for chunk := range slices.Chunk(names, describeChunk) {
		topics, err := r.describe(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for _, d := range topics {
			id, _ := r.topics.Stream(d.Name)
			switch {
			case is(d.Error, ckafka.ErrUnknownTopicOrPart, ckafka.ErrUnknownTopic), is(d.Error, ckafka.ErrTopicAuthorizationFailed) && !plain:
			case d.Error.Code() != ckafka.ErrNoError:
				return nil, onTopic("DESCRIBE", d.Name).of(toError(d.Error))
			case len(d.Partitions) > 0: // else it is being made
				layouts = append(layouts, stream.Layout{Stream: id, TopicID: d.TopicID.String(), Partitions: len(d.Partitions)})
			}
		}
	}
	slices.SortFunc(layouts, func(a, b stream.Layout) int { return strings.Compare(a.Stream, b.Stream) })
	return layouts, nil
}

// matching gives the topics that the pattern may mean, each once, and whether
// its parts are plain ids.
func (r *Readers) matching(ctx context.Context, pattern stream.Pattern) (names []string, plain bool, err error) {
	ids, plain := pattern.IDs()
	if plain {
		for _, id := range ids {
			if r.topics.CheckID(id) == nil {
				names = append(names, r.topics.Topic(id))
			}
		}
		slices.Sort(names)
		return slices.Compact(names), true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	md, err := metadata(ctx, r.cluster.handle, nil, true)
	if err != nil {
		return nil, false, toError(err)
	}
	for name := range md.Topics {
		if id, ok := r.topics.Stream(name); ok && pattern.Match(id) {
			names = append(names, name)
		}
	}
	return names, false, nil
}

func (r *Readers) describe(ctx context.Context, names []string) ([]ckafka.TopicDescription, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	h := r.cluster.handle
	d, err := use(h, func() (d ckafka.DescribeTopicsResult, err error) {
		err = askAgain(ctx, func() error {
			d, err = h.admin.DescribeTopics(ctx, ckafka.NewTopicCollectionOfTopicNames(names), ckafka.SetAdminRequestTimeout(callTimeout))
			return err
		})
		return d, err
	})
	if err != nil {
		return nil, adminError(err)
	}
	return d.TopicDescriptions, nil
}
