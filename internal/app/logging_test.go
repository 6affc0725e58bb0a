package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/app"
	"sluice/internal/config"
	"sluice/internal/kafkatest"
)

// logging is a gateway whose log goes to the stream gateway-log, all of it.
type logging struct {
	*app.App

	t     *testing.T
	local *lines // what it logs elsewhere
	stop  func() error
}

func newLogging(t *testing.T, change func(*config.Config)) *logging {
	t.Helper()
	l := &logging{t: t, local: &lines{}}
	o := options(t, func(c *config.Config) {
		c.Embedded = true
		c.Log = config.Log{Stream: "gateway-log", StreamLevel: "debug", StreamAccess: true, Queue: 10_000}
		change(c)
	})
	o.Log = slog.New(slog.NewJSONHandler(l.local, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if l.App, err = app.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", l.local.String())
		}
	})
	l.stop = run(t, l.App)
	return l
}

// lines collects what is logged.
type lines struct{ kafkatest.Transcript }

// all gives what one of the members has in each line.
func (l *lines) all(t *testing.T, name string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, fmt.Sprint(m[name]))
	}
	return all
}

// ask gives the status and the body of an answer.
func (l *logging) ask(method, path, body string) (int, string) {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), method, l.URL()+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/x-ndjson, application/json;q=0.5")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

func (l *logging) must(status int, method, path, body string) string {
	l.t.Helper()
	got, answer := l.ask(method, path, body)
	if got != status {
		l.t.Fatalf("%s %s: %d %s", method, path, got, answer)
	}
	return answer
}

// logged is a record of the log's stream.
type logged struct {
	Schema string
	Key    string
	Data   map[string]any
}

// read gives what is in the log's stream, to its end.
func (l *logging) read() []logged {
	l.t.Helper()
	status, body := l.ask("GET", "/streams/gateway-log/records", "")
	if status != http.StatusOK {
		return nil // not yet there
	}
	var all []logged
	for line := range strings.Lines(body) {
		var r logged
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			l.t.Fatal(err)
		}
		if r.Schema != "" { // the last line has the position
			all = append(all, r)
		}
	}
	return all
}

// await waits until the log's stream has a record of which has says so, and
// gives all there are.
func (l *logging) await(what string, has func(logged) bool) []logged {
	l.t.Helper()
	var all []logged
	kafkatest.Eventually(l.t, patience, func() error {
		all = l.read()
		if slices.ContainsFunc(all, has) {
			return nil
		}
		return fmt.Errorf("none of these records is %s: %v", what, all)
	})
	return all
}

func says(message string) func(logged) bool {
	return func(r logged) bool { return r.Data["message"] == message }
}

// requests counts the lines about requests for a route.
func requests(all []logged, route string) (n int) {
	for _, r := range all {
		if r.Data["message"] == "request" && r.Data["route"] == route {
			n++
		}
	}
	return n
}

// The log of a gateway at its most talkative is in its stream, from its first
// words to its last, and does not grow by itself.
func TestLogStream(t *testing.T) {
	dir := t.TempDir()
	l := newLogging(t, func(c *config.Config) { c.DataDir = dir })
	all := l.await("of the start", says("listening"))
	for _, r := range all {
		if r.Schema != "PydanticLogModel:1" || r.Key == "" || r.Data["service"] != "sluice" {
			t.Fatalf("got %+v", r)
		}
	}
	const asked = 30
	for range asked {
		l.must(200, "GET", "/health/live", "")
	}
	before := len(all)
	kafkatest.Eventually(t, patience, func() error {
		all = l.read()
		if n := requests(all, "/health/live"); n != asked {
			return fmt.Errorf("%d lines of %d requests", n, asked)
		}
		return nil
	})
	if n := requests(all, "/streams/{pattern}/records"); n != 0 {
		t.Errorf("who reads the log finds %d lines of its own", n)
	}
	if grown := len(all) - before; grown > asked+20 {
		t.Errorf("%d requests made the log grow by %d records", asked, grown)
	}
	if !strings.Contains(strings.Join(l.local.all(t, "component"), " "), "kafka") {
		t.Error("what publishing logs is not logged elsewhere")
	}
	for _, r := range all {
		switch logger := r.Data["logger"]; logger {
		case "sluice.kafka", "sluice.embedded", "sluice.publish", "sluice.catalog", "sluice.schemastore":
			t.Errorf("%s is in the stream: %v", logger, r.Data)
		}
	}
	l.await("of the fleet", says("partitions assigned"))
	if err := l.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	again := newLogging(t, func(c *config.Config) { c.DataDir, c.Log.Stream = dir, "" })
	again.await("of the end", says("partitions revoked")) // after the last request
	if lost := l.local.all(t, "msg"); strings.Contains(strings.Join(lost, " "), "given up") {
		t.Errorf("logged %v", lost)
	}
}

