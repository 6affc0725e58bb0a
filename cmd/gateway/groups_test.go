package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

// groupState is GET /groups/{id}, as far as tests look at it.
type groupState struct {
	State    string
	Protocol string
	Members  []struct {
		ClientID   string `json:"client_id"`
		Assignment []any
		Others     int `json:"other_partitions"`
	}
	Lag        int64
	Partitions []struct {
		Stream    string
		Partition int32
		Committed *int64
		End       int64
		Lag       *int64
		Member    *string
	}
}

func (g *gateway) group(t *testing.T, id string) (s groupState, status int) {
	t.Helper()
	a := g.get(t, "/groups/"+id)
	if a.status == 200 {
		a.into(t, &s)
	}
	return s, a.status
}

// into reads an answer's body.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil || a.status != 200 {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
}

// awaitGroup waits until the group has so many members that all have partitions.
func (g *gateway) awaitGroup(t *testing.T, id string, members int) (s groupState) {
	t.Helper()
	kafkatest.Eventually(t, patience, func() error {
		s, _ = g.group(t, id)
		if len(s.Members) != members || members > 0 && s.State != "stable" {
			return fmt.Errorf("the group is %+v", s)
		}
		for _, m := range s.Members {
			if len(m.Assignment) == 0 {
				return fmt.Errorf("a member has no partition: %+v", s)
			}
		}
		return nil
	})
	return s
}

// joinEvents opens an event stream in a group, which ends with the returned
// function.
func (g *gateway) joinEvents(t *testing.T, pattern, group string) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", g.url+"/streams/"+pattern+"/events?auto_commit=false&group="+group, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(err, res)
	}
	return func() {
		cancel()
		res.Body.Close()
	}
}

// A group of an ordinary consumer and a reader over HTTP: who is in it, how far
// it is, and that nobody moves it meanwhile; then it is moved, loses offsets,
// and is deleted.
func TestConsumerGroups(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		b.DeleteLater(t, b.Prefix()+"_sluice.schemas", b.Prefix()+"_sluice.subscriptions")
		topic := b.Topic(t, "orders", 4, nil)
		b.Topic(t, "other", 1, nil)
		id := b.Prefix() + "billing"
		g.get(t, "/groups/"+id).problem(t, 404, "unknown-group")
		for n := range int32(4) {
			b.Produce(t, &kgo.Record{Topic: topic, Partition: n, Value: []byte("1")}, &kgo.Record{Topic: topic, Partition: n, Value: []byte("2")})
		}
		ordinary := b.Client(t, kgo.ConsumerGroup(id), kgo.ConsumeTopics(topic), kgo.ClientID("ordinary"), kgo.DisableAutoCommit(),
			kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		g.awaitGroup(t, id, 1)
		commitFirst(t, ordinary)
		leave := g.joinEvents(t, "orders", id)
		s := g.awaitGroup(t, id, 2)
		if s.Protocol != "classic" || s.Lag < 0 || len(s.Partitions) != 4 {
			t.Errorf("got %+v", s)
		}
		position := func(query, body string) answer {
			return g.do(t, request{method: "POST", path: "/groups/" + id + "/position" + query, body: body, header: map[string]string{"Content-Type": "application/json"}})
		}
		remove := func(path string) answer { return g.do(t, request{method: "DELETE", path: path}) }
		position("", `{"from":"earliest","streams":"orders"}`).problem(t, 409, "group-active")
		remove("/groups/"+id).problem(t, 409, "group-active")
		remove("/groups/"+id+"/offsets?streams=orders").problem(t, 409, "group-active")
		leave()
		ordinary.Close()
		g.awaitGroup(t, id, 0)

		if a := position("?validate_only=true", `{"from":"latest","streams":"o*"}`); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		// Of whichever partition the ordinary consumer's first record was.
		if gone := remove("/groups/" + id + "/offsets?streams=o*"); gone.status != 200 || strings.Count(gone.body, `"offset":1}`) != 1 {
			t.Fatalf("%d %s", gone.status, gone.body)
		}
		moved := position("", `{"offsets":[{"stream":"orders","partition":0,"offset":2},{"stream":"orders","partition":1,"offset":1}]}`)
		want := `{"offsets":[{"stream":"orders","partition":0,"offset":2},{"stream":"orders","partition":1,"offset":1}]}` + "\n"
		if moved.status != 200 || moved.body != want {
			t.Fatalf("%d %s", moved.status, moved.body)
		}
		position("", `{"offsets":[{"stream":"orders","partition":0,"offset":0},{"stream":"orders","partition":1,"offset":3}]}`).problem(t, 400, "invalid-request")
		g.wantLag(t, id, map[int32]int64{0: 0, 1: 1})
		if a := remove("/groups/" + id + "/offsets?streams=orders"); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		position("", `{"from":"latest"}`) // of nothing
		if a := position("", `{"from":"earliest","streams":"orders"}`); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		g.wantLag(t, id, map[int32]int64{0: 2, 1: 2, 2: 2, 3: 2})
		if a := remove("/groups/" + id); a.status != 204 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		g.get(t, "/groups/"+id).problem(t, 404, "unknown-group")
	})
}

