package main_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

func TestStreams(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		b.DeleteLater(t, b.Prefix()+"_sluice.schemas")
		g.register(t, "Order", order)
		foreign := b.Topic(t, "foreign", 2, nil)
		b.Produce(t,
			&kgo.Record{Topic: foreign, Value: []byte{0, 0, 0, 0, 1, 0xff}, Key: []byte{0xfe}, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{0xfd}}}},
			&kgo.Record{Topic: foreign, Value: []byte(`{"free":true}`)},
		)

		a := g.put(t, "/streams/made", `{"schema":"Order","partitions":2,"retention":"36h","cleanup_policy":"compact,delete","config":{"max.message.bytes":"5000"}}`)
		got := a.want(t, 201)
		want := map[string]any{
			"id": "made", "schema": "Order", "envelope": true, "partitions": json.Number("2"), "replication_factor": json.Number("1"),
			"retention": "36h", "cleanup_policy": "compact,delete", "config": map[string]any{"max.message.bytes": "5000"},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("made (-want +got):\n%s", d)
		}
		g.put(t, "/streams/made", `{"partitions":4,"config":{"max.message.bytes":null}}`).want(t, 200)
		got = g.get(t, "/streams/made").want(t, 200)
		want["partitions"], want["config"] = json.Number("4"), map[string]any{}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("changed (-want +got):\n%s", d)
		}
		for body, slug := range map[string]string{
			`{"partitions":3}`:                      "invalid-request",
			`{"partitions":0}`:                      "invalid-request",
			`{"partitionen":3}`:                     "invalid-request",
			`{"config":{"retention.ms":"soon"}}`:    "invalid-request",
			`{"config":{"no.such.setting":"soon"}}`: "invalid-request",
			`{"replication_factor":7}`:              "invalid-request",
			`{"schema":"Nope"}`:                     "unknown-schema",
			`{"partitions":`:                        "malformed-json",
		} {
			a := g.put(t, "/streams/made", body)
			a.problem(t, a.status, slug)
		}

		list := g.get(t, "/streams").want(t, 200)
		var ids []string
		for _, s := range list["streams"].([]any) {
			ids = append(ids, s.(map[string]any)["id"].(string))
		}
		if d := cmp.Diff([]string{"foreign", "made"}, ids); d != "" {
			t.Errorf("list (-want +got):\n%s", d)
		}
		if l := g.get(t, "/streams?pattern=ma*,nothing").want(t, 200)["streams"].([]any); len(l) != 1 {
			t.Errorf("got %v", l)
		}

		// Other people's topics are read as they are.
		bytes := g.get(t, "/streams/foreign/records/0/0").want(t, 200)
		if d := cmp.Diff(map[string]any{"base64": "AAAAAAH/"}, bytes["value"]); d != "" {
			t.Errorf("bytes (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]any{map[string]any{"base64": "/g=="}, map[string]any{"h": map[string]any{"base64": "/Q=="}}}, []any{bytes["key"], bytes["headers"]}); d != "" {
			t.Errorf("key and headers (-want +got):\n%s", d)
		}
		if free := g.get(t, "/streams/foreign/records/0/1").want(t, 200); free["schema"] != nil || !cmp.Equal(free["data"], map[string]any{"free": true}) {
			t.Errorf("got %v", free)
		}
		for _, path := range []string{"/streams/foreign/records/0/2", "/streams/foreign/records/7/0"} {
			g.get(t, path).problem(t, 404, "unknown-record")
		}
		g.get(t, "/streams/nope/records/0/0").problem(t, 404, "unknown-stream")
		g.get(t, "/streams/foreign/records/0/x").problem(t, 400, "invalid-request")

		// Deleted is deleted, though the broker would make it again if asked.
		g.post(t, "/streams/made?key=k", `{"id":1}`).want(t, 201)
		g.do(t, request{method: "DELETE", path: "/streams/made"}).want(t, 204)
		for range 3 {
			g.post(t, "/streams/made?key=k", `{"id":1}`).problem(t, 404, "unknown-stream")
			g.get(t, "/streams/made").problem(t, 404, "unknown-stream")
		}
		g.do(t, request{method: "DELETE", path: "/streams/made"}).problem(t, 404, "unknown-stream")
		topics, err := kadm.NewClient(b.Client(t)).ListTopics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if topics.Has(b.Prefix() + "made") {
			t.Error("the topic is back")
		}
		// And made again is new.
		for i := range 3 {
			again := g.post(t, "/streams/made?schema=Order:1&key=k", `{"id":1}`)
			if got := again.want(t, 201); got["offset"] != json.Number(fmt.Sprint(i)) {
				t.Errorf("got %v, want offset %d", got, i)
			}
			g.get(t, again.header.Get("Location")).want(t, 200)
		}
		b.DeleteLater(t, b.Prefix()+"made")
	})
}

// A stream whose topic somebody else deletes is gone, and can be made again.
func TestStreamDeletedBehindTheGateway(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		g.register(t, "Order", order, "shared")
		b.DeleteLater(t, b.Prefix()+"shared", b.Prefix()+"_sluice.schemas")
		g.post(t, "/streams/shared?key=k", `{"id":1}`).want(t, 201)
		if _, err := kadm.NewClient(b.Client(t)).DeleteTopics(t.Context(), b.Prefix()+"shared"); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, patience, func() error {
			if a := g.post(t, "/streams/shared?key=k", `{"id":1}`); a.status != 404 {
				return fmt.Errorf("got %d %s", a.status, a.body)
			}
			return nil
		})
		g.post(t, "/streams/shared?key=k&schema=Order", `{"id":2}`).want(t, 201)
	})
}
