package identity_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/stream"
)

// Kafka is asked once for minutes, and each caller has one producer, which two
// callers never share.
func TestLoginsAreRemembered(t *testing.T) {
	within(t, 5, func(t *testing.T, w *world) {
		alice, bob := w.in(login("alice", "alice-secret")), w.in(login("bob", "bob-secret"))
		w.stored(alice, "alice")
		w.stored(bob, "bob")
		w.stored(w.in(login("alice", "alice-secret")), "alice")
		w.wantOpen("alice", "bob")
		w.wantAsked("alice:alice-secret", "bob:bob-secret")
		<-time.After(6 * time.Minute)
		w.in(login("alice", "alice-secret"))
		w.wantAsked("alice:alice-secret", "bob:bob-secret", "alice:alice-secret")
	})
}

// A wrong password is asked about once in a while, opens nothing, and does not
// keep the right one out.
func TestWrongPasswords(t *testing.T) {
	within(t, 1, func(t *testing.T, w *world) {
		for range 5 {
			_, err := w.LogIn(t.Context(), login("alice", "wrong"))
			wantCode(t, err, stream.Unauthenticated)
		}
		w.wantAsked("alice:wrong")
		w.stored(w.in(login("alice", "alice-secret")), "alice")
		w.wantOpen("alice")
		w.kafka.set("alice", "wrong") // which is right now
		<-time.After(11 * time.Second)
		w.in(login("alice", "wrong"))
	})
}

// A flood of wrong passwords asks few questions at once, and forgets nobody who
// was let in.
func TestFloodOfWrongPasswords(t *testing.T) {
	within(t, 1, func(t *testing.T, w *world) {
		w.in(login("alice", "alice-secret"))
		w.kafka.setPause(time.Millisecond)
		var flood sync.WaitGroup
		for i := range 100 {
			flood.Go(func() {
				for j := range 3 {
					if _, err := w.LogIn(t.Context(), login("alice", fmt.Sprint(i, j))); err == nil {
						t.Error("a wrong password is taken")
					}
					w.kafka.setPause(0) // after the first ones
				}
			})
		}
		flood.Wait()
		if w.kafka.most > 16 {
			t.Errorf("%d questions at once", w.kafka.most)
		}
		asked := len(w.kafka.questions())
		w.in(login("alice", "alice-secret"))
		if now := len(w.kafka.questions()); now != asked {
			t.Error("who was let in is asked for again")
		}
	})
}

