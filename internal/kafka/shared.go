package kafka

import (
	"context"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// sharedFor is how old an answer may be that is given again: who polls gets
// nothing newer by asking more often.
const sharedFor = time.Second

// shared gives one answer to all who ask the same at the same time, and to those
// who come within a second after. Errors are shared alone by those who wait.
type shared[T any] struct {
	flights singleflight.Group

	mu   sync.Mutex
	kept map[string]keptAnswer[T]
}

type keptAnswer[T any] struct {
	value T
	at    time.Time
}

// ask asks, or gives what was answered. The question has callTimeout, whoever of
// those who share it gives up.
func (s *shared[T]) ask(ctx context.Context, key string, question func(context.Context) (T, error)) (T, error) {
	if v, ok := s.recent(key); ok {
		return v, nil
	}
	answer, err, _ := s.flights.Do(key, func() (any, error) {
		if v, ok := s.recent(key); ok { // of the question that has just ended
			return v, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		v, err := question(ctx)
		if err == nil {
			s.keep(key, v)
		}
		return v, err
	})
	return answer.(T), err
}

func (s *shared[T]) recent(key string) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.kept[key]
	return k.value, ok && time.Since(k.at) < sharedFor
}

func (s *shared[T]) keep(key string, v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string]keptAnswer[T]{}
	}
	now := time.Now()
	maps.DeleteFunc(s.kept, func(_ string, k keptAnswer[T]) bool { return now.Sub(k.at) >= sharedFor })
	s.kept[key] = keptAnswer[T]{v, now}
}
