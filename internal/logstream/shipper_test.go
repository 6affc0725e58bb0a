package logstream_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/logstream"
	"sluice/internal/stream"
)

func refusal(code stream.Code) func(string) error {
	return func(string) error { return stream.Errorf(code, "no").WithOutcome(stream.NotStored) }
}

// What is logged before the start waits, and all goes out in order.
func TestShips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var want []string
		for i := range 700 { // more than a batch
			want = append(want, fmt.Sprint("record ", i))
			w.log.Info(want[i])
		}
		w.log.Debug("below the level")
		w.start()
		synctest.Wait()
		if diff := cmp.Diff(want, w.messages(t)); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
		rec := w.records[0]
		if rec.Stream != "logs" || string(rec.Key) != "host-1" || rec.Partition != stream.AnyPartition ||
			rec.Schema.String() != "PydanticLogModel:1" || !rec.Timestamp.Equal(time.Now()) {
			t.Errorf("got %+v", rec)
		}
		if stored, queued := w.count(t, "sluice_log_stored_total", ""), w.count(t, "sluice_log_queued", ""); stored != 700 || queued != 0 {
			t.Errorf("stored %v, queued %v", stored, queued)
		}
		w.Close(t.Context())
		w.Close(t.Context())
		if w.local.Len() > 0 {
			t.Errorf("logged %s", w.local.String())
		}
	})
}

// Whoever logs never waits: while nothing is acknowledged the queue fills up,
// what comes then is dropped, and once there is room a record says how much.
func TestDropsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *logstream.Options) { o.Queue = 10 })
		w.hold = make(chan struct{})
		w.start()
		w.log.Info("on its way")
		synctest.Wait()
		for i := range 25 {
			w.log.Info(fmt.Sprint("record ", i))
		}
		if dropped, queued := w.count(t, "sluice_log_dropped_total", "queue_full"), w.count(t, "sluice_log_queued", ""); dropped != 15 || queued != 10 {
			t.Errorf("dropped %v, queued %v", dropped, queued)
		}
		close(w.hold)
		synctest.Wait()
		all := w.stored(t)
		if len(all) != 12 || all[10]["message"] != "record 9" {
			t.Fatalf("stored %v", w.messages(t))
		}
		last := all[11]
		if last["records"] != 15.0 || last["severity"] != "WARNING" || last["logger"] != "sluice.logstream" || last["first"] == nil {
			t.Errorf("got %v", last)
		}
		if !strings.Contains(w.local.String(), "records=15") {
			t.Errorf("told elsewhere: %q", w.local.String())
		}
		w.Close(t.Context())
	})
}

// The queue is bounded in bytes, too.
func TestDropsLargeRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		x := strings.Repeat("x", 15<<10)
		for range 300 {
			w.log.Info("large", slog.String("a", x), slog.String("b", x), slog.String("c", x), slog.String("d", x))
		}
		if queued := w.count(t, "sluice_log_queued", ""); queued < 250 || queued > 275 {
			t.Errorf("%v records wait, of 60 KiB each", queued)
		}
		w.start()
		synctest.Wait()
		if last := w.records[len(w.records)-1]; !strings.Contains(string(last.Data), "log records were dropped") {
			t.Errorf("the last one is %.300s", last.Data)
		}
		w.Close(t.Context())
	})
}

// What fails for a while is tried again, at once refused or reported later, and
// what was stored is not sent twice.
func TestTriesAgain(t *testing.T) {
	for _, code := range []stream.Code{stream.KafkaUnavailable, stream.OutcomeUnknown, stream.UnboundStream, stream.UnknownStream, stream.Overloaded} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprint(code, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, nil)
					w.late = late
					w.answer = func(data string) error {
						if strings.Contains(data, `"record 0"`) {
							return nil
						}
						return refusal(code)(data)
					}
					w.start()
					for i := range 3 {
						w.log.Info(fmt.Sprint("record ", i))
					}
					<-time.After(time.Minute) // of the bubble
					w.set(func() { w.answer = nil })
					<-time.After(time.Minute) // of the bubble
					if diff := cmp.Diff([]string{"record 0", "record 1", "record 2"}, w.messages(t)); diff != "" {
						t.Errorf("stored (-want +got):\n%s", diff)
					}
					if told := strings.Contains(w.local.String(), "cannot be stored in their stream"); told != (code != stream.KafkaUnavailable) {
						t.Errorf("told %v: %q", told, w.local.String())
					}
					if again := w.prepared > 1; again != (code == stream.UnknownStream) {
						t.Errorf("prepared %d times", w.prepared)
					}
					if w.asked > 100 {
						t.Errorf("asked %d times in a minute", w.asked)
					}
					w.Close(t.Context())
				})
			})
		}
	}
}

