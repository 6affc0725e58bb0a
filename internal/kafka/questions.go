package kafka

import (
	"errors"
	"sync"
	"time"
)

// leaveTimeout bounds how long the end of a consumer in a group is waited for:
// longer than the session that a rebalance under way may wait for.
const leaveTimeout = 15 * time.Second

// errLeftBehind says that a consumer has not ended in time.
var errLeftBehind = errors.New("librdkafka does not answer; the consumer ends by itself when it does")

// questions are those to a consumer which librdkafka answers when it likes: it
// sets no time for a commit that was under way when the group's coordinator
// went away, and has been seen not to answer it until Kafka came back.
//
// Its handle must not be freed under a question. So a consumer with an open one
// is left behind: it ends when the answer comes, and nobody waits for that.
type questions struct {
	open sync.WaitGroup

	mu   sync.Mutex
	gone bool // left behind
}

// put asks a question; the answer comes, if it comes, in the channel.
func (q *questions) put(question func() error) <-chan error {
	answer := make(chan error, 1)
	q.open.Go(func() { answer <- question() })
	return answer
}

// leave has a consumer closed, which leaves its group, and waits for that a
// while. No question may be asked any more.
func (q *questions) leave(closeIt func() error) error {
	ended := make(chan error, 1)
	go func() {
		q.open.Wait()
		ended <- closeIt()
	}()
	late := time.NewTimer(leaveTimeout)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		q.mu.Lock()
		defer q.mu.Unlock()
		q.gone = true
		return errLeftBehind
	}
}

// heed carries out what librdkafka calls for, unless the consumer was left
// behind: whose it was is somewhere else by then.
func (q *questions) heed(call func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.gone {
		call()
	}
}
