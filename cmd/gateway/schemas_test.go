package main_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/kafkatest"
)

func TestSchemas(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		b.DeleteLater(t, b.Prefix()+"used", b.Prefix()+"_sluice.schemas")
		versions := func(body string) answer { return g.post(t, "/schemas/S/versions", body) }
		versions(`{"schema":{"type":"object"}}`).want(t, 201)
		versions(`{"schema":{ "type" : "object" }}`).want(t, 200)
		versions(`{"schema":{"type":"array"},"version":1}`).problem(t, 409, "schema-conflict")
		if v := versions(`{"schema":{"type":"array"}}`).want(t, 201); v["version"] != json.Number("2") {
			t.Errorf("got %v", v)
		}
		versions(`{"schema":{"type":"array"},"version":7,"streams":["used"]}`).want(t, 201)
		versions(`{"schema":{"type":"strng"}}`).problem(t, 422, "invalid-schema")
		versions(`{"schema":{"$ref":"file:///etc/passwd"}}`).problem(t, 422, "invalid-schema")
		versions(`{"schema":{},"verson":1}`).problem(t, 400, "invalid-request")
		g.post(t, "/schemas/Other/versions", `{"schema":{},"streams":["used"]}`).problem(t, 409, "schema-mismatch")
		g.get(t, "/schemas/Other").problem(t, 404, "unknown-schema")

		if s := g.get(t, "/schemas/S/versions/latest").want(t, 200); s["version"] != json.Number("7") {
			t.Errorf("got %v", s)
		}
		g.post(t, "/schemas/S/versions/1/validate", `{}`).want(t, 200)
		g.post(t, "/schemas/S/versions/latest/validate", `{}`).problem(t, 422, "schema-violation")
		del := func(v string) answer {
			return g.do(t, request{method: "DELETE", path: "/schemas/S/versions/" + v})
		}
		del("7").problem(t, 409, "schema-in-use")
		del("2").want(t, 204)
		del("2").problem(t, 404, "unknown-schema")
		versions(`{"schema":{"type":"string"},"version":2}`).problem(t, 409, "schema-conflict")

		// All of it is still so after a restart.
		g.cmd.Process.Kill()
		again := start(t, b)
		list := again.get(t, "/schemas").want(t, 200)["schemas"].([]any)
		var refs []string
		for _, s := range list {
			s := s.(map[string]any)
			refs = append(refs, fmt.Sprint(s["name"], ":", s["version"]))
		}
		if d := cmp.Diff([]string{"S:1", "S:7"}, refs); d != "" {
			t.Errorf("schemas (-want +got):\n%s", d)
		}
		again.post(t, "/streams/used", `[]`).want(t, 201)
		again.post(t, "/streams/used?schema=S:1", `[]`).problem(t, 422, "schema-violation")
	})
}

// Three gateways register at the same time, without numbers and with the same
// one: every schema gets a version of its own, one wins each number, and every
// gateway sees the same at once.
func TestGatewaysRaceToRegister(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		b.DeleteLater(t, b.Prefix()+"raced", b.Prefix()+"_sluice.schemas")
		gateways := []*gateway{start(t, b), start(t, b), start(t, b)}
		const each = 10
		var (
			all    sync.WaitGroup
			mu     sync.Mutex
			wins   = map[string]int{}
			failed []string
		)
		for gi, g := range gateways {
			all.Go(func() {
				for i := range each {
					free := g.post(t, "/schemas/Free/versions", fmt.Sprintf(`{"schema":{"const":"%d-%d"}}`, gi, i))
					same := g.post(t, "/schemas/Same/versions", `{"schema":{"const":1},"streams":["raced"]}`)
					taken := g.post(t, "/schemas/Taken/versions", fmt.Sprintf(`{"schema":{"const":"%d-%d"},"version":%d}`, gi, i, i+1))
					// What one gateway has answered, another knows the moment after.
					v := fmt.Sprint(free.json(t)["version"])
					there := gateways[(gi+1)%3].get(t, "/schemas/Free/versions/"+v)
					mu.Lock()
					if free.status != 201 || same.status/100 != 2 || there.status != 200 {
						failed = append(failed, free.body, same.body, there.body)
					}
					if taken.status == 201 {
						wins[fmt.Sprint(i+1)]++
					} else if taken.status != 409 {
						failed = append(failed, taken.body)
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if len(failed) > 0 {
			t.Fatalf("got other answers: %v", failed)
		}
		if len(wins) != each {
			t.Errorf("got winners for %d numbers, want %d", len(wins), each)
		}
		for v, n := range wins {
			if n != 1 {
				t.Errorf("version %s was given %d times", v, n)
			}
		}
		first := gateways[0].get(t, "/schemas").body
		for _, g := range append(gateways[1:], start(t, b)) {
			if d := cmp.Diff(first, g.get(t, "/schemas").body); d != "" {
				t.Errorf("gateways differ (-first +other):\n%s", d)
			}
		}
		if n := len(gateways[0].get(t, "/schemas/Free").json(t)["versions"].([]any)); n != 3*each {
			t.Errorf("got %d versions, want %d", n, 3*each)
		}
	})
}

// Three gateways publish to the same new streams at the same time: each stream
// is made once, and every record is stored.
func TestGatewaysRaceToMakeStreams(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		b.DeleteLater(t, b.Prefix()+"_sluice.schemas")
		gateways := []*gateway{start(t, b), start(t, b), start(t, b)}
		gateways[0].register(t, "Order", order)
		for i := range 8 {
			id := fmt.Sprintf("new.%d", i)
			b.DeleteLater(t, b.Prefix()+id)
			var all sync.WaitGroup
			answers := make([]answer, 12)
			for n := range answers {
				all.Go(func() { answers[n] = gateways[n%3].post(t, "/streams/"+id+"?schema=Order:1", `{"id":1}`) })
			}
			all.Wait()
			for _, a := range answers {
				if a.status != 201 {
					t.Errorf("%s: got %d %s", id, a.status, a.body)
				}
			}
			b.Consume(t, b.Prefix()+id, len(answers))
		}
	})
}