// commitFirst commits the first record that a consumer gets.
func commitFirst(t *testing.T, c *kgo.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := c.PollRecords(ctx, 1).Records()
	if len(got) != 1 {
		t.Fatal("no record came")
	}
	if err := c.CommitRecords(ctx, got...); err != nil {
		t.Fatal(err)
	}
}

// wantLag compares the lag of the partitions of orders in which something is
// committed.
func (g *gateway) wantLag(t *testing.T, id string, want map[int32]int64) {
	t.Helper()
	kafkatest.Eventually(t, patience, func() error { // another broker may show the ends a moment later
		s, status := g.group(t, id)
		got := map[int32]int64{}
		var sum int64
		for _, p := range s.Partitions {
			if p.Lag != nil {
				got[p.Partition] = *p.Lag
				sum += *p.Lag
			}
		}
		if d := cmp.Diff(want, got); status != 200 || d != "" || sum != s.Lag {
			return errors.New(d)
		}
		return nil
	})
}

// A group's offsets in a stream that was deleted and made anew make no lag.
func TestLagOfAStreamMadeAnew(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	g.register(t, "Order", order, "orders")
	id := b.Prefix() + "reporting"
	for range 5 {
		g.post(t, "/streams/orders", `{"id":1}`).want(t, 201)
	}
	g.do(t, request{method: "POST", path: "/groups/" + id + "/position", body: `{"from":"latest","streams":"orders"}`}).want(t, 200)
	if a := g.do(t, request{method: "DELETE", path: "/streams/orders"}); a.status != 204 {
		t.Fatal(a)
	}
	g.post(t, "/streams/orders?schema=Order", `{"id":1}`).want(t, 201)
	s, _ := g.group(t, id)
	for _, p := range s.Partitions {
		if p.Committed != nil || p.Lag != nil {
			t.Errorf("got %+v", s)
		}
	}
}

// A subscription's group is moved and deleted with the subscription, and groups
// are for those that rules name.
func TestGroupsThatAreNotForTheCaller(t *testing.T) {
	b := kafkatest.Embedded(t)
	t.Setenv("SLUICE_WEBHOOKS_ALLOW_NETWORKS", "127.0.0.0/8")
	reader, readerLine := makeToken(t, "reader")
	admin, adminLine := makeToken(t, "admin")
	g := launch(t, "--kafka-servers", b.Addr, "--topic-prefix", b.Prefix(), "--replication-factor", "1", "--config", configure(t, `
auth:
  tokens: [`+readerLine+", "+adminLine+`]
  rules:
    - {principals: ["token:reader"], actions: [subscribe], streams: [orders], groups: ["reader.*"]}
    - {principals: ["token:admin"], actions: [manage, subscribe], streams: ["*"], schemas: ["*"], groups: ["*"]}
`))
	g.awaitReady(t)
	as := func(token, method, path, body string) answer {
		return g.do(t, request{method: method, path: path, body: body, header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
	}
	as(admin, "POST", "/schemas/Order/versions", `{"schema":{},"streams":["orders","secret"]}`).want(t, 201)
	r := newReceiver(t)
	subscribe := func(members string) answer {
		return as(reader, "POST", "/subscriptions", `{"streams":"orders","from":"earliest","endpoint":{"url":"`+r.URL+`"},`+members+`}`)
	}
	subscribe(`"id":"push"`).want(t, 201)
	subscribe(`"id":"own","group":"reader.own"`).want(t, 201)
	subscribe(`"id":"taken","group":"theirs"`).problem(t, 403, "forbidden")

	latest := `{"from":"latest","streams":"orders,secret"}`
	as(admin, "POST", "/groups/push/position", latest).problem(t, 409, "group-in-use")
	as(admin, "DELETE", "/groups/reader.own", "").problem(t, 409, "group-in-use")
	for _, id := range []string{"theirs", "reader.1"} {
		as(admin, "POST", "/groups/"+id+"/position", latest).want(t, 200)
	}
	as(reader, "GET", "/streams/orders/events?group=theirs", "").problem(t, 403, "forbidden")
	as(reader, "GET", "/groups/theirs", "").problem(t, 403, "forbidden")
	as(reader, "POST", "/groups/reader.1/position", latest).problem(t, 403, "forbidden")
	as(reader, "DELETE", "/groups/reader.1", "").problem(t, 403, "forbidden")
	var seen groupState
	as(reader, "GET", "/groups/reader.1", "").into(t, &seen)
	for _, p := range seen.Partitions {
		if p.Stream != "orders" {
			t.Errorf("the reader sees %s", p.Stream)
		}
	}
	var list struct{ Groups []struct{ ID string } }
	as(reader, "GET", "/groups", "").into(t, &list)
	for _, got := range list.Groups {
		if got.ID != "reader.1" && got.ID != "reader.own" {
			t.Errorf("the reader sees the group %s", got.ID)
		}
	}
	if len(seen.Partitions) == 0 || len(list.Groups) == 0 {
		t.Errorf("the reader sees %+v, %+v", seen, list)
	}
}
