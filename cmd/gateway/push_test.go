package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafkatest"
)

// receiver is a webhook endpoint that notes what it took, and may be made to
// fail.
type receiver struct {
	*httptest.Server

	hold func() // before each answer; nil: nothing

	mu      sync.Mutex
	fail    func() int        // the status for this request; nil: 204
	taken   map[int]int       // how often each id was taken
	first   map[string][]int  // ids in the order in which they were first taken, by key
	webhook map[string]string // the record's place, by webhook-id
	wrong   []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{taken: map[int]int{}, first: map[string][]int{}, webhook: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the gateway was killed
	}
	if r.hold != nil {
		r.hold()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var record struct {
		Stream            string
		Partition, Offset int
		Key               string
		Data              struct{ ID int }
	}
	if err := json.Unmarshal(body, &record); err != nil {
		r.wrong = append(r.wrong, err.Error())
	}
	place := fmt.Sprint(record.Stream, "/", record.Partition, "/", record.Offset)
	id := req.Header.Get("webhook-id")
	if before, known := r.webhook[id]; id == "" || known && before != place {
		r.wrong = append(r.wrong, fmt.Sprintf("webhook-id %q for %s and %s", id, before, place))
	}
	r.webhook[id] = place
	if r.fail != nil {
		if status := r.fail(); status != http.StatusNoContent {
			w.WriteHeader(status)
			return
		}
	}
	if r.taken[record.Data.ID]++; r.taken[record.Data.ID] == 1 {
		r.first[record.Key] = append(r.first[record.Key], record.Data.ID)
	}
	w.WriteHeader(http.StatusNoContent)
}

// wantAll waits until all ids were taken, and fails where those of a key came
// in another order.
func (r *receiver) wantAll(t *testing.T, ids []int) {
	t.Helper()
	kafkatest.Eventually(t, 2*patience, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, id := range ids {
			if r.taken[id] == 0 {
				return fmt.Errorf("record %d was not delivered; %d of %d were", id, len(r.taken), len(ids))
			}
		}
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, order := range r.first {
		for i := 1; i < len(order); i++ {
			if order[i] < order[i-1] {
				t.Errorf("key %s: record %d was first delivered after record %d", key, order[i], order[i-1])
			}
		}
	}
	for _, w := range r.wrong[:min(len(r.wrong), 5)] {
		t.Error(w)
	}
}

// repeats counts deliveries beyond the first.
func (r *receiver) repeats() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.taken {
		n += times - 1
	}
	return n
}

// pushGateway starts a gateway that may push to this machine.
func pushGateway(t *testing.T, b *kafkatest.Broker) *gateway {
	t.Helper()
	t.Setenv("SLUICE_WEBHOOKS_ALLOW_NETWORKS", "127.0.0.0/8")
	b.DeleteLater(t, b.Prefix()+"_sluice.schemas", b.Prefix()+"_sluice.subscriptions")
	return start(t, b)
}

// pushKeys is how many keys there are.
const pushKeys = 5

// keyOf gives the key of a record.
func keyOf(id int) string { return fmt.Sprint("k", id%pushKeys) }

// publishKeyed publishes n records with ids from first on, spread over a few
// keys, those of a key in order. Each key has one publisher.
func publishKeyed(t *testing.T, g *gateway, path string, first, n int) []int {
	t.Helper()
	ids := make([]int, n)
	var all sync.WaitGroup
	for k := range pushKeys {
		all.Go(func() {
			for i := k; i < n; i += pushKeys {
				ids[i] = first + i
				g.post(t, path+"?key="+keyOf(ids[i]), fmt.Sprintf(`{"id":%d}`, ids[i])).want(t, 201)
			}
		})
	}
	all.Wait()
	return ids
}

// Whatever dies, every record is delivered, those of a key in order, and only
// what was in flight is repeated: the endpoint fails at random, and the gateway
// that delivers is killed, stopped like a hung machine, and asked to end.
func TestPushLosesNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		b.DeleteLater(t, b.Prefix()+"bills")
		r := newReceiver(t)
		r.fail = func() int {
			if rand.IntN(10) == 0 {
				return http.StatusInternalServerError
			}
			return http.StatusNoContent
		}
		gateways := []*gateway{pushGateway(t, b), pushGateway(t, b)}
		gateways[0].register(t, "Order", order, "bills")
		gateways[0].post(t, "/subscriptions", fmt.Sprintf(
			`{"id":"bills","streams":"bills","endpoint":{"url":%q},"retry":{"initial":"100ms","max":"1s","max_attempts":50}}`, r.URL)).want(t, 201)
		t.Cleanup(func() {
			if t.Failed() {
				for _, g := range gateways {
					a, err := g.try(context.Background(), request{method: "GET", path: "/subscriptions/bills/status"})
					t.Log(a.body, err)
				}
			}
		})
		ids := publishKeyed(t, gateways[1], "/streams/bills", 0, 100)
		r.wantAll(t, ids)

		// Whichever of the two delivers, it ends one way or another.
		gateways[0].signal(t, syscall.SIGKILL)
		ids = append(ids, publishKeyed(t, gateways[1], "/streams/bills", 1000, 100)...)
		third := pushGateway(t, b)
		r.wantAll(t, ids)
		gateways[1].signal(t, syscall.SIGTERM)
		ids = append(ids, publishKeyed(t, third, "/streams/bills", 2000, 100)...)
		r.wantAll(t, ids)
		if n := r.repeats(); n > 30 {
			t.Errorf("%d records were delivered again", n)
		}
		third.do(t, request{method: "DELETE", path: "/subscriptions/bills"}).want(t, 204)
		kafkatest.Eventually(t, patience, func() error {
			offsets, err := kadm.NewClient(b.Client(t)).FetchOffsets(t.Context(), "bills")
			if n := len(offsets[b.Prefix()+"bills"]); n > 0 {
				return fmt.Errorf("Kafka has offsets of %d partitions", n)
			}
			if errors.Is(err, kerr.GroupIDNotFound) {
				return nil
			}
			return err
		})
	})
}

