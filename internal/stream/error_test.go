package stream_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"sluice/internal/stream"
)

func TestError(t *testing.T) {
	e := stream.Errorf(stream.TooLarge, "at most %d", 7).Because(io.ErrUnexpectedEOF).WithOutcome(stream.NotStored)
	if got, want := e.Error(), "too-large: at most 7: unexpected EOF"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := stream.Errorf(stream.TooLarge, "at most").Error(), "too-large: at most"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if e.Message != "at most 7" || e.Outcome != stream.NotStored || !errors.Is(e, io.ErrUnexpectedEOF) {
		t.Errorf("got %+v", e)
	}
	for want, err := range map[stream.Code]error{
		"":              nil,
		stream.TooLarge: fmt.Errorf("publish: %w", e),
		stream.Internal: io.EOF,
	} {
		if got := stream.CodeOf(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}
