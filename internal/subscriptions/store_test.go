package subscriptions_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
	"sluice/internal/subscriptions"
)

func ids(subs []*stream.Subscription) string {
	var list []string
	for _, sub := range subs {
		list = append(list, sub.ID)
	}
	return strings.Join(list, " ")
}

func TestWatchAndOwned(t *testing.T) {
	w := newWorld()
	s, other := w.gateway(t), w.gateway(t)
	changed, stop := s.Watch()
	defer stop()
	for _, id := range []string{"a", "bb", "ccc", "dddd", "eeeee"} { // the fake's partition is the length
		create(t, other, id, "")
	}
	owned, err := s.Owned(t.Context(), []int32{int32(len(subscriptions.Entity("a")) % 4), int32(len(subscriptions.Entity("ccc")) % 4)})
	if err != nil || ids(owned) != "a ccc eeeee" {
		t.Errorf("owned %s, %v", ids(owned), err)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
	select {
	case <-changed:
		t.Error("told again of the same")
	default:
	}
	if _, err := other.Pause(t.Context(), "bb", stream.Condition{}); err != nil {
		t.Fatal(err)
	}
	if err := other.Report(t.Context(), "bb", stream.Health{LastSuccess: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "bb"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told of a change")
	}
	if err := other.Report(t.Context(), "a", stream.Health{LastSuccess: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("health is no change of a subscription")
	default:
	}
}

// resetting is a log that begins to be read anew whenever it was read to its
// end, some times.
type resetting struct {
	*replica

	times int
}

func (r *resetting) Sync(ctx context.Context) error {
	if err := r.replica.Sync(ctx); err != nil || r.times == 0 {
		return err
	}
	r.times--
	r.state.Reset()
	r.read = 0
	return nil
}

func TestOwnedWhileTheLogIsReadAnew(t *testing.T) {
	w := newWorld()
	for i := range 5 {
		create(t, w.gateway(t), fmt.Sprintf("s%d", i), "")
	}
	var log *resetting
	s, err := subscriptions.New(subscriptions.Options{
		Log: slog.New(slog.DiscardHandler), Open: func(state stream.State) subscriptions.Log {
			log = &resetting{replica: &replica{log: w.log, state: state}, times: 3}
			return log
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	subs, err := s.List(t.Context())
	if err != nil || len(subs) != 5 || log.times != 0 {
		t.Errorf("%d of 5 subscriptions, %v; %d resets left", len(subs), err, log.times)
	}
}

func TestSecretsAreSealed(t *testing.T) {
	w := newWorld()
	oldKey, newKey := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	body := `{"id":"billing","streams":"orders.*","endpoint":{"url":"https://a.example","headers":{"A":"hidden"},"secret":"` + secretOf(24) + `"}}`
	if _, err := w.gateway(t, oldKey).Create(t.Context(), []byte(body)); err != nil {
		t.Fatal(err)
	}
	for _, e := range w.log.entries {
		for _, secret := range []string{"hidden", secretOf(24)[6:], "aGlkZGVu"} {
			if bytes.Contains(e.Value, []byte(secret)) {
				t.Errorf("the log holds a secret: %s", e.Value)
			}
		}
	}
	// With another key first, and this one after it, all opens.
	s := w.gateway(t, newKey, oldKey)
	sub, err := s.Pause(t.Context(), "billing", stream.Condition{})
	if err != nil || string(sub.Endpoint.Headers[0].Value) != "hidden" || string(sub.Endpoint.Secrets[0].Key) != strings.Repeat("k", 24) {
		t.Fatal(sub, err)
	}
	if _, err := w.gateway(t, newKey).Get(t.Context(), "billing"); err != nil {
		t.Errorf("it was sealed by the new key: %v", err)
	}
	// Without the right key it is left alone, and may be deleted.
	blind := w.gateway(t, oldKey)
	_, err = blind.Get(t.Context(), "billing")
	wantCode(t, err, stream.SubscriptionConflict)
	_, _, err = blind.Put(t.Context(), "billing", []byte(body), stream.Condition{})
	wantCode(t, err, stream.SubscriptionConflict)
	_, err = blind.Create(t.Context(), []byte(body))
	wantCode(t, err, stream.SubscriptionConflict)
	if subs, err := blind.List(t.Context()); err != nil || len(subs) != 0 {
		t.Errorf("%d subscriptions, %v", len(subs), err)
	}
	if err := blind.Delete(t.Context(), "billing", stream.Condition{}); err != nil {
		t.Error(err)
	}
	// Moved to another id a sealed text does not open.
	create(t, s, "one", "")
	last := w.log.entries[len(w.log.entries)-1]
	w.log.entries = append(w.log.entries, stream.Entry{Entity: subscriptions.Entity("two"), Revision: 1, Value: last.Value})
	_, err = s.Get(t.Context(), "two")
	wantCode(t, err, stream.SubscriptionConflict)
	if _, err := w.open([]byte("short")); err == nil {
		t.Error("a key of 5 bytes was taken")
	}
	if strings.Contains(w.out.String(), "hidden") || strings.Contains(w.out.String(), "kkkk") {
		t.Error("the log of the process has a secret")
	}
}

func TestEntriesOfOthers(t *testing.T) {
	w := newWorld()
	s := w.gateway(t)
	create(t, s, "known", "")
	for i, value := range []string{`{"v":2,"private":{"secrets":[{"key":"aGlkZGVu"}]}}`, `{"v":1,"created":"hidden"}`, `{"v":1,"streams":"a,,b","private":{}}`, `{"v":1,"streams":"a"}`} {
		entity := fmt.Sprintf("subscription/s%d", i)
		w.log.entries = append(w.log.entries, stream.Entry{Entity: entity, Revision: 7, Value: []byte(value)})
		w.log.newest[entity] = 7
	}
	w.log.entries = append(w.log.entries,
		stream.Entry{Entity: "health/known", Revision: 1, Value: []byte(`{"v":2}`)},
		stream.Entry{Entity: "future/x", Revision: 1, Value: []byte(`{}`)})
	for i := range 4 {
		id := fmt.Sprintf("s%d", i)
		_, err := s.Get(t.Context(), id)
		wantCode(t, err, stream.SubscriptionConflict)
		if err := s.Delete(t.Context(), id, stream.Condition{}); err != nil {
			t.Error(err)
		}
	}
	if subs, err := s.List(t.Context()); err != nil || ids(subs) != "known" {
		t.Errorf("%s, %v", ids(subs), err)
	}
	if out := w.out.String(); strings.Contains(out, "hidden") || strings.Contains(out, "aGlkZGVu") || !strings.Contains(out, "subscription/s1") {
		t.Errorf("logged: %s", out)
	}
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		owner, other := w.gateway(t), w.gateway(t)
		create(t, owner, "billing", "")
		before := len(w.log.entries)
		report := func(h stream.Health) int {
			t.Helper()
			n := len(w.log.entries)
			if err := owner.Report(t.Context(), "billing", h); err != nil {
				t.Fatal(err)
			}
			return len(w.log.entries) - n
		}
		good := stream.Health{InFlight: 1, LastSuccess: time.Now()}
		if report(stream.Health{}) != 0 {
			t.Error("nothing is worth a record")
		}
		if report(good) != 1 {
			t.Error("the first success is worth a record")
		}
		if report(good) != 0 {
			t.Error("the same was written again")
		}
		pass(6 * time.Second)
		good.LastSuccess = time.Now()
		if report(good) != 0 {
			t.Error("more of the same is told after 30 seconds")
		}
		bad := good
		bad.LastError = stream.Attempt{At: time.Now(), Took: time.Second, Status: 500, Detail: strings.Repeat("é", 300)}
		bad.Attempts = append([]stream.Attempt{bad.LastError}, make([]stream.Attempt, 20)...)
		bad.Waiting, bad.Slowed = 1, true
		if report(bad) != 1 {
			t.Error("a failure is told after 5 seconds")
		}
		pass(4 * time.Second)
		bad.LastError.At = time.Now()
		if report(bad) != 0 {
			t.Error("another failure was told within 5 seconds")
		}
		pass(31 * time.Second)
		good.LastSuccess, good.LastError = time.Now(), bad.LastError
		if report(good) != 1 {
			t.Error("it is told that all is well again")
		}
		if err := owner.Report(t.Context(), "nope", good); err != nil || len(w.log.entries) != before+3 {
			t.Errorf("%d records, %v", len(w.log.entries)-before, err)
		}
		status, err := other.Status(t.Context(), "billing")
		if err != nil {
			t.Fatal(err)
		}
		h := status.Health
		if h.LastSuccess.IsZero() || h.LastError.Status != 500 || len(h.LastError.Detail) != 300 || h.InFlight != 1 || time.Since(h.At) > time.Second {
			t.Errorf("told to others: %+v", h)
		}
	})
}

func TestTestDelivery(t *testing.T) {
	w := newWorld()
	w.sender.answer = stream.Attempt{Status: 204, Outcome: stream.DeliveryDone, Published: []stream.Outgoing{{Stream: "x"}}}
	s := w.gateway(t)
	create(t, s, "billing", `,"state":"paused"`)
	a, err := s.Test(t.Context(), "billing")
	if err != nil || a.Status != 204 || a.Published != nil {
		t.Errorf("%+v, %v", a, err)
	}
	d := w.sender.sent[0]
	if d.Subscription.ID != "billing" || d.ID == "" || strings.Contains(d.ID, ".") || d.Attempt != 1 || len(d.Records) != 1 || !strings.Contains(string(d.Records[0].Data), `"test":true`) {
		t.Errorf("sent %+v", d)
	}
	_, err = s.Test(t.Context(), "nope")
	wantCode(t, err, stream.UnknownSubscription)
}

func TestReads(t *testing.T) {
	sub := create(t, newWorld().gateway(t), "billing", "")
	for pattern, want := range map[string]map[string]bool{
		"*":                                 {"a": true, "billing.dead-letter": false, "x.dead-letter": false},
		"a,x.dead-letter":                   {"a": true, "x.dead-letter": true, "b": false},
		"x.dead-*,y,billing.dead-letter,*a": {"x.dead-letter": false, "y": true, "billing.dead-letter": false, "ba": true},
	} {
		p, err := stream.ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		sub.Streams = p
		got := map[string]bool{}
		for id := range want {
			got[id] = sub.Reads(id)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", pattern, diff)
		}
	}
}