// What an endpoint refuses goes to the dead letters, as it was stored, and
// comes from there when it is asked for; other keys are not held back.
func TestPushDeadLettersAndRedrive(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		b.DeleteLater(t, b.Prefix()+"tickets", b.Prefix()+"tickets.dead-letter")
		r := newReceiver(t)
		r.fail = func() int { return http.StatusUnprocessableEntity }
		g := pushGateway(t, b)
		g.register(t, "Order", order, "tickets")
		g.post(t, "/subscriptions", fmt.Sprintf(`{"id":"tickets","streams":"tickets","endpoint":{"url":%q}}`, r.URL)).want(t, 201)
		ids := publishKeyed(t, g, "/streams/tickets", 0, 10)
		for _, dead := range b.Consume(t, b.Prefix()+"tickets.dead-letter", len(ids)) {
			var stored struct{ Data struct{ ID int } }
			if err := json.Unmarshal(dead.Value, &stored); err != nil || len(dead.Headers) < 10 {
				t.Errorf("a dead letter is %s with %d headers: %v", dead.Value, len(dead.Headers), err)
			}
		}
		g.post(t, "/streams/tickets.dead-letter", `{"id":1}`).want(t, 409)

		r.mu.Lock()
		r.fail = nil
		r.mu.Unlock()
		g.post(t, "/subscriptions/tickets/redrive", "").want(t, 202)
		r.wantAll(t, ids)
		kafkatest.Eventually(t, patience, func() error {
			var status struct {
				DeadLetters int `json:"dead_letters"`
				Lag         int
			}
			a := g.get(t, "/subscriptions/tickets/status")
			if err := json.Unmarshal([]byte(a.body), &status); err != nil || status.DeadLetters != 0 || status.Lag != 0 {
				return fmt.Errorf("%v: %s", err, a.body)
			}
			return nil
		})
	})
}

// Endpoints in the gateway's own network are refused unless they are allowed.
func TestPushRefusesItsOwnNetwork(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		b.DeleteLater(t, b.Prefix()+"_sluice.schemas", b.Prefix()+"_sluice.subscriptions", b.Prefix()+"inside")
		g := start(t, b)
		g.register(t, "Order", order, "inside")
		for _, url := range []string{"http://127.0.0.1:1/", "http://169.254.169.254/latest", "http://[::1]/", "http://10.0.0.1/", "http://localhost/", "ftp://example.com/", "http://u:p@192.0.2.1/"} {
			g.post(t, "/subscriptions", fmt.Sprintf(`{"id":"inside","streams":"inside","endpoint":{"url":%q}}`, url)).want(t, 400)
		}
	})
}

// A gateway that Kafka does not let deliver is ready for all else, and says what
// is missing where people look; granted that, it delivers.
func TestPushSaysThatItIsNotPermitted(t *testing.T) {
	b := kafkatest.Embedded(t)
	refusal := kfake.Fault{
		Keys: []kmsg.Key{kmsg.FindCoordinator, kmsg.JoinGroup}, Group: b.Prefix() + "_sluice.deliveries", Err: kerr.GroupAuthorizationFailed, Count: -1,
	}
	fault := b.Cluster(t).Fault(refusal)
	r := newReceiver(t)
	g := pushGateway(t, b)
	g.register(t, "Order", order, "shut")
	g.post(t, "/subscriptions", fmt.Sprintf(`{"id":"shut","streams":"shut","endpoint":{"url":%q}}`, r.URL)).want(t, 201)
	ids := publishKeyed(t, g, "/streams/shut", 0, 10)
	const remedy = "grant its principal READ on the group"
	kafkatest.Eventually(t, patience, func() error {
		if a := g.get(t, "/health/ready"); a.status != 200 || !strings.Contains(a.body, remedy) || !strings.Contains(a.body, `"optional":true`) {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	status := g.get(t, "/subscriptions/shut/status").want(t, 200)
	if detail, _ := status["detail"].(string); status["state"] != "blocked" || status["reason"] != "forbidden" || !strings.Contains(detail, remedy) {
		t.Errorf("the status is %v", status)
	}
	fault.Remove()
	r.wantAll(t, ids)
	if status := g.get(t, "/subscriptions/shut/status").want(t, 200); status["state"] != "active" || status["detail"] != nil {
		t.Errorf("the status is %v", status)
	}
	if a := g.get(t, "/health/ready"); a.status != 200 || strings.Contains(a.body, remedy) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
