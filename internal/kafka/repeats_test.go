package kafka

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r repeats
		say := func(message string, want bool) {
			t.Helper()
			if got := r.again(message); got != want {
				t.Errorf("%q was said before: %v, want %v", message, got, want)
			}
		}
		say("a:1: refused (after 3ms in state CONNECT)", false)
		say("a:1: refused (after 7ms in state CONNECT, 3 identical error(s) suppressed)", true)
		say("a:2: refused (after 3ms in state CONNECT)", false)
		<-time.After(repeatInterval - time.Second) // in the bubble's time
		say("a:1: refused (after 3ms in state CONNECT)", true)
		<-time.After(time.Second)
		say("a:1: refused (after 3ms in state CONNECT)", false)
		for i := range 2 * repeatShapes {
			r.again(fmt.Sprint("other ", i))
		}
		if len(r.last) > repeatShapes {
			t.Errorf("%d messages are remembered", len(r.last))
		}
	})
}
