package subscriptions_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

func TestCreateTwice(t *testing.T) {
	w := newWorld()
	a, b := w.gateway(t), w.gateway(t)
	create(t, a, "billing", "")
	_, err := b.Create(t.Context(), []byte(minimal+`,"id":"billing"}`))
	wantCode(t, err, stream.SubscriptionConflict)
	_, err = b.Create(t.Context(), []byte(minimal+`,"id":"other","group":"billing"}`))
	wantCode(t, err, stream.GroupInUse)
	if a.Group("billing") != "billing" || b.Group("billing") != "billing" || b.Group("other") != "" {
		t.Error("the group's subscription is not known")
	}
	one, err := b.Create(t.Context(), []byte(minimal+"}"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.Create(t.Context(), []byte(minimal+"}"))
	if err != nil || one.ID == two.ID || one.ID == "" || one.Group != one.ID || one.DeadLetter != one.ID+".dead-letter" {
		t.Errorf("made up ids: %v %v, %v", one.ID, two.ID, err)
	}
	subs, err := a.List(t.Context())
	if err != nil || len(subs) != 3 || subs[0].ID > subs[1].ID || subs[1].ID > subs[2].ID {
		t.Errorf("%d subscriptions, %v", len(subs), err)
	}
}

func TestMissingStream(t *testing.T) {
	s := newWorld().gateway(t)
	_, err := s.Create(t.Context(), []byte(`{"streams":"nope,orders.*","endpoint":{"url":"https://a.example"}}`))
	wantCode(t, err, stream.UnknownStream)
	if _, err := s.Create(t.Context(), []byte(`{"streams":"nope.*","endpoint":{"url":"https://a.example"}}`)); err != nil {
		t.Errorf("a pattern waits for streams to come: %v", err)
	}
}

// TestRaceForAnID lets many gateways create one subscription at once.
func TestRaceForAnID(t *testing.T) {
	for range 20 {
		w := newWorld()
		var wg sync.WaitGroup
		var mu sync.Mutex
		made := map[string]int{}
		for i := range 8 {
			s := w.gateway(t)
			wg.Go(func() {
				sub, err := s.Create(t.Context(), []byte(minimal+`,"id":"billing"}`))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					made[fmt.Sprintf("made %x", sub.Endpoint.Secrets[0].Key)]++
				case stream.CodeOf(err) != stream.SubscriptionConflict:
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		wg.Wait()
		got, err := w.gateway(t).Get(t.Context(), "billing")
		if err != nil {
			t.Fatal(err)
		}
		if len(made) != 1 || made[fmt.Sprintf("made %x", got.Endpoint.Secrets[0].Key)] != 1 {
			t.Fatalf("%d were told that they made it, or another one than is stored", len(made))
		}
	}
}

// TestRaceForAGroup lets gateways create subscriptions with one group at once:
// at no time two of them are delivered.
func TestRaceForAGroup(t *testing.T) {
	for range 50 {
		w := newWorld()
		watcher := w.gateway(t)
		var wg sync.WaitGroup
		for i := range 4 {
			s := w.gateway(t)
			wg.Go(func() {
				_, err := s.Create(t.Context(), fmt.Appendf(nil, `%s,"id":"s%d","group":"g"}`, minimal, i))
				if err != nil && stream.CodeOf(err) != stream.GroupInUse {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			default:
			}
			if subs, err := watcher.List(t.Context()); err != nil || len(subs) > 1 {
				t.Fatalf("%d subscriptions have the group, %v", len(subs), err)
			}
		}
	}
}

// TestGroupTakenMeanwhile has a gateway take the group right before another one,
// which has seen that it is free, writes.
func TestGroupTakenMeanwhile(t *testing.T) {
	w := newWorld()
	a, b := w.gateway(t), w.gateway(t)
	w.log.before = func(string, []byte) {
		w.log.before = nil
		create(t, b, "other", `,"group":"g"`)
	}
	_, err := a.Create(t.Context(), []byte(minimal+`,"id":"billing","group":"g"}`))
	wantCode(t, err, stream.GroupInUse)
	if subs, err := b.List(t.Context()); err != nil || ids(subs) != "other" {
		t.Errorf("%s, %v", ids(subs), err)
	}
	create(t, b, "billing", "")
}

// TestAbandonedCreation has a gateway die between the two steps of a creation.
func TestAbandonedCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.gateway(t), w.gateway(t)
		writes := 0
		w.log.before = func(string, []byte) {
			if writes++; writes == 2 {
				w.log.mu.Lock()
				w.log.fail = stream.Errorf(stream.KafkaUnavailable, "gone")
				w.log.mu.Unlock()
			}
		}
		_, err := a.Create(t.Context(), []byte(minimal+`,"id":"billing","group":"g"}`))
		wantCode(t, err, stream.KafkaUnavailable)
		w.log.fail, w.log.before = nil, nil
		if subs, err := b.List(t.Context()); err != nil || len(subs) != 0 {
			t.Fatalf("%d subscriptions, %v: half a creation is none", len(subs), err)
		}
		_, err = b.Get(t.Context(), "billing")
		wantCode(t, err, stream.UnknownSubscription)
		_, err = b.Create(t.Context(), []byte(minimal+`,"id":"billing"}`))
		wantCode(t, err, stream.SubscriptionConflict)
		_, err = b.Create(t.Context(), []byte(minimal+`,"id":"other","group":"g"}`))
		wantCode(t, err, stream.GroupInUse)
		pass(time.Minute)
		create(t, b, "other", `,"group":"g"`)
		create(t, b, "billing", "")
	})
}

// TestLateCreation has a creation that was taken for dead come back.
func TestLateCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.gateway(t), w.gateway(t)
		writes := 0
		w.log.before = func(string, []byte) {
			if writes++; writes == 2 {
				w.log.before = nil
				pass(time.Minute)
				create(t, b, "other", `,"group":"g"`)
			}
		}
		_, err := a.Create(t.Context(), []byte(minimal+`,"id":"billing","group":"g"}`))
		wantCode(t, err, stream.SubscriptionConflict)
		if subs, err := a.List(t.Context()); err != nil || len(subs) != 1 || subs[0].ID != "other" {
			t.Errorf("%d subscriptions, %v", len(subs), err)
		}
	})
}

func TestPut(t *testing.T) {
	w := newWorld()
	s, other := w.gateway(t), w.gateway(t)
	ctx := t.Context()
	full := `{"streams":"orders.*","group":"g","from":"earliest","endpoint":{"url":"https://app.example","headers":{"A":"1","B":"2"}},"filter":"x","timeout":"1s"}`
	_, _, err := s.Put(ctx, "billing", []byte(full), stream.Condition{Exists: true})
	wantCode(t, err, stream.EtagMismatch)
	first, created, err := s.Put(ctx, "billing", []byte(full), stream.Condition{Absent: true})
	if err != nil || !created || first.ID != "billing" {
		t.Fatal(first, created, err)
	}
	_, _, err = other.Put(ctx, "billing", []byte(full), stream.Condition{Absent: true})
	wantCode(t, err, stream.EtagMismatch)

	// What is left out takes its default, or is kept.
	second, created, err := other.Put(ctx, "billing", []byte(minimal+"}"), stream.Condition{Revisions: []int64{first.Revision}})
	if err != nil || created || second.Revision != first.Revision+1 {
		t.Fatal(second, created, err)
	}
	if second.Filter != "" || second.Timeout != 15*time.Second {
		t.Errorf("not replaced: %+v", second)
	}
	if second.Group != "g" || second.From != "earliest" || second.Created != first.Created ||
		!cmp.Equal(second.Begin, first.Begin) || !cmp.Equal(second.Endpoint.Headers, first.Endpoint.Headers) ||
		!bytes.Equal(second.Endpoint.Secrets[0].Key, first.Endpoint.Secrets[0].Key) {
		t.Errorf("not kept: %+v", second)
	}
	_, _, err = s.Put(ctx, "billing", []byte(full), stream.Condition{Revisions: []int64{first.Revision}})
	wantCode(t, err, stream.EtagMismatch)

	// Headers: null keeps a value, what is not named goes.
	put := func(body string) (*stream.Subscription, error) {
		sub, _, err := s.Put(ctx, "billing", []byte(body), stream.Condition{})
		return sub, err
	}
	third, err := put(`{"streams":"orders.*","endpoint":{"url":"https://app.example","headers":{"b":null,"C":"3"}}}`)
	want := []stream.Header{{Name: "C", Value: []byte("3")}, {Name: "b", Value: []byte("2")}}
	if err != nil || !cmp.Equal(third.Endpoint.Headers, want) {
		t.Errorf("%v, %v", third.Endpoint.Headers, err)
	}
	_, err = put(`{"streams":"orders.*","endpoint":{"url":"https://app.example","headers":{"A":null}}}`)
	if diff := cmp.Diff([]string{"#/endpoint/headers/A"}, pointers(t, err)); diff != "" {
		t.Error(diff)
	}
	if fourth, err := put(`{"streams":"orders.*","endpoint":{"url":"https://app.example","headers":{}}}`); err != nil || len(fourth.Endpoint.Headers) != 0 {
		t.Errorf("%v, %v", fourth, err)
	}
	_, err = put(minimal + `,"id":"x","group":"h","from":"latest"}`)
	if diff := cmp.Diff([]string{"#/from", "#/group", "#/id"}, pointers(t, err)); diff != "" {
		t.Error(diff)
	}
}

func TestPutOfStreams(t *testing.T) {
	w := newWorld()
	s := w.gateway(t)
	first := create(t, s, "billing", `,"from":"latest"`)
	sub, _, err := s.Put(t.Context(), "billing", []byte(`{"streams":"orders.eu,logs.*","endpoint":{"url":"https://a.example"}}`), stream.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	want := []stream.Beginning{
		{Stream: "orders.eu", TopicID: "t2", Generation: 1, Offsets: []int64{110, 111}},
		{Stream: "logs.a", TopicID: "t1", Generation: first.Revision + 1, Offsets: []int64{110}},
	}
	if diff := cmp.Diff(want, sub.Begin); diff != "" || sub.Generation != first.Revision+1 {
		t.Errorf("generation %d, %s", sub.Generation, diff)
	}
	_, _, err = s.Put(t.Context(), "billing", []byte(`{"streams":"orders.eu,nope","endpoint":{"url":"https://a.example"}}`), stream.Condition{})
	wantCode(t, err, stream.UnknownStream)
	w.kafka.layouts = w.kafka.layouts[:1] // a stream that is gone meanwhile may stay named
	if _, _, err = s.Put(t.Context(), "billing", []byte(`{"streams":"orders.eu","endpoint":{"url":"https://a.example"}}`), stream.Condition{}); err != nil {
		t.Error(err)
	}
}

func TestPauseAndResume(t *testing.T) {
	w := newWorld()
	s, owner := w.gateway(t), w.gateway(t)
	ctx := t.Context()
	sub := create(t, s, "billing", "")
	state := func(sub *stream.Subscription, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s %s %d", sub.State, sub.Reason, sub.Revision)
	}
	for i, c := range []struct{ got, want string }{
		{state(s.Pause(ctx, "billing", stream.Condition{})), "paused request 3"},
		{state(s.Pause(ctx, "billing", stream.Condition{})), "paused request 3"},
		{state(s.Resume(ctx, "billing", stream.Condition{})), "active  4"},
		{state(s.Resume(ctx, "billing", stream.Condition{})), "active  4"},
	} {
		if c.got != c.want {
			t.Errorf("%d: %q, want %q", i, c.got, c.want)
		}
	}
	wantCode(t, owner.Suspend(ctx, "billing", sub.Revision, stream.ReasonGone), stream.EtagMismatch)
	if err := owner.Suspend(ctx, "billing", 4, stream.ReasonGone); err != nil {
		t.Fatal(err)
	}
	if got := state(s.Get(ctx, "billing")); got != "paused gone 5" {
		t.Error(got)
	}
	// A PUT that does not speak of the state leaves it.
	kept, _, err := s.Put(ctx, "billing", []byte(minimal+"}"), stream.Condition{})
	if got := state(kept, err); got != "paused gone 6" {
		t.Error(got)
	}
	resumed, _, err := s.Put(ctx, "billing", []byte(minimal+`,"state":"active","reason":"gone"}`), stream.Condition{})
	if got := state(resumed, err); got != "active  7" {
		t.Error(got)
	}
	_, err = s.Pause(ctx, "nope", stream.Condition{})
	wantCode(t, err, stream.UnknownSubscription)
	_, err = s.Pause(ctx, "billing", stream.Condition{Revisions: []int64{1}})
	wantCode(t, err, stream.EtagMismatch)
}

func TestDeleteAndCreateAnew(t *testing.T) {
	w := newWorld()
	s, other := w.gateway(t), w.gateway(t)
	ctx := t.Context()
	first := create(t, s, "billing", "")
	if err := s.Report(ctx, "billing", stream.Health{InFlight: 1, LastSuccess: time.Now()}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, other.Delete(ctx, "billing", stream.Condition{Revisions: []int64{first.Revision + 1}}), stream.EtagMismatch)
	if err := other.Delete(ctx, "billing", stream.Condition{Revisions: []int64{first.Revision}}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Delete(ctx, "billing", stream.Condition{}), stream.UnknownSubscription)
	_, err := s.Get(ctx, "billing")
	wantCode(t, err, stream.UnknownSubscription)
	if s.Group("billing") != "" {
		t.Error("a deleted subscription holds its group")
	}
	second := create(t, s, "billing", "")
	if second.Generation <= first.Generation {
		t.Errorf("generation %d after %d: offsets of the one before would count", second.Generation, first.Generation)
	}
	if status, err := s.Status(ctx, "billing"); err != nil || !status.Health.At.IsZero() {
		t.Errorf("it has the health of the one before: %+v, %v", status.Health, err)
	}
}

func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.gateway(t)
		ctx := t.Context()
		first := create(t, s, "billing", "").Endpoint.Secrets[0].Key
		sub, err := s.Rotate(ctx, "billing", []byte("{}"), stream.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		second := sub.Endpoint.Secrets[0].Key
		keys := func(at time.Time) [][]byte { return sub.Endpoint.Keys(at) }
		if bytes.Equal(first, second) || !cmp.Equal(keys(time.Now()), [][]byte{second, first}) {
			t.Error("the one before does not sign")
		}
		if got := keys(time.Now().Add(24*time.Hour - time.Second)); len(got) != 2 {
			t.Errorf("%d keys before a day is over", len(got))
		}
		if got := keys(time.Now().Add(24 * time.Hour)); !cmp.Equal(got, [][]byte{second}) {
			t.Errorf("%d keys after a day", len(got))
		}
		pass(23 * time.Hour)
		given := []byte(strings.Repeat("k", 24))
		if sub, err = s.Rotate(ctx, "billing", []byte(`{"secret":"`+secretOf(24)+`"}`), stream.Condition{}); err != nil {
			t.Fatal(err)
		}
		if got := keys(time.Now()); !cmp.Equal(got, [][]byte{given, second, first}) {
			t.Errorf("%d keys", len(got))
		}
		pass(2 * time.Hour)
		sub, _, err = s.Put(ctx, "billing", []byte(`{"streams":"orders.*","endpoint":{"url":"https://a.example","secret":"`+secretOf(25)+`"}}`), stream.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		if got := keys(time.Now()); len(sub.Endpoint.Secrets) != 3 || len(got) != 3 || !bytes.Equal(got[1], given) || !bytes.Equal(got[2], second) {
			t.Errorf("%d keys: another secret in a PUT is a rotation", len(got))
		}
		again, _, err := s.Put(ctx, "billing", []byte(`{"streams":"orders.*","endpoint":{"url":"https://a.example","secret":"`+secretOf(25)+`"}}`), stream.Condition{})
		if err != nil || !cmp.Equal(again.Endpoint.Secrets, sub.Endpoint.Secrets) {
			t.Errorf("the same secret again is no rotation: %v", err)
		}
		for _, body := range []string{`{"secret":"topsecret"}`, `{"secret":7}`, `{"secrets":1}`} {
			_, err := s.Rotate(ctx, "billing", []byte(body), stream.Condition{})
			wantCode(t, err, stream.InvalidRequest)
			if strings.Contains(err.Error(), "topsecret") {
				t.Error(err)
			}
		}
	})
}

// TestRaceOfChanges lets gateways change one subscription at once: none of the
// changes is lost.
func TestRaceOfChanges(t *testing.T) {
	w := newWorld()
	create(t, w.gateway(t), "billing", "")
	var wg sync.WaitGroup
	const gateways, changes = 4, 10
	for range gateways {
		s := w.gateway(t)
		wg.Go(func() {
			for range changes {
				if _, err := s.Rotate(t.Context(), "billing", []byte("{}"), stream.Condition{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	sub, err := w.gateway(t).Get(t.Context(), "billing")
	if err != nil || len(sub.Endpoint.Secrets) != gateways*changes+1 || sub.Revision != gateways*changes+2 {
		t.Errorf("%d secrets at revision %d, %v", len(sub.Endpoint.Secrets), sub.Revision, err)
	}
}

func TestLogThatFails(t *testing.T) {
	w := newWorld()
	s := w.gateway(t)
	create(t, s, "billing", "")
	w.log.fail = stream.Errorf(stream.KafkaUnavailable, "gone")
	ctx := t.Context()
	_, err := s.Get(ctx, "billing")
	wantCode(t, err, stream.KafkaUnavailable)
	_, err = s.Owned(ctx, []int32{0, 1, 2, 3})
	wantCode(t, err, stream.KafkaUnavailable)
	_, err = s.Pause(ctx, "billing", stream.Condition{})
	wantCode(t, err, stream.KafkaUnavailable)
	_, _, err = s.Put(ctx, "billing", []byte(minimal+"}"), stream.Condition{})
	wantCode(t, err, stream.KafkaUnavailable)
	w.log.fail = nil
	w.kafka.fail = errors.New("broken")
	if _, err := s.Create(ctx, []byte(minimal+"}")); stream.CodeOf(err) != stream.Internal {
		t.Error(err)
	}
	if _, err := s.Status(context.Background(), "billing"); stream.CodeOf(err) != stream.Internal {
		t.Error(err)
	}
}
