package httpapi_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/internal/httpapi"
	"sluice/internal/kafkatest"
)

// TestConnectionsThatAreHeld: beyond the limit nobody is taken, which is
// logged, and whoever waits is taken when another one has gone.
func TestConnectionsThatAreHeld(t *testing.T) {
	var log kafkatest.Transcript
	inner, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := httpapi.HoldConnections(inner, 2, slog.New(slog.NewTextHandler(&log, nil)))
	taken, ended := make(chan net.Conn, 10), make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			taken <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	kafkatest.Eventually(t, time.Minute, func() error {
		if text := log.String(); !strings.Contains(text, "further clients wait") || !strings.Contains(text, "connections=2") {
			return fmt.Errorf("the log does not say that clients wait: %q", text)
		}
		return nil
	})
	first := <-taken
	if <-taken; len(taken) != 0 {
		t.Error("more connections were taken than may be open")
	}
	first.Close()
	first.Close() // counts once
	third := <-taken
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener ends with %v", err)
	}
	third.Close()
	if n := strings.Count(log.String(), "further clients wait"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
}