// Many who come at once with the same password are one question and one
// producer.
func TestManyAtOnce(t *testing.T) {
	within(t, 1, func(t *testing.T, w *world) {
		w.kafka.setPause(time.Second)
		var many sync.WaitGroup
		for range 50 {
			many.Go(func() {
				s, err := w.LogIn(t.Context(), login("alice", "alice-secret"))
				if err == nil {
					_, err = w.send(s)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		many.Wait()
		w.wantAsked("alice:alice-secret")
		w.wantOpen("alice")
		w.producer("alice").report(nil)
	})
}

// A Kafka that does not answer is not a wrong password, and is asked again.
func TestKafkaDoesNotAnswer(t *testing.T) {
	within(t, 1, func(t *testing.T, w *world) {
		w.kafka.set("alice", "")
		_, err := w.LogIn(t.Context(), login("alice", "alice-secret"))
		wantCode(t, err, stream.KafkaUnavailable)
		w.kafka.set("alice", "alice-secret")
		w.in(login("alice", "alice-secret"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.kafka.setPause(time.Second)
		_, err = w.LogIn(ctx, login("bob", "bob-secret"))
		wantCode(t, err, stream.KafkaUnavailable)
		<-time.After(2 * time.Second)
		if _, err := w.LogIn(ctx, login("bob", "bob-secret")); err != nil {
			t.Errorf("what was found out after its caller had gone is not remembered: %v", err)
		}
	})
}

// There are never more producers than allowed: one without records goes for
// another caller, the one that was not used for the longest time; and where all
// have records, the caller is told to come back.
func TestProducersAreBounded(t *testing.T) {
	within(t, 2, func(t *testing.T, w *world) {
		alice, bob, carol := w.in(login("alice", "alice-secret")), w.in(login("bob", "bob-secret")), w.in(login("carol", "carol-secret"))
		w.stored(alice, "alice")
		<-time.After(time.Second)
		told, err := w.send(bob)
		if err != nil {
			t.Fatal(err)
		}
		w.stored(carol, "carol")
		w.wantOpen("bob", "carol")
		if _, err := w.send(carol); err != nil {
			t.Fatal(err)
		}
		_, err = w.send(alice)
		if e := wantCode(t, err, stream.Overloaded); e.RetryAfter == 0 || e.Outcome != stream.NotStored {
			t.Errorf("retry after %v, %s", e.RetryAfter, e.Outcome)
		}
		w.producer("bob").report(nil)
		if err := w.told(told); err != nil {
			t.Fatal(err)
		}
		w.stored(alice, "alice")
		w.wantOpen("carol", "alice")
		w.producer("carol").report(nil)
	})
}

// A producer without records ends after a while, and one with records does not.
func TestIdleProducers(t *testing.T) {
	within(t, 2, func(t *testing.T, w *world) {
		alice, bob := w.in(login("alice", "alice-secret")), w.in(login("bob", "bob-secret"))
		w.stored(alice, "alice")
		if _, err := w.send(bob); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Minute)
		w.wantOpen("bob")
		w.producer("bob").report(nil)
		w.stored(alice, "alice")
		w.wantOpen("bob", "alice")
	})
}

// A producer whose login Kafka refuses from now on ends, with what waits in it,
// and the records' publishers are told why. One that is suspected without reason
// stays.
func TestPasswordThatIsChanged(t *testing.T) {
	within(t, 2, func(t *testing.T, w *world) {
		alice := w.in(login("alice", "alice-secret"))
		told, err := w.send(alice)
		if err != nil {
			t.Fatal(err)
		}
		suspected := w.producer("alice")
		suspected.suspect()
		<-time.After(3 * time.Second)
		w.wantOpen("alice")
		w.kafka.set("alice", "changed")
		suspected.suspect()
		if e := wantCode(t, w.told(told), stream.Unauthenticated); e.Outcome != stream.NotStored {
			t.Errorf("the outcome is %s", e.Outcome)
		}
		synctest.Wait()
		_, err = w.LogIn(t.Context(), login("alice", "alice-secret"))
		wantCode(t, err, stream.Unauthenticated)
		_, err = w.send(alice) // who logged in before
		wantCode(t, err, stream.Unauthenticated)
		w.stored(w.in(login("alice", "changed")), "alice")
		w.wantOpen("alice")
	})
}

// The first use of a new password has Kafka asked about the old one, once.
func TestNewPasswordEndsTheOldOne(t *testing.T) {
	within(t, 2, func(t *testing.T, w *world) {
		w.stored(w.in(login("alice", "alice-secret")), "alice")
		w.kafka.set("alice", "changed")
		w.in(login("alice", "alice-secret")) // for it is remembered
		w.in(login("alice", "changed"))
		_, err := w.LogIn(t.Context(), login("alice", "alice-secret"))
		wantCode(t, err, stream.Unauthenticated)
		w.wantOpen()
		w.wantAsked("alice:alice-secret", "alice:changed", "alice:alice-secret")
	})
}

// Tokens of one account share a producer, which goes over to the one that ends
// last, and ends with it.
func TestTokens(t *testing.T) {
	within(t, 2, func(t *testing.T, w *world) {
		w.kafka.set("alice", "first")
		first := w.in(token("alice", "first", 2*time.Minute))
		w.stored(first, "alice")
		w.kafka.set("alice", "second")
		second := w.in(token("alice", "second", 10*time.Minute))
		w.stored(second, "alice")
		w.stored(first, "alice")
		w.wantOpen("alice")
		if got := w.producer("alice").login.Load().Reveal(); got != "second" {
			t.Errorf("the producer has the token %s", got)
		}
		for range 5 {
			<-time.After(30 * time.Second)
			w.stored(second, "alice")
		}
		w.wantOpen("alice")
		_, err := w.send(first)
		wantCode(t, err, stream.Unauthenticated)
		for range 15 {
			<-time.After(30 * time.Second)
			_, _ = w.send(second) // as long as it is good
			if open := w.kafka.open(); len(open) > 0 {
				w.producer("alice").report(nil)
			}
		}
		w.wantOpen()
		_, err = w.LogIn(t.Context(), token("alice", "second", -time.Second))
		wantCode(t, err, stream.Unauthenticated)
	})
}

// Whoever an issuer vouches for is confirmed by Kafka at the first record.
func TestLater(t *testing.T) {
	within(t, 2, func(t *testing.T, w *world) {
		w.kafka.set("alice", "good")
		w.stored(w.Later(token("alice", "good", time.Hour)), "alice")
		w.kafka.set("bob", "other")
		_, err := w.send(w.Later(token("bob", "good", time.Hour)))
		wantCode(t, err, stream.Unauthenticated)
		w.wantOpen("alice")
	})
}

// All producers are told of topics, and those that have records keep them until
// the pool's end.
func TestTopicsAndTheEnd(t *testing.T) {
	within(t, 2, func(t *testing.T, w *world) {
		alice, bob := w.in(login("alice", "alice-secret")), w.in(login("bob", "bob-secret"))
		w.stored(alice, "alice")
		told, err := w.send(bob)
		if err != nil {
			t.Fatal(err)
		}
		w.Made("t")
		if w.producer("alice").anew.Load() != 1 || w.producer("bob").anew.Load() != 1 {
			t.Error("not all were told")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Fatal(err)
		}
		wantCode(t, w.told(told), stream.KafkaUnavailable)
		_, err = w.send(alice)
		wantCode(t, err, stream.KafkaUnavailable)
		_, err = w.LogIn(t.Context(), login("carol", "carol-secret"))
		wantCode(t, err, stream.KafkaUnavailable)
	})
}

// Secrets are told by nothing that prints.
func TestLoginsPrintNoSecret(t *testing.T) {
	l := login("alice", "alice-secret")
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", slog.Any("login", l))
	for _, text := range []string{fmt.Sprint(l), fmt.Sprintf("%+v %#v %v", l, l, struct{ L *stream.Login }{l}), log.String()} {
		if strings.Contains(text, "alice-secret") || !strings.Contains(text, "alice") && !strings.Contains(text, "0x") {
			t.Errorf("got %s", text)
		}
	}
}
