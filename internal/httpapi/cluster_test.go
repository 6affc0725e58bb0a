package httpapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sluice/internal/stream"
)

type fakeBrokers struct {
	cluster  func(context.Context) (stream.Cluster, error)
	versions func(context.Context, int32) (stream.APIVersions, error)
}

func (f *fakeBrokers) Cluster(ctx context.Context) (stream.Cluster, error) {
	if f.cluster == nil {
		return stream.Cluster{}, errUnexpected
	}
	return f.cluster(ctx)
}

func (f *fakeBrokers) List(ctx context.Context) ([]stream.Broker, error) {
	c, err := f.Cluster(ctx)
	return c.Brokers, err
}

func (f *fakeBrokers) APIVersions(ctx context.Context, id int32) (stream.APIVersions, error) {
	if f.versions == nil {
		return stream.APIVersions{}, errUnexpected
	}
	return f.versions(ctx, id)
}

func twoBrokers(context.Context) (stream.Cluster, error) {
	return stream.Cluster{
		ID: "c", Controller: new(int32(2)), KafkaVersion: "4.1",
		Brokers: []stream.Broker{
			{ID: 1, Host: "one.example", Port: 9092, Rack: new("a"), LeastLoaded: true, Connection: stream.Connection{
				State: stream.ConnectionReady, Observed: noon, InFlight: 2, Sent: 10, Received: 20, Connects: 3, Disconnects: 1,
				RoundTrip: &stream.RoundTrip{P50: 1200 * time.Microsecond, P99: 4 * time.Millisecond}, Throttle: 30 * time.Millisecond,
				LastError: &stream.ConnectionError{At: noon.Add(-time.Second), Detail: "Connect to one.example failed"},
			}},
			{ID: 2, Host: "two.example", Port: 9093, Controller: true, Connection: stream.Connection{
				State: stream.ConnectionDisconnected, ReconnectDelay: time.Second,
			}},
		},
	}, nil
}

func TestCluster(t *testing.T) {
	g := newGateway(t, nil)
	g.brokers.cluster = twoBrokers
	golden(t, "cluster.json", g.do(t, "GET /cluster", "").body)
	golden(t, "brokers.json", g.do(t, "GET /cluster/brokers", "").body)
	golden(t, "broker.json", g.do(t, "GET /cluster/brokers/2", "").body)
	g.do(t, "GET /cluster/brokers/3", "").wantProblem(t, stream.UnknownBroker, 404)
	for _, id := range []string{"-1", "x", "1.0", "4294967296", "%31"} {
		g.do(t, "GET /cluster/brokers/"+id, "").wantProblem(t, stream.InvalidRequest, 400)
	}
	for _, path := range []string{"", "/brokers", "/brokers/1", "/brokers/1/api-versions"} {
		g.do(t, "GET /cluster"+path+"?x=1", "").wantProblem(t, stream.InvalidRequest, 400)
	}
	g.brokers.cluster = func(context.Context) (stream.Cluster, error) { return stream.Cluster{}, nil }
	if res := g.do(t, "GET /cluster", ""); res.body != `{"id":null,"controller":null,"kafka_version":null,"brokers":[]}`+"\n" {
		t.Errorf("nothing is known: %s", res.body)
	}
	g.brokers.cluster = func(context.Context) (stream.Cluster, error) {
		return stream.Cluster{}, stream.Errorf(stream.KafkaUnavailable, "m")
	}
	for _, path := range []string{"", "/brokers", "/brokers/1"} {
		g.do(t, "GET /cluster"+path, "").wantProblem(t, stream.KafkaUnavailable, 503)
	}
}

func TestAPIVersions(t *testing.T) {
	g := newGateway(t, nil)
	g.brokers.versions = func(_ context.Context, id int32) (stream.APIVersions, error) {
		if id != 1 {
			return stream.APIVersions{}, stream.Errorf(stream.UnknownBroker, "m")
		}
		return stream.APIVersions{Broker: 1, Version: "4.1", APIs: []stream.APIRange{{Key: 0, Name: "Produce", Min: 3, Max: 12}, {Key: 9999, Min: 0, Max: 1}}}, nil
	}
	golden(t, "api-versions.json", g.do(t, "GET /cluster/brokers/1/api-versions", "").body)
	g.do(t, "GET /cluster/brokers/7/api-versions", "").wantProblem(t, stream.UnknownBroker, 404)
}

type fakeStorage struct {
	partitions func(context.Context, string) ([]stream.PartitionInfo, error)
	settings   func(context.Context, string) ([]stream.Setting, error)
	remove     func(context.Context, string, stream.Cut) ([]stream.PartitionBegin, error)
}

func (f *fakeStorage) Partitions(ctx context.Context, id string) ([]stream.PartitionInfo, error) {
	if f.partitions == nil {
		return nil, errUnexpected
	}
	return f.partitions(ctx, id)
}

func (f *fakeStorage) Settings(ctx context.Context, id string) ([]stream.Setting, error) {
	if f.settings == nil {
		return nil, errUnexpected
	}
	return f.settings(ctx, id)
}

func (f *fakeStorage) DeleteRecords(ctx context.Context, id string, cut stream.Cut) ([]stream.PartitionBegin, error) {
	if f.remove == nil {
		return nil, errUnexpected
	}
	return f.remove(ctx, id, cut)
}

