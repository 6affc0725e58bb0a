package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/audit"
	"sluice/internal/stream"
)

// fakeSink keeps what is written, and fails as it is told.
type fakeSink struct {
	mu      sync.Mutex
	lines   []string
	fail    error
	refuse  string // what has this in it can never be written
	hold    chan struct{}
	writing chan struct{}
	closed  int
}

func (f *fakeSink) Open(context.Context) error { return f.failure() }

func (f *fakeSink) Write(ctx context.Context, batch [][]byte) (left [][]byte, refused int, err error) {
	if f.hold != nil {
		select {
		case f.writing <- struct{}{}:
		default:
		}
		select {
		case <-f.hold:
		case <-ctx.Done():
			return batch, 0, ctx.Err()
		}
	}
	if err := f.failure(); err != nil {
		return batch, 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range batch {
		if f.refuse != "" && strings.Contains(string(line), f.refuse) {
			refused++
			continue
		}
		f.lines = append(f.lines, string(line))
	}
	return nil, refused, nil
}

func (f *fakeSink) Close() error { f.closed++; return nil }

func (f *fakeSink) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail
}

func (f *fakeSink) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

func (f *fakeSink) written() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.lines...)
}

type world struct {
	*audit.Auditor
	sink     *fakeSink
	registry *prometheus.Registry
	log      *strings.Builder
}

func newWorld(sink *fakeSink, change func(*audit.Options)) world {
	w := world{sink: sink, registry: prometheus.NewRegistry(), log: &strings.Builder{}}
	o := audit.Options{
		Sink: sink, Kinds: []stream.AuditKind{stream.AuditChange, stream.AuditDenial}, Queue: 3,
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Registerer: w.registry,
	}
	if change != nil {
		change(&o)
	}
	w.Auditor = audit.New(o)
	return w
}

// metric fails unless the metric has the value; reason is its label, "" for none.
func (w world) metric(t *testing.T, name, reason string, want float64) {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() != name || reason != "" && m.GetLabel()[0].GetValue() != reason {
				continue
			}
			if got := m.GetCounter().GetValue() + m.GetGauge().GetValue(); got != want {
				t.Errorf("%s %s is %v, want %v", name, reason, got, want)
			}
			return
		}
	}
	t.Errorf("there is no %s", name)
}

func decision(name string) stream.Decision {
	return stream.Decision{
		At: time.Unix(1e9, 5000), Kind: stream.AuditChange, Outcome: stream.AuditAllowed, Principal: "token:ci", Address: "192.0.2.1",
		Action: "PUT /streams/{stream}", Resource: "stream", Name: name, RequestID: "r1", Status: 201,
	}
}

func TestDecisionsAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&fakeSink{}, nil)
		w.Record(decision("orders"), false)
		denied := stream.Decision{Kind: stream.AuditDenial, Outcome: stream.AuditDenied, Status: 401, Code: stream.Unauthenticated, Action: "GET /streams"}
		w.Record(denied, false)
		w.Record(stream.Decision{Kind: stream.AuditPublish, Status: 201}, false) // not wanted
		w.Record(stream.Decision{Kind: stream.AuditChange, Action: "reload"}, false)
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		lines := w.sink.written()
		if len(lines) != 3 {
			t.Fatalf("got %q", lines)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]any{
			"time": "2001-09-09T01:46:40.000005Z", "event": "change", "outcome": "allowed", "principal": "token:ci", "address": "192.0.2.1",
			"action": "PUT /streams/{stream}", "resource": "stream", "name": "orders", "request_id": "r1", "status": 201.0,
		} {
			if got[key] != want {
				t.Errorf("%s is %v, want %v", key, got[key], want)
			}
		}
		if got["id"] == "" || !strings.Contains(lines[1], `"principal":"anonymous"`) || !strings.Contains(lines[1], `"code":"unauthenticated"`) ||
			!strings.Contains(lines[2], `"principal":"gateway"`) {
			t.Errorf("got %q", lines)
		}
		w.metric(t, "sluice_audit_events_total", "", 3)
		if w.sink.closed != 1 {
			t.Error("the sink is not closed")
		}
		w.Record(decision("late"), false)
		w.metric(t, "sluice_audit_dropped_total", "stopped", 1)
	})
}

