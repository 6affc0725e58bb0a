package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// token is the key of a value in a context.
type token struct{}

// This one is from the inside: no resource of a real gateway fails on demand.
func TestCleanups(t *testing.T) {
	var logged bytes.Buffer
	c := cleanups{log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	var done []string
	first, third := errors.New("first failed"), errors.New("third failed")
	c.push("first", func(context.Context) error { done = append(done, "first"); return first })
	c.push("second", func(ctx context.Context) error {
		done = append(done, "second")
		if ctx.Value(token{}) != "theirs" {
			t.Error("the context is another one")
		}
		return nil
	})
	c.push("third", func(context.Context) error { done = append(done, "third"); return third })
	err := c.run(context.WithValue(t.Context(), token{}, "theirs"))
	if !slices.Equal(done, []string{"third", "second", "first"}) {
		t.Errorf("got %v", done)
	}
	if !errors.Is(err, first) || !errors.Is(err, third) || !strings.Contains(err.Error(), "stop the third: third failed") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(logged.String(), "step=second") {
		t.Errorf("got log %s", &logged)
	}
	if err := c.run(t.Context()); err != nil || len(done) != 3 {
		t.Errorf("a second time: %v, %v", err, done)
	}
}
