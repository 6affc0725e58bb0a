package identity_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/identity"
	"sluice/internal/stream"
)

// kafka takes the logins whose passwords it has, and records what happens.
type kafka struct {
	mu        sync.Mutex
	passwords map[string]string // by user; "" is a Kafka that does not answer
	asked     []string          // "user:password"
	asking    int
	most      int // at once
	producers []*producer
	pause     time.Duration // an answer takes so long
}

func (k *kafka) Confirm(ctx context.Context, l *stream.Login) error {
	k.mu.Lock()
	k.asked = append(k.asked, l.User+":"+l.Reveal())
	k.asking++
	k.most = max(k.most, k.asking)
	pause := k.pause
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.asking--
		k.mu.Unlock()
	}()
	select {
	case <-time.After(pause):
	case <-ctx.Done():
		return stream.Errorf(stream.KafkaUnavailable, "no answer")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch k.passwords[l.User] {
	case l.Reveal():
		return nil
	case "":
		return stream.Errorf(stream.KafkaUnavailable, "no answer")
	}
	return stream.Errorf(stream.Unauthenticated, "no")
}

func (k *kafka) Open(l *stream.Login, suspect func()) (identity.Producer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := &producer{user: l.User, suspect: suspect}
	p.login.Store(l)
	k.producers = append(k.producers, p)
	return p, nil
}

func (k *kafka) set(user, password string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.passwords[user] = password
}

func (k *kafka) setPause(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pause = d
}

// open gives the users who have a producer.
func (k *kafka) open() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var users []string
	for _, p := range k.producers {
		if !p.closed.Load() {
			users = append(users, p.user)
		}
	}
	return users
}

func (k *kafka) questions() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.asked...)
}

// producer holds what is sent until it is told to report.
type producer struct {
	user    string
	suspect func()
	login   atomic.Pointer[stream.Login]
	closed  atomic.Bool
	anew    atomic.Int32

	mu      sync.Mutex
	waiting []func(stream.Report, error)
}

func (p *producer) Send(_ *stream.Message, delivered func(stream.Report, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return stream.Errorf(stream.KafkaUnavailable, "it is closed").WithOutcome(stream.NotStored)
	}
	p.waiting = append(p.waiting, delivered)
	return nil
}

func (p *producer) Follow(l *stream.Login) { p.login.Store(l) }
func (p *producer) Anew(string)            { p.anew.Add(1) }

// report reports all that waits.
func (p *producer) report(err error) {
	p.mu.Lock()
	waiting := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, delivered := range waiting {
		delivered(stream.Report{}, err)
	}
}

func (p *producer) Close(ctx context.Context) error {
	if p.closed.Swap(true) {
		return errors.New("it is closed twice")
	}
	p.mu.Lock()
	left := len(p.waiting)
	p.mu.Unlock()
	if left > 0 {
		<-ctx.Done()
		p.report(stream.Errorf(stream.KafkaUnavailable, "it was given up").WithOutcome(stream.NotStored))
	}
	return nil
}

// world is a pool on that Kafka.
type world struct {
	*identity.Pool
	kafka   *kafka
	t       *testing.T
	metrics *prometheus.Registry
}

// within runs a test in a bubble of its own time.
func within(t *testing.T, producers int, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, metrics: prometheus.NewRegistry(), kafka: &kafka{passwords: map[string]string{}}}
		for _, user := range []string{"alice", "bob", "carol"} {
			w.kafka.passwords[user] = user + "-secret"
		}
		w.Pool = identity.New(identity.Options{
			Kafka: w.kafka, Producers: producers, Idle: time.Minute, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Registerer: w.metrics,
		})
		f(t, w)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Error(err)
		}
		if open := w.kafka.open(); len(open) > 0 {
			t.Errorf("left open: %v", open)
		}
	})
}

func login(user, password string) *stream.Login {
	return stream.Login{Mechanism: "PLAIN", User: user}.WithSecret(password)
}

func token(user, text string, life time.Duration) *stream.Login {
	return stream.Login{Mechanism: "OAUTHBEARER", User: user, Account: "account of " + user, Expires: time.Now().Add(life)}.WithSecret(text)
}

// in logs in, which has to succeed.
func (w *world) in(l *stream.Login) stream.Sender {
	w.t.Helper()
	s, err := w.LogIn(w.t.Context(), l)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// send sends a record, and gives what is told of it when it is reported.
func (w *world) send(s stream.Sender) (told chan error, err error) {
	told = make(chan error, 1)
	return told, s.Send(&stream.Message{Topic: "t"}, func(_ stream.Report, err error) { told <- err })
}

// stored sends a record and has it reported.
func (w *world) stored(s stream.Sender, user string) {
	w.t.Helper()
	told, err := w.send(s)
	if err != nil {
		w.t.Fatal(err)
	}
	w.producer(user).report(nil)
	if err := w.told(told); err != nil {
		w.t.Fatal(err)
	}
}

// told waits for what a record's publisher is told.
func (w *world) told(c <-chan error) error {
	w.t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(time.Hour):
		w.t.Fatal("no report")
		return nil
	}
}

// producer gives the user's open producer.
func (w *world) producer(user string) *producer {
	w.t.Helper()
	w.kafka.mu.Lock()
	defer w.kafka.mu.Unlock()
	for _, p := range w.kafka.producers {
		if p.user == user && !p.closed.Load() {
			return p
		}
	}
	w.t.Fatalf("%s has no producer", user)
	return nil
}

func (w *world) wantOpen(users ...string) {
	w.t.Helper()
	synctest.Wait()
	if d := cmp.Diff(users, w.kafka.open()); d != "" {
		w.t.Errorf("producers (-want +got):\n%s", d)
	}
}

func (w *world) wantAsked(want ...string) {
	w.t.Helper()
	if d := cmp.Diff(want, w.kafka.questions()); d != "" {
		w.t.Errorf("asked (-want +got):\n%s", d)
	}
}

func wantCode(t *testing.T, err error, want stream.Code) *stream.Error {
	t.Helper()
	if stream.CodeOf(err) != want {
		t.Fatalf("got %v, want %q", err, want)
	}
	e, _ := errors.AsType[*stream.Error](err)
	return e
}