// A record whose content is refused holds up nobody.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.answer = func(data string) error {
			if strings.Contains(data, "bad") {
				return refusal(stream.SchemaViolation)(data)
			}
			return nil
		}
		w.start()
		for _, m := range []string{"good 1", "bad 1", "bad 2", "good 2"} {
			w.log.Info(m)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"good 1", "good 2"}, w.messages(t)); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
		if n := w.count(t, "sluice_log_dropped_total", "refused"); n != 2 {
			t.Errorf("dropped %v", n)
		}
		w.Close(t.Context())
		if n := strings.Count(w.local.String(), "refused"); n != 1 {
			t.Errorf("logged %s", w.local.String())
		}
	})
}

// What publishing logs is not published, or the log would feed on itself.
func TestNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *logstream.Options) { o.Level = slog.LevelDebug })
		enqueue := publisherFunc(func(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
			w.log.DebugContext(ctx, "publishing", slog.String("stream", rec.Stream))
			w.log.With(slog.String("component", "kafka")).WarnContext(ctx, "sending")
			return w.Enqueue(ctx, rec, done)
		})
		w.Start(enqueue, func(ctx context.Context) (stream.SchemaRef, error) {
			w.log.InfoContext(ctx, "preparing")
			return stream.SchemaRef{Name: "PydanticLogModel", Version: 1}, nil
		})
		w.log.Info("the one")
		<-time.After(time.Hour) // of the bubble
		if diff := cmp.Diff([]string{"the one"}, w.messages(t)); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
		if !strings.Contains(w.local.String(), "sending") {
			t.Errorf("what is not shipped is not logged elsewhere either: %q", w.local.String())
		}
		w.Close(t.Context())
	})
}

type publisherFunc func(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error

func (f publisherFunc) Enqueue(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
	return f(ctx, rec, done)
}

func TestClose(t *testing.T) {
	const budget = 20 * time.Second
	for name, c := range map[string]struct {
		set    func(w *world)
		took   time.Duration
		stored int
		lost   float64
	}{
		"all is stored":              {func(*world) {}, 0, 600, 0},
		"Kafka is away":              {func(w *world) { w.answer = refusal(stream.KafkaUnavailable) }, 0, 0, 600},
		"Kafka acknowledges nothing": {func(w *world) { w.hold = make(chan struct{}) }, budget / 2, 500, 600},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				c.set(w)
				for i := range 600 {
					w.log.Info(fmt.Sprint("record ", i))
				}
				ctx, cancel := context.WithTimeout(t.Context(), budget)
				defer cancel()
				begin := time.Now()
				w.start()
				w.Close(ctx)
				if took := time.Since(begin); took != c.took {
					t.Errorf("took %v of the bubble's time", took)
				}
				w.log.Error("afterwards")
				if got := w.messages(t); len(got) != c.stored || slices.Contains(got, "afterwards") {
					t.Errorf("%d stored", len(got))
				}
				if n := w.count(t, "sluice_log_dropped_total", "stopped"); n != c.lost {
					t.Errorf("lost %v", n)
				}
				if told := strings.Contains(w.local.String(), "given up"); told != (c.lost > 0) {
					t.Errorf("told %v: %s", told, w.local.String())
				}
				if !strings.Contains(w.local.String(), "afterwards") {
					t.Errorf("got %s", w.local.String())
				}
				if w.hold != nil {
					close(w.hold)
				}
			})
		})
	}
}

// A gateway that could not be built is closed without having been started.
func TestCloseWithoutStart(t *testing.T) {
	w := newWorld(t, func(o *logstream.Options) { o.Level = slog.LevelError })
	w.log.Error("x")
	w.Close(t.Context())
}

var _ logstream.Publisher = (*world)(nil)