// Requests are served and logged while Kafka is away, and what did not fit into
// the queue is told.
func TestLogStreamWithoutKafka(t *testing.T) {
	b := kafkatest.Embedded(t)
	b.Stop(t)
	l := newLogging(t, func(c *config.Config) { c.Embedded, c.BootstrapServers, c.Log.Queue = false, []string{b.Addr}, 10 })
	kafkatest.Eventually(t, patience, func() error {
		if !slices.Contains(l.local.all(t, "msg"), "listening") {
			return errors.New("it does not listen yet")
		}
		return nil
	})
	for range 50 {
		l.must(200, "GET", "/health/live", "")
	}
	if metrics := l.must(200, "GET", "/metrics", ""); strings.Contains(metrics, `sluice_log_dropped_total{reason="queue_full"} 0`) ||
		!strings.Contains(metrics, "sluice_log_queued 10") {
		t.Error("nothing was dropped")
	}
	b.Start(t)
	all := l.await("about those that are missing", func(r logged) bool { return r.Data["logger"] == "sluice.logstream" })
	if !slices.ContainsFunc(all, says("listening")) {
		t.Errorf("the beginning is not what was kept: %v", all)
	}
	for _, r := range all {
		if n, ok := r.Data["records"].(float64); ok && n < 1 {
			t.Errorf("got %v", r.Data)
		}
	}
	b.Stop(t)
	l.must(200, "GET", "/health/live", "")
	if err := l.stop(); err != nil {
		t.Errorf("stop without Kafka: %v", err)
	}
}

// A delivery of the log is not logged into it: each would make another one.
func TestLogStreamDelivered(t *testing.T) {
	got := make(chan string, 10_000)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var record struct{ Stream string }
		_ = json.NewDecoder(r.Body).Decode(&record)
		got <- record.Stream
	}))
	defer hook.Close()
	l := newLogging(t, func(c *config.Config) { c.Webhooks.AllowNetworks = []string{"127.0.0.0/8"} })
	l.await("of the start", says("listening"))
	l.must(201, "POST", "/schemas/Any/versions", `{"schema":true,"streams":["other"]}`)
	l.must(201, "POST", "/subscriptions", fmt.Sprintf(`{"id":"all","streams":"*","from":"earliest","endpoint":{"url":%q}}`, hook.URL))
	for stream := range got {
		if stream == "gateway-log" {
			break
		}
	}
	l.must(201, "POST", "/streams/other", "1")
	var delivered int
	for _, r := range l.await("of the delivery", says("delivery attempted")) {
		if r.Data["message"] == "delivery attempted" {
			delivered++
		}
	}
	if delivered != 1 {
		t.Errorf("%d deliveries are in the log, and one was not of the log itself", delivered)
	}
}

// The schema of log records is there when somebody asks for it by its name, and
// a schema of the user's own under that name stays.
func TestLogSchema(t *testing.T) {
	const record = `{"timestamp":"2026-01-31T12:00:00","severity":"INFO","message":"m"}`
	t.Run("built in", func(t *testing.T) {
		l := newLogging(t, func(c *config.Config) { c.Log.Stream = "" })
		kafkatest.Eventually(t, patience, func() error {
			if s := state(l.App); strings.Contains(s, "false") {
				return errors.New(s)
			}
			return nil
		})
		l.must(404, "GET", "/schemas/PydanticLogModel", "")
		l.must(404, "POST", "/streams/a?schema=PydanticLogModel:2", record)
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				if status, body := l.ask("POST", fmt.Sprintf("/streams/a%d?schema=PydanticLogModel", i), record); status != 201 {
					t.Errorf("%d %s", status, body)
				}
			})
		}
		wait.Wait()
		l.must(201, "PUT", "/streams/b", `{"schema":"PydanticLogModel:1"}`)
		l.must(422, "POST", "/streams/b", `{"message":"m"}`)
		if versions := l.must(200, "GET", "/schemas/PydanticLogModel", ""); strings.Count(versions, `"version"`) != 1 {
			t.Errorf("got %s", versions)
		}
	})
	t.Run("the user's own", func(t *testing.T) {
		dir := t.TempDir()
		l := newLogging(t, func(c *config.Config) { c.DataDir, c.Log.Stream = dir, "" })
		kafkatest.Eventually(t, patience, func() error {
			if status, body := l.ask("POST", "/schemas/PydanticLogModel/versions", `{"schema":{"title":"PydanticLogModel","type":"object"},"version":3}`); status != 201 {
				return errors.New(body)
			}
			return nil
		})
		l.must(404, "POST", "/streams/a?schema=PydanticLogModel:1", record)
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		l = newLogging(t, func(c *config.Config) { c.DataDir = dir })
		if r := l.await("of the start", says("listening"))[0]; r.Schema != "PydanticLogModel:3" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestLogOnTerminal(t *testing.T) {
	write := func(format string, colours bool) string {
		var out bytes.Buffer
		log := app.LogOnTerminal(config.Log{Level: "info", Format: format}, &out, colours)
		log = log.With(slog.String("component", "kafka"))
		log.Debug("not shown")
		log.Warn("kafka cannot be reached", slog.Any("error", errors.New("\x1b[2Jgone")), slog.String("line", "a\nb"), slog.String("id", "\x1b[1m"), slog.String("key", "\u009b\a\xff"))
		return out.String()
	}
	plain := write("auto", false)
	if diff := cmp.Diff(` WRN kafka cannot be reached component=kafka error=\x1b[2Jgone line="a\nb" id=\x1b[1m key="\u009b\a?"`+"\n", plain[12:]); diff != "" {
		t.Errorf("without colours (-want +got):\n%s", diff)
	}
	if plain[2] != ':' || plain[8] != '.' {
		t.Errorf("the time is %q", plain[:12])
	}
	if got := write("text", true); !strings.Contains(got, "\x1b[93mWRN\x1b[0m") || strings.Contains(got, "\x1b[2J") || strings.Contains(got, "\x1b[1m") {
		t.Errorf("with colours: %q", got)
	}
	if got := write("json", true); !strings.HasPrefix(got, "{") {
		t.Errorf("json: %s", got)
	}
}
