package logstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/logstream"
	"sluice/internal/stream"
)

// world is a shipper with a publisher that the test plays. It lives in a bubble
// of synctest.
type world struct {
	*logstream.Shipper

	log      *slog.Logger
	local    bytes.Buffer // what goes where logs go otherwise
	registry *prometheus.Registry

	mu       sync.Mutex
	answer   func(data string) error // what becomes of a record; nil: stored
	late     bool                    // the answer is the report, not the refusal
	hold     chan struct{}           // not nil: reports wait until it is closed
	records  []stream.Outgoing       // stored
	asked    int                     // how often Enqueue was called
	prepared int
	prepare  func() error
}

func newWorld(t *testing.T, change func(*logstream.Options)) *world {
	t.Helper()
	w := &world{registry: prometheus.NewRegistry()}
	o := logstream.Options{
		Stream: "logs", Level: slog.LevelInfo, Queue: 1000,
		Source:     logstream.Source{Service: "sluice", Hostname: "host-1"},
		Local:      slog.NewTextHandler(&w.local, &slog.HandlerOptions{Level: slog.LevelWarn}),
		Registerer: w.registry,
	}
	if change != nil {
		change(&o)
	}
	w.Shipper = logstream.New(o)
	w.log = w.Logger()
	return w
}

func (w *world) start() {
	w.Start(w, func(context.Context) (stream.SchemaRef, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.prepared++
		if w.prepare != nil {
			if err := w.prepare(); err != nil {
				return stream.SchemaRef{}, err
			}
		}
		return stream.SchemaRef{Name: logstream.SchemaName, Version: 1}, nil
	})
}

// Enqueue is the publisher's.
func (w *world) Enqueue(_ context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	var err error
	if w.answer != nil {
		err = w.answer(string(rec.Data))
	}
	if err != nil && !w.late {
		return err
	}
	if err == nil {
		w.records = append(w.records, *rec)
	}
	hold := w.hold
	go func() {
		if hold != nil {
			<-hold
		}
		done(stream.Report{}, err)
	}()
	return nil
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// stored gives the data of what was stored, decoded.
func (w *world) stored(t *testing.T) []map[string]any {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]map[string]any, len(w.records))
	for i, rec := range w.records {
		if err := json.Unmarshal(rec.Data, &all[i]); err != nil {
			t.Fatalf("%v: %s", err, rec.Data)
		}
	}
	return all
}

// messages gives the messages of what was stored.
func (w *world) messages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, m := range w.stored(t) {
		all = append(all, m["message"].(string))
	}
	return all
}

func (w *world) count(t *testing.T, name, reason string) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (reason == "" || m.GetLabel()[0].GetValue() == reason) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("there is no metric %s %s", name, reason)
	return 0
}

func TestMetricsAreThereFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *logstream.Options) { o.Stream = "" })
		if n, err := testutil.GatherAndCount(w.registry); err != nil || n != 5 {
			t.Errorf("%d metrics, %v", n, err)
		}
		w.log.Info("not shipped")
		w.log.Warn("shown")
		w.start()
		w.Close(t.Context())
		if w.asked+w.prepared != 0 || !bytes.Contains(w.local.Bytes(), []byte("shown")) {
			t.Errorf("asked %d, prepared %d, shown %q", w.asked, w.prepared, w.local.String())
		}
	})
}
