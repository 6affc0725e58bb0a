package logstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/logstream"
	"sluice/internal/schemastore"
)

// ship gives what is shipped of what log logs, as it is stored.
func ship(t *testing.T, log func(*slog.Logger)) []string {
	t.Helper()
	var all []string
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *logstream.Options) { o.Level = slog.LevelDebug })
		w.start()
		log(w.log)
		w.Close(t.Context())
		for _, rec := range w.records {
			all = append(all, string(rec.Data))
		}
	})
	return all
}

func compiled(t *testing.T) *schemastore.Validator {
	t.Helper()
	v, err := schemastore.Compile(logstream.Schema().Schema)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("<redacted>") }

type broken struct{}

func (broken) MarshalJSON() ([]byte, error) { panic("broken") }

func TestRecord(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	tail := `"hostname":"host-1","service":"sluice","namespace":null,"cluster":null`
	for name, c := range map[string]struct {
		level slog.Level
		attrs []slog.Attr
		want  string
	}{
		"plain": {slog.LevelInfo, nil, `"logger":"sluice","severity":"INFO","level":20,"message":"<m> \u000a","exception":null,"trace":null,"stack":null,` + tail},
		"kinds": {slog.LevelWarn, []slog.Attr{
			slog.String("component", "kafka"), slog.Int("n", -1), slog.Duration("took", 1500*time.Millisecond), slog.Bool("b", true),
			slog.Float64("nan", math.NaN()), slog.Float64("f", 1.5), slog.Any("error", fmt.Errorf("x: %w", errors.New("y"))), slog.Time("t", at),
			slog.Any("list", []string{"a"}), slog.Any("nothing", nil), slog.Any("secret", secret("geheim")), slog.Any("bad", broken{}),
			slog.Any("chan", make(chan int)), slog.String("invalid", "a\xffb"),
		}, `"logger":"sluice.kafka","severity":"WARNING","level":30,"message":"<m> \u000a","exception":null,"trace":null,"stack":null,` + tail +
			`,"n":-1,"took":"1.5s","b":true,"nan":"NaN","f":1.5,"error":"x: y","t":"2026-01-31T12:00:00.123456789+01:00","list":["a"],"nothing":null,` +
			`"secret":"<redacted>","bad":"!PANIC: broken","chan":"!ERROR: json: unsupported type: chan int","invalid":"a` + "\uFFFD" + `b"`},
		"names that are taken": {slog.LevelError, []slog.Attr{
			slog.String("stack", "goroutine 1"), slog.Int("exception", 5), slog.String("message", "other"), slog.String("level", "x"), slog.String("level_", "y"),
			slog.Int("twice", 1), slog.Int("twice", 2),
		}, `"logger":"sluice","severity":"ERROR","level":40,"message":"<m> \u000a","exception":null,"trace":null,"stack":"goroutine 1",` + tail +
			`,"exception_":5,"message_":"other","level_":"x","level__":"y","twice":2`},
		"groups": {slog.LevelDebug, []slog.Attr{
			slog.Group("g", slog.Int("a", 1), slog.Group("h", slog.Int("a", 2))), slog.Group("g", slog.Int("b", 3)), slog.Group("", slog.Int("inline", 4)), slog.Group("empty"),
		}, `"logger":"sluice","severity":"DEBUG","level":10,"message":"<m> \u000a","exception":null,"trace":null,"stack":null,` + tail + `,"g":{"a":1,"h":{"a":2},"b":3},"inline":4`},
	} {
		t.Run(name, func(t *testing.T) {
			r := slog.NewRecord(at, c.level, "<m> \n", 0)
			r.AddAttrs(c.attrs...)
			got := ship(t, func(l *slog.Logger) { _ = l.Handler().Handle(t.Context(), r) })
			want := `{"timestamp":"2026-01-31T11:00:00.123456Z",` + strings.ReplaceAll(c.want, `\u000a`, `\n`) + "}"
			if diff := cmp.Diff([]string{want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := compiled(t).Validate([]byte(got[0])); err != nil {
				t.Errorf("the schema refuses it: %v", err)
			}
		})
	}
}

func TestLargeRecord(t *testing.T) {
	got := ship(t, func(l *slog.Logger) {
		l.Info(strings.Repeat("ä", 20_000), slog.String("s", strings.Repeat("x", 20_000)), slog.Any("a", make([]int, 20_000)))
		attrs := make([]slog.Attr, 100)
		for i := range attrs {
			attrs[i] = slog.String(fmt.Sprint("k", i), strings.Repeat("x", 1000))
		}
		l.LogAttrs(t.Context(), slog.LevelInfo, "many", attrs...)
	})
	for i, want := range []string{`"a":"(left out: `, `"left_out":"10`} {
		if len(got[i]) > 64<<10 || !strings.Contains(got[i], want) {
			t.Errorf("%d: %d bytes, %s", i, len(got[i]), got[i][:200])
		}
		if err := compiled(t).Validate([]byte(got[i])); err != nil {
			t.Errorf("the schema refuses it: %v", err)
		}
	}
}

// TestHandler: slog's own tests, on what is shipped, and on what goes on to the
// other handler.
func TestHandler(t *testing.T) {
	results := func(t *testing.T, data []byte) map[string]any {
		t.Helper()
		m := map[string]any{}
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	t.Run("shipped", func(t *testing.T) {
		var w *world
		slogtest.Run(t, func(t *testing.T) slog.Handler {
			w = newWorld(t, nil)
			return w.log.Handler()
		}, func(t *testing.T) map[string]any {
			w.start()
			w.Close(t.Context())
			m := results(t, w.records[0].Data)
			if strings.HasSuffix(t.Name(), "zero-time") { // a log record without a time would be refused
				delete(m, "timestamp")
			}
			for ours, slogs := range map[string]string{"timestamp": slog.TimeKey, "severity": slog.LevelKey, "message": slog.MessageKey} {
				if v, ok := m[ours]; ok {
					m[slogs] = v
				}
			}
			return m
		})
	})
	t.Run("handed on", func(t *testing.T) {
		var out bytes.Buffer
		slogtest.Run(t, func(t *testing.T) slog.Handler {
			out.Reset()
			return newWorld(t, func(o *logstream.Options) { o.Local = slog.NewJSONHandler(&out, nil) }).log.Handler()
		}, func(t *testing.T) map[string]any { return results(t, out.Bytes()) })
	})
}

// Each of the two has its own level.
func TestEnabled(t *testing.T) {
	for _, c := range []struct{ local, ours, asked slog.Level }{
		{slog.LevelError, slog.LevelInfo, slog.LevelInfo},
		{slog.LevelInfo, slog.LevelError, slog.LevelInfo},
		{slog.LevelError, slog.LevelError, slog.LevelWarn},
	} {
		w := newWorld(t, func(o *logstream.Options) {
			o.Level, o.Local = c.ours, slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: c.local})
		})
		if got := w.log.Enabled(context.Background(), c.asked); got != (c.asked >= min(c.local, c.ours)) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// The schema takes what kafkaesk publishes, whose times have no zone, and what a
// shipper of a few lines does; and not what is no log record.
func TestSchema(t *testing.T) {
	v := compiled(t)
	for text, ok := range map[string]bool{
		`{"timestamp":"2026-01-31T12:00:00.123456","logger":"x","severity":"INFO","level":20,"message":"m","exception":null,"trace":null,"stack":null,"hostname":"h","service":"unknown","namespace":null,"cluster":null,"order":{"id":1}}`: true,
		`{"timestamp":"2026-01-31T12:00:00","severity":"WARNING","message":"m"}`:              true,
		`{"timestamp":"2026-01-31T12:00:00.123456789+02:00","severity":"fatal","message":""}`: true,
		`{"timestamp":"2026-01-31T12:00:00.123Z","severity":"INFO","message":"m","level":30}`: true,
		`{"timestamp":"yesterday","severity":"INFO","message":"m"}`:                           false,
		`{"timestamp":"2026-01-31T12:00:00Z","severity":"INFO"}`:                              false,
		`{"timestamp":"2026-01-31T12:00:00Z","message":"m"}`:                                  false,
		`{"timestamp":"2026-01-31T12:00:00Z","severity":30,"message":"m"}`:                    false,
		`{"timestamp":"2026-01-31T12:00:00Z","severity":"x","message":"m","level":"INFO"}`:    false,
		`"m"`: false,
	} {
		if err := v.Validate([]byte(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
