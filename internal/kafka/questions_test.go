package kafka

import (
	"errors"
	"testing"
	"testing/synctest"
)

// A consumer that does not answer is not waited for, not freed under its
// question, and has no say any more.
func TestQuestionWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q questions
		never, closed := make(chan struct{}), make(chan struct{})
		answer := q.put(func() error { <-never; return nil })
		if err := q.leave(func() error { close(closed); return nil }); !errors.Is(err, errLeftBehind) {
			t.Errorf("got %v, want it left behind", err)
		}
		select {
		case <-closed:
			t.Error("closed under a question")
		case <-answer:
			t.Error("an answer from nowhere")
		default:
		}
		q.heed(func() { t.Error("who is left behind is heeded") })
		close(never)
		<-closed
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}

func TestQuestionAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q questions
		why := errors.New("refused")
		if err := <-q.put(func() error { return why }); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
		heeded := false
		err := q.leave(func() error { // librdkafka revokes from within
			q.heed(func() { heeded = true })
			return why
		})
		if !errors.Is(err, why) || !heeded {
			t.Errorf("got %v, heeded %v", err, heeded)
		}
	})
}