func TestPartitions(t *testing.T) {
	g := newGateway(t, nil)
	g.storage.partitions = func(context.Context, string) ([]stream.PartitionInfo, error) {
		return []stream.PartitionInfo{
			{Number: 0, Leader: new(int32(1)), Replicas: []int32{1, 2}, InSyncReplicas: []int32{1}, Begin: new(int64(0)), End: new(int64(42)), Size: new(int64(8192))},
			{Number: 1, Replicas: []int32{2}},
		}, nil
	}
	golden(t, "partitions.json", g.do(t, "GET /streams/s/partitions", "").body)
	g.do(t, "GET /streams/s/partitions?x=1", "").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "GET /streams/.%2E/partitions", "").wantProblem(t, stream.InvalidRequest, 400)
	g.storage.partitions = func(context.Context, string) ([]stream.PartitionInfo, error) {
		return nil, stream.Errorf(stream.UnknownStream, "m")
	}
	g.do(t, "GET /streams/s/partitions", "").wantProblem(t, stream.UnknownStream, 404)
}

func TestConfig(t *testing.T) {
	g := newGateway(t, nil)
	g.storage.settings = func(context.Context, string) ([]stream.Setting, error) {
		return []stream.Setting{
			{Name: "cleanup.policy", Value: new("delete"), Source: stream.SourceDefault, Default: true, Documentation: "How."},
			{Name: "secret.thing", Value: new("told by mistake"), Source: stream.SourceTopic, ReadOnly: true, Sensitive: true},
		}, nil
	}
	golden(t, "config.json", g.do(t, "GET /streams/s/config", "").body)
	g.do(t, "GET /streams/s/config?x=1", "").wantProblem(t, stream.InvalidRequest, 400)
}

func TestDeleteRecords(t *testing.T) {
	g := newGateway(t, nil)
	var asked stream.Cut
	g.storage.remove = func(_ context.Context, _ string, cut stream.Cut) ([]stream.PartitionBegin, error) {
		asked = cut
		return []stream.PartitionBegin{{Partition: 1, Begin: 42}}, nil
	}
	for query, want := range map[string]stream.Cut{
		"before=latest":                              {Partition: stream.AnyPartition, Start: stream.FromLatest},
		"before=latest&validate_only=false":          {Partition: stream.AnyPartition, Start: stream.FromLatest},
		"before=latest&partition=1":                  {Partition: 1, Start: stream.FromLatest},
		"before=42&partition=1":                      {Partition: 1, Start: stream.FromOffset, Offset: 42},
		"before=2026-01-31T12:00:00.123Z":            {Partition: stream.AnyPartition, Start: stream.FromTime, Time: noon},
		"before=2026-01-31T13:00:00.123%2B01:00":     {Partition: stream.AnyPartition, Start: stream.FromTime, Time: noon},
		"before=2026-01-31T12:00:00.123Z&partition=": {},
	} {
		res := g.do(t, "DELETE /streams/s/records?"+query, "")
		if want == (stream.Cut{}) {
			res.wantProblem(t, stream.InvalidRequest, 400)
			continue
		}
		if asked.Time = asked.Time.UTC(); res.StatusCode != 200 || res.body != `{"partitions":[{"begin":42,"partition":1}]}`+"\n" && res.body != `{"partitions":[{"partition":1,"begin":42}]}`+"\n" || asked != want {
			t.Errorf("%s: %d %s, asked for %+v", query, res.StatusCode, res.body, asked)
		}
	}
	g.storage.remove = nil
	for _, query := range []string{"", "before=", "before=42", "before=earliest", "before=-1&partition=0", "before=yesterday", "before=1969-01-01T00:00:00Z", "befor=latest", "before=latest&before=latest"} {
		g.do(t, "DELETE /streams/s/records?"+query, "").wantProblem(t, stream.InvalidRequest, 400)
	}
	if p := g.do(t, "DELETE /streams/s/records?before=latest&validate_only=true", "").wantProblem(t, stream.InvalidRequest, 400); !strings.Contains(p.Detail, "Kafka") {
		t.Error(p.Detail)
	}
	for _, id := range []string{"*", "a,b", "a%2Fb", ".."} {
		g.do(t, "DELETE /streams/"+id+"/records?before=latest", "").wantProblem(t, stream.InvalidRequest, 400)
	}
}

func TestTrialOfAChange(t *testing.T) {
	g := newGateway(t, nil)
	g.streams.validate = func(_ context.Context, id string, c stream.Change) (bool, error) {
		if *c.Partitions > 5 {
			return false, stream.Errorf(stream.InvalidRequest, "m")
		}
		return id == "new", nil
	}
	for request, want := range map[string]string{
		"PUT /streams/new?validate_only=true": `{"creates":true,"valid":true}` + "\n",
		"PUT /streams/old?validate_only=true": `{"creates":false,"valid":true}` + "\n",
	} {
		if res := g.do(t, request, `{"partitions":3}`); res.StatusCode != 200 || res.body != want {
			t.Errorf("%s: %d %s", request, res.StatusCode, res.body)
		}
	}
	g.do(t, "PUT /streams/old?validate_only=true", `{"partitions":6}`).wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "PUT /streams/old?validate_only=yes", `{"partitions":3}`).wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "PUT /streams/old?validate_only=true&x", `{"partitions":3}`).wantProblem(t, stream.InvalidRequest, 400)
}
