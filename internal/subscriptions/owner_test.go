package subscriptions_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

// callerOf gives a context in which somebody asks who may read some streams,
// publish to some and manage some.
func callerOf(t *testing.T, name, subscribe, publish, manage string) context.Context {
	t.Helper()
	var r stream.Rights
	for _, right := range []struct {
		text string
		to   *stream.Pattern
	}{{subscribe, &r.Subscribe}, {publish, &r.Publish}, {manage, &r.Manage}} {
		if right.text == "" {
			continue
		}
		p, err := stream.ParsePattern(right.text)
		if err != nil {
			t.Fatal(err)
		}
		*right.to = p
	}
	p := stream.Principal{Name: name, Claims: map[string][]string{"role": {"x"}}}
	return stream.WithCaller(t.Context(), &stream.Caller{Principal: p, Rights: r})
}

func TestOwners(t *testing.T) {
	w := newWorld()
	s, replica := w.gateway(t), w.gateway(t)
	alice, bob, admin := callerOf(t, "token:alice", "orders.*", "", ""), callerOf(t, "token:bob", "orders.*,logs.a", "", "orders.*"), callerOf(t, "token:admin", "*", "", "*")
	if _, err := s.Create(alice, []byte(minimal+`,"id":"mine","owner":"token:bob"}`)); err != nil {
		t.Fatal(err)
	}
	create(t, s, "nobodys", "")
	stored, err := replica.Get(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	want := stream.Principal{Name: "token:alice", Claims: map[string][]string{"role": {"x"}}}
	if diff := cmp.Diff(want, stored.Owner); diff != "" {
		t.Error(diff)
	}
	for name, ctx := range map[string]context.Context{"mine": alice, "": bob, "mine nobodys": admin} {
		if list, err := s.List(ctx); err != nil || ids(list) != name {
			t.Errorf("got %s, %v; want %s", ids(list), err, name)
		}
	}
	var none stream.Condition
	body := []byte(minimal + `}`)
	for name, act := range map[string]func() error{
		"get":    func() error { _, err := s.Get(bob, "mine"); return err },
		"delete": func() error { return s.Delete(bob, "mine", none) },
		"pause":  func() error { _, err := s.Pause(bob, "mine", none); return err },
		"resume": func() error { _, err := s.Resume(bob, "nobodys", none); return err },
		"rotate": func() error { _, err := s.Rotate(bob, "mine", []byte("{}"), none); return err },
		"move":   func() error { _, err := s.Move(bob, "mine", []byte(`{"from":"earliest"}`), none); return err },
		"status": func() error { _, err := s.Status(bob, "mine"); return err },
		"test":   func() error { _, err := s.Test(bob, "mine"); return err },
		"again":  func() error { _, _, err := s.Redrive(bob, "mine", none); return err },
	} {
		if err := act(); stream.CodeOf(err) != stream.UnknownSubscription {
			t.Errorf("%s of another's: %v", name, err)
		}
	}
	if _, _, err := s.Put(bob, "mine", body, none); stream.CodeOf(err) != stream.SubscriptionConflict {
		t.Errorf("put of another's: %v", err)
	}
	if sub, _, err := s.Put(admin, "mine", body, none); err != nil || sub.Owner.Name != "token:admin" {
		t.Errorf("who replaces it does not own it: %v", err)
	}
	if err := s.Suspend(t.Context(), "nobodys", 2, stream.ReasonForbidden); err != nil {
		t.Fatal(err)
	}
	if sub, err := s.Resume(admin, "nobodys", none); err != nil || sub.Owner.Name != "token:admin" {
		t.Errorf("who resumes what nobody owns does not own it: %v", err)
	}
	if err := s.Delete(admin, "nobodys", none); err != nil {
		t.Error(err)
	}
}

func TestWhatOwnersMayAskFor(t *testing.T) {
	s := newWorld().gateway(t)
	reader, answerer := callerOf(t, "token:r", "orders.*", "", ""), callerOf(t, "token:a", "orders.*,dead", "dead,answers", "")
	endpoint := `,"endpoint":{"url":"https://app.example/hooks"}`
	for body, code := range map[string]stream.Code{
		`{"streams":"orders.eu"` + endpoint + `}`:                           "",
		`{"streams":"*"` + endpoint + `}`:                                   "", // bounded when it is delivered
		`{"streams":"logs.a"` + endpoint + `}`:                              stream.Forbidden,
		`{"streams":"orders.eu,logs.a"` + endpoint + `}`:                    stream.Forbidden,
		`{"streams":"orders.eu","publishes":"answers"` + endpoint + `}`:     stream.Forbidden,
		`{"streams":"orders.eu","publishes":"*"` + endpoint + `}`:           stream.Forbidden,
		`{"streams":"orders.eu","dead_letter":"orders.us"` + endpoint + `}`: stream.Forbidden,
		`{"streams":"orders.eu","dead_letter":"dead"` + endpoint + `}`:      stream.Forbidden,
	} {
		if _, err := s.Create(reader, []byte(body)); stream.CodeOf(err) != code {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := s.Create(answerer, []byte(`{"streams":"orders.eu","publishes":"answers","dead_letter":"dead"`+endpoint+`}`)); err != nil {
		t.Error(err)
	}
	if _, err := s.Create(callerOf(t, "token:n", "", "*", "*"), []byte(`{"streams":"*"`+endpoint+`}`)); stream.CodeOf(err) != stream.Forbidden {
		t.Errorf("got %v", err)
	}
}

// A status has only what the caller may see.
func TestStatusOfWhatIsSeen(t *testing.T) {
	s := newWorld().gateway(t)
	ctx := callerOf(t, "token:a", "orders.eu", "", "")
	if _, err := s.Create(ctx, []byte(`{"id":"a","streams":"*","endpoint":{"url":"https://app.example/hooks"}}`)); err != nil {
		t.Fatal(err)
	}
	status, err := s.Status(ctx, "a")
	if err != nil || len(status.Partitions) != 2 {
		t.Fatalf("%+v, %v", status.Partitions, err)
	}
	for _, p := range status.Partitions {
		if p.Stream != "orders.eu" {
			t.Errorf("it tells of %s", p.Stream)
		}
	}
}

// A principal owns as many as its quota says, and what it deletes is free again.
func TestSubscriptionsOfOneOwner(t *testing.T) {
	w := newWorld()
	w.most = func(principal string) int { return map[string]int{"token:alice": 2}[principal] }
	s := w.gateway(t)
	alice, bob := callerOf(t, "token:alice", "*", "", ""), callerOf(t, "token:bob", "*", "", "")
	ask := func(ctx context.Context, id string) error {
		_, err := s.Create(ctx, []byte(minimal+`,"id":"`+id+`"}`))
		return err
	}
	for _, id := range []string{"a", "b"} {
		if err := ask(alice, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask(alice, "c"); stream.CodeOf(err) != stream.Forbidden || !strings.Contains(err.Error(), "token:alice owns 2 subscriptions, and its quota is 2") {
		t.Errorf("got %v", err)
	}
	var none stream.Condition
	if _, _, err := s.Put(alice, "c", []byte(minimal+`}`), none); stream.CodeOf(err) != stream.Forbidden {
		t.Errorf("by PUT: %v", err)
	}
	if _, created, err := s.Put(alice, "a", []byte(minimal+`}`), none); err != nil || created {
		t.Errorf("its own cannot be replaced: %v", err)
	}
	for _, id := range []string{"d", "e", "f"} { // who has no quota
		if err := ask(bob, id); err != nil {
			t.Error(err)
		}
	}
	if err := ask(t.Context(), "g"); err != nil {
		t.Error(err)
	}
	if err := s.Delete(alice, "b", none); err != nil {
		t.Fatal(err)
	}
	if err := ask(alice, "c"); err != nil {
		t.Error(err)
	}
}
