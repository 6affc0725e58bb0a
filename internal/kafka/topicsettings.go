package kafka

import (
	"context"
	"slices"
	"strings"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/stream"
)

// Settings gives all settings of a stream's topic that are in force, sorted by
// name. Sensitive ones have no value. Errors: UnknownStream, Forbidden,
// KafkaUnavailable.
func (s *Storage) Settings(ctx context.Context, id string) (settings []stream.Setting, err error) {
	if err := s.cluster.Reachable(); err != nil {
		return nil, err
	}
	name := s.topics.Topic(id)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = s.admin.whileLagging(ctx, name, func() (err error) {
		if s.cluster.wire == nil {
			settings, err = s.settingsOfLibrdkafka(ctx, name)
		} else {
			err = s.cluster.wire.use(func(client *kgo.Client) error {
				settings, err = askSettings(ctx, client, name)
				return err
			})
		}
		if err != nil {
			return onTopic("DESCRIBE_CONFIGS", name).of(adminError(kafkaError(err)))
		}
		return nil
	})
	if err != nil {
		return nil, missingStream(id, err)
	}
	slices.SortFunc(settings, func(a, b stream.Setting) int { return strings.Compare(a.Name, b.Name) })
	return settings, nil
}

// askSettings asks through franz-go, which gets Kafka's documentation too
// (KIP-569).
func askSettings(ctx context.Context, client *kgo.Client, topic string) ([]stream.Setting, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeDocumentation = true
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	var settings []stream.Setting
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, err
		}
		for _, c := range r.Configs {
			out := stream.Setting{
				Name: c.Name, Value: c.Value, Source: settingSource(int8(c.Source)), ReadOnly: c.ReadOnly, Sensitive: c.IsSensitive,
			}
			if c.Documentation != nil {
				out.Documentation = *c.Documentation
			}
			settings = append(settings, complete(out))
		}
	}
	return settings, nil
}

func (s *Storage) settingsOfLibrdkafka(ctx context.Context, topic string) ([]stream.Setting, error) {
	h := s.cluster.handle
	r, err := use(h, func() ([]ckafka.ConfigResourceResult, error) {
		return h.admin.DescribeConfigs(ctx, []ckafka.ConfigResource{{Type: ckafka.ResourceTopic, Name: topic}}, ckafka.SetAdminRequestTimeout(callTimeout))
	})
	if err != nil {
		return nil, err
	}
	if e := r[0].Error; e.Code() != ckafka.ErrNoError {
		return nil, e
	}
	var settings []stream.Setting
	for _, c := range r[0].Config {
		settings = append(settings, complete(stream.Setting{
			Name: c.Name, Value: &c.Value, Source: settingSource(int8(c.Source)), ReadOnly: c.IsReadOnly, Sensitive: c.IsSensitive,
		}))
	}
	return settings, nil
}

// settingSource gives the word for Kafka's number of a source.
func settingSource(n int8) stream.SettingSource {
	sources := map[int8]stream.SettingSource{
		1: stream.SourceTopic, 2: stream.SourceBroker, 3: stream.SourceCluster, 4: stream.SourceFile, 5: stream.SourceDefault,
	}
	if s, known := sources[n]; known {
		return s
	}
	return stream.SourceOther
}

// complete fills in a setting with what follows from the rest: no value of a
// sensitive one leaves here, whatever a broker sends.
func complete(s stream.Setting) stream.Setting {
	s.Default = s.Source == stream.SourceDefault
	if s.Sensitive {
		s.Value = nil
	}
	return s
}
