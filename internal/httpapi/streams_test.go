package httpapi_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

func TestListStreams(t *testing.T) {
	g := newGateway(t, nil)
	g.streams.list = func(_ context.Context, p stream.Pattern) ([]stream.Info, error) {
		var found []stream.Info
		for _, info := range []stream.Info{
			{ID: "logs.a", Envelope: true, Partitions: 1, ReplicationFactor: 1},
			{ID: "orders.eu", Schema: stream.SchemaRef{Name: "Order", Version: 2}, Partitions: 6, ReplicationFactor: 3},
			{ID: "orders.us", Schema: stream.SchemaRef{Name: "Order"}, Envelope: true, Partitions: 6, ReplicationFactor: 3},
		} {
			if p.Match(info.ID) {
				found = append(found, info)
			}
		}
		return found, nil
	}
	golden(t, "streams.json", g.do(t, "GET /streams", "").body)
	golden(t, "streams-pattern.json", g.do(t, "GET /streams?pattern=orders.*", "").body)
	if res := g.do(t, "GET /streams?pattern=none", ""); res.body != `{"streams":[]}`+"\n" {
		t.Errorf("nothing matches: %s", res.body)
	}
	g.do(t, "GET /streams?pattern=a,,b", "").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "GET /streams?patern=a", "").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "GET /streams?pattern=a&pattern=b", "").wantProblem(t, stream.InvalidRequest, 400)
	g.streams.list = func(context.Context, stream.Pattern) ([]stream.Info, error) {
		return nil, stream.Errorf(stream.KafkaUnavailable, "m")
	}
	if p := g.do(t, "GET /streams", "").wantProblem(t, stream.KafkaUnavailable, 503); p.Outcome != "" {
		t.Errorf("no publish, but outcome %q", p.Outcome)
	}
}

func TestGetStream(t *testing.T) {
	g := newGateway(t, nil)
	config := map[string]string{"retention.ms": "604800000", "cleanup.policy": "compact", "max.message.bytes": "5"}
	g.streams.describe = func(_ context.Context, id string) (stream.Info, error) {
		return stream.Info{ID: id, Schema: stream.SchemaRef{Name: "Order", Version: 1}, Envelope: true, Partitions: 6, ReplicationFactor: 3, Config: config}, nil
	}
	golden(t, "stream.json", g.do(t, "GET /streams/orders.eu", "").body)
	if len(config) != 3 {
		t.Error("the catalog's own map was changed")
	}
	for ms, want := range map[string]string{
		"-1":                  `"retention":"forever"`,
		"1500":                `"retention":"1500ms"`,
		"9223372036854775807": `"retention.ms":"9223372036854775807"`,
	} {
		config = map[string]string{"retention.ms": ms}
		if res := g.do(t, "GET /streams/s", ""); !strings.Contains(res.body, want) {
			t.Errorf("retention.ms %s: %s", ms, res.body)
		}
	}
	g.streams.describe = func(context.Context, string) (stream.Info, error) {
		return stream.Info{}, stream.Errorf(stream.UnknownStream, "m")
	}
	g.do(t, "GET /streams/s", "").wantProblem(t, stream.UnknownStream, 404)
	g.do(t, "GET /streams/s?x", "").wantProblem(t, stream.InvalidRequest, 400)
}

