package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnswersAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[int64]
		var asked atomic.Int64
		ask := func(ctx context.Context) (int64, error) {
			n := asked.Add(1)
			pause(ctx, 100*time.Millisecond)
			return n, ctx.Err()
		}
		gone, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if n, err := s.ask(gone, "a", ask); n != 1 || err != nil {
					t.Errorf("got %d, %v", n, err)
				}
			})
		}
		synctest.Wait()
		cancel() // whoever shares the question may give up
		all.Wait()
		if n, _ := s.ask(t.Context(), "b", ask); n != 2 {
			t.Errorf("another question has the answer %d", n)
		}
		if n, _ := s.ask(t.Context(), "a", ask); n != 1 {
			t.Errorf("a moment later: %d", n)
		}
		pause(t.Context(), sharedFor)
		if n, _ := s.ask(t.Context(), "a", ask); n != 3 {
			t.Errorf("a second later: %d", n)
		}
		if len(s.kept) != 1 {
			t.Errorf("%d answers are kept", len(s.kept))
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	var s shared[int]
	wrong := errors.New("wrong")
	if _, err := s.ask(t.Context(), "", func(context.Context) (int, error) { return 0, wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	if n, err := s.ask(t.Context(), "", func(context.Context) (int, error) { return 5, nil }); n != 5 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}
