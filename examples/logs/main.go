// Logs has log/slog write to a stream, with the standard library alone: what
// slog's JSON handler writes is published, many records at a time, by one
// goroutine. It never holds up the program: what finds the queue full is dropped
// and counted.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// The queue and a batch, in records; and how long to wait before what the
// gateway cannot take now is sent again.
const (
	queued = 10_000
	batch  = 500
	pause  = time.Second
)

// stream is an io.Writer whose lines are published.
type stream struct {
	url     string
	lines   chan []byte
	done    chan struct{}
	dropped atomic.Int64
}

func open(url string) *stream {
	s := &stream{url: url, lines: make(chan []byte, queued), done: make(chan struct{})}
	go s.run()
	return s
}

// Write takes one record, as slog's handlers write them. It never waits.
func (s *stream) Write(line []byte) (int, error) {
	select {
	case s.lines <- fmt.Appendf(nil, `{"schema":"PydanticLogModel","data":%s}`+"\n", bytes.TrimSpace(line)):
	default:
		s.dropped.Add(1)
	}
	return len(line), nil
}

// run publishes until Close, and then what is left, once.
func (s *stream) run() {
	defer close(s.done)
	for line := range s.lines {
		body, n := line, 1
		for ; n < batch && len(s.lines) > 0; n++ {
			body = append(body, <-s.lines...)
		}
		for !s.publish(body, n) {
			time.Sleep(pause)
		}
	}
}

// publish says whether the records are settled: queued by the gateway, or refused.
func (s *stream) publish(body []byte, n int) bool {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return true
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Prefer", "respond-async")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	var told struct{ Failed int64 }
	switch err := json.NewDecoder(answer.Body).Decode(&told); {
	case answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable:
		return false
	case answer.StatusCode != http.StatusAccepted || err != nil:
		told.Failed = int64(n)
	}
	s.dropped.Add(told.Failed)
	return true
}

// close waits for what is queued, at most for a while. Nothing may be written
// any more.
func (s *stream) close(atMost time.Duration) {
	close(s.lines)
	select {
	case <-s.done:
	case <-time.After(atMost):
	}
}

// names gives slog's own members the names of the schema.
func names(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		a.Key = "timestamp"
	case slog.MessageKey:
		a.Key = "message"
	case slog.LevelKey:
		a.Key = "severity"
	}
	return a
}

func main() {
	url := os.Getenv("SLUICE_URL")
	if url == "" {
		url = "http://127.0.0.1:8080"
	}
	out := open(url + "/streams/app-logs")
	log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{ReplaceAttr: names}))
	log.Warn("it is cold", slog.Int("celsius", 4))
	out.close(3 * time.Second)
	if n := out.dropped.Load(); n > 0 {
		fmt.Fprintln(os.Stderr, "log records dropped:", n)
	}
}