// While nothing can be written, decisions wait; those that find no room are
// counted and told once, and what waited is written when that is possible again.
func TestWhatFindsNoRoomIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&fakeSink{}, nil)
		synctest.Wait()
		w.sink.set(errors.New("the disk is full"))
		for i := range 10 {
			w.Record(decision(fmt.Sprint("s", i)), false)
			synctest.Wait()
		}
		w.metric(t, "sluice_audit_dropped_total", "queue_full", 7)
		w.metric(t, "sluice_audit_queue", "", 3)
		if n := strings.Count(w.log.String(), "audit events are being lost"); n != 1 || !strings.Contains(w.log.String(), "the disk is full") || !strings.Contains(w.Trouble(), "the disk is full") {
			t.Errorf("told %d times, %q: %s", n, w.Trouble(), w.log)
		}
		w.sink.set(nil)
		<-time.After(2 * time.Second)
		if lines := w.sink.written(); len(lines) != 3 || !strings.Contains(lines[2], `"s2"`) || w.Trouble() != "" {
			t.Errorf("%q, %s", lines, w.Trouble())
		}
		w.metric(t, "sluice_audit_queue", "", 0)
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What must be audited is not done while it cannot be: not while the sink
// fails, and not when the room is taken by what is under way.
func TestWhatMustBeAuditedIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&fakeSink{fail: errors.New("Kafka is away")}, func(o *audit.Options) { o.Required = true })
		synctest.Wait()
		refused := func() {
			t.Helper()
			if admitted, err := w.Admit(stream.AuditChange); admitted || stream.CodeOf(err) != stream.AuditUnavailable {
				t.Errorf("admitted %v, %v", admitted, err)
			}
		}
		refused()
		if admitted, err := w.Admit(stream.AuditRead); admitted || err != nil {
			t.Errorf("what is not audited: %v, %v", admitted, err)
		}
		w.sink.set(nil)
		<-time.After(2 * time.Second)
		for range 3 {
			if admitted, err := w.Admit(stream.AuditChange); !admitted || err != nil {
				t.Fatalf("admitted %v, %v", admitted, err)
			}
		}
		refused()
		w.Record(decision("a"), true)
		w.Record(stream.Decision{Kind: stream.AuditRead}, true) // became one of a kind that is not audited
		synctest.Wait()
		for range 2 {
			if admitted, err := w.Admit(stream.AuditChange); !admitted || err != nil {
				t.Errorf("the room is not given back: %v", err)
			}
			w.Record(decision("b"), true)
		}
		w.Record(decision("c"), true)
		if err := w.Close(t.Context()); err != nil || len(w.sink.written()) != 4 {
			t.Errorf("%v, %q", err, w.sink.written())
		}
		w.metric(t, "sluice_audit_refusals_total", "", 2)
	})
}

func TestWhatCanNeverBeWrittenHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&fakeSink{refuse: "bad"}, nil)
		for _, name := range []string{"a", "bad", "b"} {
			w.Record(decision(name), false)
		}
		if err := w.Close(t.Context()); err != nil || len(w.sink.written()) != 2 {
			t.Errorf("%v, %q", err, w.sink.written())
		}
		w.metric(t, "sluice_audit_dropped_total", "refused", 1)
	})
}

// A gateway that stops does not wait for what cannot be written, and says so.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&fakeSink{}, nil)
		synctest.Wait()
		w.sink.set(errors.New("away"))
		w.Record(decision("a"), false)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := w.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 audit events") || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		idle := newWorld(&fakeSink{fail: errors.New("away")}, nil)
		synctest.Wait()
		began = time.Now()
		if err := idle.Close(ctx); err != nil || time.Since(began) != 0 {
			t.Errorf("nothing waits: %v after %s", err, time.Since(began))
		}
	})
}

// Whatever clients choose, an event is one line of bounded length.
func TestHostileValuesForgeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&fakeSink{}, func(o *audit.Options) { o.Queue = 100 })
		hostile := []string{
			"a\n{\"event\":\"change\"}", "a\r\nb", "\x1b[2J", "\u009b31m", "a\u2028b\u2029c", "\u202egnp", "\x00\x7f", "\xff\xfe", strings.Repeat("x", 10_000),
			strings.Repeat("é", 10_000), `"},{"`,
		}
		for _, s := range hostile {
			d := decision(s)
			d.Principal, d.RequestID, d.Address, d.Detail, d.Action = s, s, s, s, s
			w.Record(d, false)
		}
		other := decision(strings.Repeat("x", 9_999) + "y")
		w.Record(other, false)
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for i, line := range w.sink.written() {
			var got map[string]any
			if err := json.Unmarshal([]byte(line), &got); err != nil || got["event"] != "change" || len(line) > 4000 {
				t.Errorf("%d bytes, %v: %s", len(line), err, line)
			}
			if strings.ContainsAny(line, "\n\r\x1b\x00\x7f\u009b\u2028\u2029\u202e") || strings.Contains(line, `\u001b`) || strings.Contains(line, `\n`) {
				t.Errorf("%d: %q", i, line)
			}
			names[fmt.Sprint(got["name"])] = true
		}
		if len(names) != len(hostile)+1 {
			t.Errorf("of %d names %d are left", len(hostile)+1, len(names))
		}
	})
}
