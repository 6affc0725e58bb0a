package kafkatest

import (
	"testing"
	"time"
)

// Eventually tries until check returns nil, and fails the test with the last
// error when timeout has passed. It is for conditions that nobody announces;
// whatever can be waited for on a channel should be.
func Eventually(t testing.TB, timeout time.Duration, check func() error) {
	t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %v", timeout, err)
		}
	}
}
