package kafka

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"sluice/internal/stream"
)

// versionTimeout bounds the question which version a broker is of, where that is
// a part of the answer alone.
const versionTimeout = time.Second

// Brokers tells of the cluster and its brokers. Requests at the same time share
// one question to Kafka, and an answer serves for a second. It may be used by
// any number of goroutines.
type Brokers struct {
	cluster  *Cluster
	found    shared[ckafka.DescribeClusterResult]
	versions shared[stream.APIVersions]
}

// NewBrokers makes one on the control connection.
func NewBrokers(c *Cluster) *Brokers { return &Brokers{cluster: c} }

// Cluster gives the whole. The error is KafkaUnavailable, or Forbidden.
func (b *Brokers) Cluster(ctx context.Context) (stream.Cluster, error) {
	d, brokers, err := b.describe(ctx)
	if err != nil {
		return stream.Cluster{}, err
	}
	c := stream.Cluster{Brokers: brokers}
	if d.ClusterID != nil {
		c.ID = *d.ClusterID
	}
	for i := range brokers {
		if brokers[i].Controller {
			c.Controller = &brokers[i].ID
		}
	}
	c.KafkaVersion = b.version(ctx, brokers)
	return c, nil
}

// List gives all brokers that the cluster has at the moment, sorted by id. The
// error is KafkaUnavailable, or Forbidden.
func (b *Brokers) List(ctx context.Context) ([]stream.Broker, error) {
	_, brokers, err := b.describe(ctx)
	return brokers, err
}

func (b *Brokers) describe(ctx context.Context) (ckafka.DescribeClusterResult, []stream.Broker, error) {
	if err := b.cluster.Reachable(); err != nil {
		return ckafka.DescribeClusterResult{}, nil, err
	}
	h := b.cluster.handle
	d, err := b.found.ask(ctx, "", func(ctx context.Context) (d ckafka.DescribeClusterResult, err error) {
		return use(h, func() (ckafka.DescribeClusterResult, error) {
			err = askAgain(ctx, func() error {
				d, err = h.admin.DescribeCluster(ctx, ckafka.SetAdminRequestTimeout(callTimeout))
				return err
			})
			return d, err
		})
	})
	if err != nil {
		return d, nil, adminError(err)
	}
	return d, b.connected(d), nil
}

// connected adds to the brokers how this gateway stands with them.
func (b *Brokers) connected(d ckafka.DescribeClusterResult) []stream.Broker {
	backoff := b.cluster.reconnectBackoff()
	brokers := make([]stream.Broker, 0, len(d.Nodes))
	for _, n := range d.Nodes {
		id := int32(n.ID)
		brokers = append(brokers, stream.Broker{
			ID: id, Host: n.Host, Port: n.Port, Rack: n.Rack,
			Controller: d.Controller != nil && d.Controller.ID == n.ID,
			Connection: b.cluster.nodes.connection(id, backoff),
		})
	}
	slices.SortFunc(brokers, func(x, y stream.Broker) int { return cmp.Compare(x.ID, y.ID) })
	markLeastLoaded(brokers)
	return brokers
}

// reconnectBackoff gives the longest that librdkafka waits before it connects
// again.
func (c *Cluster) reconnectBackoff() time.Duration {
	cfg, err := c.config(nil)
	if err != nil {
		return 0
	}
	ms, err := strconv.Atoi(fmt.Sprint(cfg["reconnect.backoff.max.ms"]))
	if err != nil {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// APIVersions gives the requests that a broker knows, and the version of Kafka
// that they imply. Errors: UnknownBroker, KafkaUnavailable, and InvalidRequest
// where the gateway logs in with what librdkafka alone knows.
func (b *Brokers) APIVersions(ctx context.Context, id int32) (stream.APIVersions, error) {
	brokers, err := b.List(ctx)
	if err != nil {
		return stream.APIVersions{}, err
	}
	if !slices.ContainsFunc(brokers, func(x stream.Broker) bool { return x.ID == id }) {
		return stream.APIVersions{}, stream.Errorf(stream.UnknownBroker, "the cluster has no broker %d at the moment; GET /cluster/brokers lists those it has", id)
	}
	return b.askVersions(ctx, id)
}

// version asks the first broker that would be asked anything.
func (b *Brokers) version(ctx context.Context, brokers []stream.Broker) string {
	if len(brokers) == 0 {
		return ""
	}
	first := max(0, slices.IndexFunc(brokers, func(x stream.Broker) bool { return x.LeastLoaded }))
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	v, err := b.askVersions(ctx, brokers[first].ID)
	if err != nil {
		return ""
	}
	return v.Version
}

func (b *Brokers) askVersions(ctx context.Context, id int32) (stream.APIVersions, error) {
	if b.cluster.wire == nil {
		return stream.APIVersions{}, stream.Errorf(stream.InvalidRequest, "the gateway logs in to Kafka in a way that only librdkafka knows, and librdkafka cannot ask for API versions: ask with Kafka's own kafka-broker-api-versions")
	}
	limit := callTimeout
	if d, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(d))
	}
	v, err := b.versions.ask(ctx, strconv.Itoa(int(id)), func(ctx context.Context) (v stream.APIVersions, err error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		err = b.cluster.wire.use(func(client *kgo.Client) error {
			v, err = apiVersions(ctx, client, id)
			return err
		})
		return v, err
	})
	if err != nil {
		return v, adminError(kafkaError(err))
	}
	return v, nil
}

// apiVersions asks one broker (KIP-35, KIP-511).
func apiVersions(ctx context.Context, client *kgo.Client, id int32) (stream.APIVersions, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = defaultClientID, "1"
	answer, err := client.Broker(int(id)).Request(ctx, req)
	if err != nil {
		return stream.APIVersions{}, err
	}
	resp := answer.(*kmsg.ApiVersionsResponse)
	v := stream.APIVersions{Broker: id, Version: kafkaVersion(resp)}
	for _, k := range resp.ApiKeys {
		r := stream.APIRange{Key: k.ApiKey, Min: k.MinVersion, Max: k.MaxVersion}
		if name := kmsg.NameForKey(k.ApiKey); name != "Unknown" {
			r.Name = name
		}
		v.APIs = append(v.APIs, r)
	}
	slices.SortFunc(v.APIs, func(x, y stream.APIRange) int { return cmp.Compare(x.Key, y.Key) })
	return v, nil
}

// kafkaVersion says which version of Kafka the versions of its requests imply:
// "4.1", or in words where they are of no version alone. A broker that is not
// Kafka may lack some requests and know the others as well as a version does:
// those that it lacks do not count then.
func kafkaVersion(resp *kmsg.ApiVersionsResponse) string {
	versions := kversion.FromApiVersionsResponse(resp)
	guess := versions.VersionGuess()
	if !strings.HasPrefix(guess, "v") {
		var lacks []int16
		kversion.Stable().EachMaxKeyVersion(func(key, _ int16) {
			if !versions.HasKey(key) {
				lacks = append(lacks, key)
			}
		})
		guess = versions.VersionGuess(kversion.SkipKeys(lacks...))
	}
	words := strings.Fields(guess)
	for i, w := range words {
		if len(w) > 1 && w[0] == 'v' && w[1] >= '0' && w[1] <= '9' {
			words[i] = w[1:]
		}
	}
	return strings.Join(words, " ")
}