func TestPutStream(t *testing.T) {
	var asked stream.Change
	change := func(_ context.Context, id string, c stream.Change) (stream.Info, bool, error) {
		asked = c
		return stream.Info{ID: id, Partitions: 1, ReplicationFactor: 1}, id == "new", nil
	}
	for body, want := range map[string]stream.Change{
		`{}`: {},
		`{"schema":null,"partitions":null,"retention":null,"config":null,"id":null}`: {},
		`{"id":"new","schema":"Order","envelope":false,"partitions":3,"replication_factor":2,"retention":"7d","cleanup_policy":"compact,delete"}`: {
			Schema: &stream.SchemaRef{Name: "Order"}, Envelope: new(false), Partitions: new(3), ReplicationFactor: new(2),
			Retention: new(7 * 24 * time.Hour), CleanupPolicy: new("compact,delete"),
		},
		`{"retention":90}`:        {Retention: new(90 * time.Second)},
		`{"retention":"90"}`:      {Retention: new(90 * time.Second)},
		`{"retention":0.5}`:       {Retention: new(500 * time.Millisecond)},
		`{"retention":-1}`:        {Retention: new(time.Duration(-1))},
		`{"retention":"forever"}`: {Retention: new(time.Duration(-1))},
		`{"config":{"a":"x","b":1000,"c":true,"d":null}}`: {
			Config: map[string]*string{"a": new("x"), "b": new("1000"), "c": new("true"), "d": nil},
		},
	} {
		g := newGateway(t, nil)
		g.streams.change = change
		res := g.do(t, "PUT /streams/new", body, "Content-Type: application/json")
		if res.StatusCode != 201 || res.Header.Get("Location") != "/streams/new" {
			t.Errorf("%s: %d %s", body, res.StatusCode, res.body)
		}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	g := newGateway(t, nil)
	g.streams.change = change
	if res := g.do(t, "PUT /streams/old", "{}"); res.StatusCode != 200 || res.Header.Get("Location") != "" {
		t.Errorf("changed: %d %v", res.StatusCode, res.Header)
	}
}

func TestPutStreamTakesWhatGetAnswers(t *testing.T) {
	g := newGateway(t, nil)
	g.streams.describe = func(_ context.Context, id string) (stream.Info, error) {
		return stream.Info{ID: id, Partitions: 6, ReplicationFactor: 3, Config: map[string]string{"retention.ms": "-1", "cleanup.policy": "delete", "x": "1"}}, nil
	}
	var asked stream.Change
	g.streams.change = func(ctx context.Context, id string, c stream.Change) (stream.Info, bool, error) {
		asked = c
		info, err := g.streams.describe(ctx, id)
		return info, false, err
	}
	res := g.do(t, "PUT /streams/s", g.do(t, "GET /streams/s", "").body)
	want := stream.Change{
		Partitions: new(6), ReplicationFactor: new(3),
		Retention: new(time.Duration(-1)), CleanupPolicy: new("delete"), Config: map[string]*string{"x": new("1")},
	}
	if diff := cmp.Diff(want, asked); res.StatusCode != 200 || diff != "" {
		t.Error(res.StatusCode, res.body, diff)
	}
}

func TestPutStreamRefuses(t *testing.T) {
	tests := []struct {
		body, pointer, code string
	}{
		{`{"partition":1}`, "#/partition", "invalid-request"},
		{`{"Schema":"Order"}`, "#/Schema", "invalid-request"},
		{`{"schema":"Order:0"}`, "#/schema", "invalid-request"},
		{`{"schema":1}`, "#/schema", "invalid-request"},
		{`{"partitions":0}`, "#/partitions", "invalid-request"},
		{`{"partitions":1.5}`, "#/partitions", "invalid-request"},
		{`{"partitions":"1"}`, "#/partitions", "invalid-request"},
		{`{"replication_factor":40000}`, "#/replication_factor", "invalid-request"},
		{`{"retention":"soon"}`, "#/retention", "invalid-request"},
		{`{"retention":-2}`, "#/retention", "invalid-request"},
		{`{"retention":0}`, "#/retention", "invalid-request"},
		{`{"retention":{}}`, "#/retention", "invalid-request"},
		{`{"cleanup_policy":"shred"}`, "#/cleanup_policy", "invalid-request"},
		{`{"config":{"a/b":[]}}`, "#/config/a~1b", "invalid-request"},
		{`{"config":{"":"x"}}`, "#/config", "invalid-request"},
		{`{"retention":1,"config":{"retention.ms":"1"}}`, "#/retention", "invalid-request"},
		{`{"cleanup_policy":"delete","config":{"cleanup.policy":null}}`, "#/cleanup_policy", "invalid-request"},
		{`{"id":"other"}`, "#/id", "invalid-request"},
		{`{"partitions":1,"partitions":2}`, "#/partitions", "malformed-json"},
		{`{"partitions":1`, "#", "malformed-json"},
		{`{} {}`, "#", "malformed-json"},
		{`[]`, "", "invalid-request"},
		{`null`, "", "invalid-request"},
		{``, "", "malformed-json"},
		{`{"a":"` + strings.Repeat("x", 1000) + `"}`, "", "too-large"},
	}
	for _, test := range tests {
		g := newGateway(t, func(o *httpapi.Options) { o.Limits.Body = 1000 })
		status := map[string]int{"too-large": 413}[test.code]
		if status == 0 {
			status = 400
		}
		p := g.do(t, "PUT /streams/s", test.body).wantProblem(t, stream.Code(test.code), status)
		switch {
		case test.pointer == "":
		case len(p.Errors) != 1 || p.Errors[0].Pointer != test.pointer:
			t.Errorf("%s: %+v, want pointer %s", test.body, p, test.pointer)
		}
		if strings.Contains(p.Detail, "httpapi") || strings.Contains(p.Detail, "jsontext") || strings.Contains(p.Detail, "Go ") {
			t.Errorf("internals leak: %s", p.Detail)
		}
	}
	g := newGateway(t, nil)
	g.do(t, "PUT /streams/s", "{}", ndjson).wantProblem(t, stream.UnsupportedType, 415)
	g.do(t, "PUT /streams/s?x=1", "{}").wantProblem(t, stream.InvalidRequest, 400)
}

func TestDeleteStream(t *testing.T) {
	g := newGateway(t, nil)
	var gone string
	g.streams.remove = func(_ context.Context, id string) error { gone = id; return nil }
	if res := g.do(t, "DELETE /streams/s", ""); res.StatusCode != 204 || gone != "s" || res.body != "" {
		t.Error(res.StatusCode, gone)
	}
	g.streams.remove = func(context.Context, string) error { return stream.Errorf(stream.Forbidden, "m") }
	g.do(t, "DELETE /streams/s", "").wantProblem(t, stream.Forbidden, 403)
	g.do(t, "DELETE /streams/s?force=true", "").wantProblem(t, stream.InvalidRequest, 400)
}

func TestGetRecord(t *testing.T) {
	g := newGateway(t, nil)
	records := []stream.Record{
		{
			Stream: "s", Partition: 2, Offset: 0, Timestamp: noon, Key: []byte("k\"\n"), Schema: "Order:1",
			Headers: []stream.Header{{Name: "a", Value: []byte("1")}, {Name: "b"}, {Name: "a", Value: []byte{0xff}}},
			Data:    []byte("{ \"a\": [1.0 ,\n\t\"x \\\" \\\\\" , 1E40 ] }"), Value: []byte("x"),
		},
		{Stream: "s", Offset: 1, Timestamp: noon, Schema: "Order:1", Data: []byte(`{ "as it" : "is" }`), Value: []byte("x")},
		{Stream: "s", Offset: 2, Timestamp: noon, Key: []byte{0x80}},
		{Stream: "s", Offset: 3, Timestamp: time.UnixMilli(-1), Key: []byte{}, Value: []byte{0, 1}},
		{Stream: "s", Offset: 4, Timestamp: time.UnixMilli(math.MaxInt64), Data: []byte("null"), Value: []byte{}},
		{Stream: "s", Offset: 5, Value: []byte{}},
	}
	g.records.read = func(_ context.Context, id string, partition int32, offset int64) (stream.Record, error) {
		if id != "s" || partition != 2 {
			t.Errorf("%s %d %d", id, partition, offset)
		}
		if offset >= int64(len(records)) {
			return stream.Record{}, stream.Errorf(stream.UnknownRecord, "m")
		}
		return records[offset], nil
	}
	var all strings.Builder
	for _, offset := range []string{"0", "1", "2", "3", "4", "5"} {
		all.WriteString(g.do(t, "GET /streams/s/records/2/"+offset, "").body)
	}
	golden(t, "records.ndjson", all.String())
	g.do(t, "GET /streams/s/records/2/9223372036854775807", "").wantProblem(t, stream.UnknownRecord, 404)
	for _, path := range []string{"-1/0", "+1/0", "x/0", "2147483648/0", "0/-1", "0/9223372036854775808", "0/x", "0/1?view=data", "%30/0"} {
		g.do(t, "GET /streams/s/records/"+path, "").wantProblem(t, stream.InvalidRequest, 400)
	}
	g.do(t, "GET /streams/_s/records/0/0", "").wantProblem(t, stream.InvalidRequest, 400)
}
