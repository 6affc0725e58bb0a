package main_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/kafkatest"
)

// What Kafka knows of itself is told by the gateway.
func TestKafkaAsTheGatewaySeesIt(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		b.DeleteLater(t, b.Prefix()+"_sluice.schemas", b.Prefix()+"_sluice.subscriptions")
		var broker map[string]any
		kafkatest.Eventually(t, patience, func() error { // the first statistics take some seconds
			list := g.get(t, "/cluster/brokers").want(t, 200)["brokers"].([]any)
			if broker = list[0].(map[string]any); len(list) != 1 || broker["state"] != "ready" || broker["least_loaded"] != true {
				return fmt.Errorf("got %v", list)
			}
			return nil
		})
		path := fmt.Sprint("/cluster/brokers/", broker["id"])
		if one := g.get(t, path).want(t, 200); one["host"] != broker["host"] || one["port"] != broker["port"] {
			t.Errorf("got %v, in the list %v", one, broker)
		}
		c := g.get(t, "/cluster").want(t, 200)
		if c["id"] == nil || c["controller"] != broker["id"] || c["kafka_version"] == nil || len(c["brokers"].([]any)) != 1 {
			t.Errorf("got %v", c)
		}
		v := g.get(t, path+"/api-versions").want(t, 200)
		if first := v["api_versions"].([]any)[0].(map[string]any); v["version"] != c["kafka_version"] || first["name"] != "Produce" {
			t.Errorf("got %v", v)
		}
		g.get(t, "/cluster/brokers/4711").problem(t, 404, "unknown-broker")
		g.get(t, "/cluster/brokers/4711/api-versions").problem(t, 404, "unknown-broker")
	})
}

// A stream is looked into, tried and cut.
func TestStreamInDepth(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		b.DeleteLater(t, b.Prefix()+"deep", b.Prefix()+"_sluice.schemas", b.Prefix()+"_sluice.subscriptions")
		g.register(t, "Order", order)
		if got := g.put(t, "/streams/deep?validate_only=true", `{"schema":"Order","partitions":2}`).want(t, 200); got["valid"] != true || got["creates"] != true {
			t.Errorf("got %v", got)
		}
		g.get(t, "/streams/deep").problem(t, 404, "unknown-stream")
		g.put(t, "/streams/deep", `{"schema":"Order","partitions":1,"retention":"1h"}`).want(t, 201)
		for i := range 4 {
			g.post(t, "/streams/deep?key=k", fmt.Sprintf(`{"id":%d}`, i)).want(t, 201)
		}
		if got := g.put(t, "/streams/deep?validate_only=true", `{"partitions":2,"retention":"2h"}`).want(t, 200); got["creates"] != false {
			t.Errorf("got %v", got)
		}
		g.put(t, "/streams/deep?validate_only=true", `{"config":{"retention.ms":"soon"}}`).problem(t, 400, "invalid-request")
		if got := g.get(t, "/streams/deep").want(t, 200); got["partitions"] != json.Number("1") || got["retention"] != "1h" {
			t.Errorf("a trial changed it: %v", got)
		}

		partitions := g.get(t, "/streams/deep/partitions").want(t, 200)["partitions"].([]any)
		if p := partitions[0].(map[string]any); len(partitions) != 1 || p["begin"] != json.Number("0") || p["end"] != json.Number("4") || p["leader"] == nil || p["size_bytes"] == nil {
			t.Errorf("got %v", partitions)
		}
		found := false
		for _, s := range g.get(t, "/streams/deep/config").want(t, 200)["config"].([]any) {
			s := s.(map[string]any)
			found = found || s["name"] == "retention.ms" && s["value"] == "3600000" && s["source"] == "topic" && s["default"] == false
		}
		if !found {
			t.Error("the retention is not among the settings")
		}

		cut := g.do(t, request{method: "DELETE", path: "/streams/deep/records?before=2&partition=0"}).want(t, 200)
		want := map[string]any{"partitions": []any{map[string]any{"partition": json.Number("0"), "begin": json.Number("2")}}}
		if d := cmp.Diff(want, cut); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		g.get(t, "/streams/deep/records/0/1").problem(t, 404, "unknown-record")
		if page := g.get(t, "/streams/deep/records").want(t, 200)["records"].([]any); len(page) != 2 {
			t.Errorf("%d records are left", len(page))
		}
		for path, slug := range map[string]string{
			"/streams/deep/records?before=9&partition=0":             "invalid-request",
			"/streams/deep/records?before=latest&partition=3":        "invalid-request",
			"/streams/deep/records?before=latest&validate_only=true": "invalid-request",
		} {
			g.do(t, request{method: "DELETE", path: path}).problem(t, 400, slug)
		}
		for _, path := range []string{"/streams/nope/partitions", "/streams/nope/config"} {
			g.get(t, path).problem(t, 404, "unknown-stream")
		}
		g.do(t, request{method: "DELETE", path: "/streams/nope/records?before=latest"}).problem(t, 404, "unknown-stream")
	})
}
