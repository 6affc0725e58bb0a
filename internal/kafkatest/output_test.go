package kafkatest_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"sluice/internal/kafkatest"
)

// ending is a test whose end this one decides.
type ending struct {
	testing.TB
	out bytes.Buffer
	end func()
}

func (e *ending) Output() io.Writer { return &e.out }
func (e *ending) Cleanup(f func())  { e.end = f }

func TestOutputEndsWithItsTest(t *testing.T) {
	test := &ending{TB: t}
	out := kafkatest.Output(test)
	fmt.Fprint(out, "in time")
	test.end()
	if n, err := fmt.Fprint(out, "too late"); n != len("too late") || err != nil {
		t.Errorf("got %d, %v, want it dropped in silence", n, err)
	}
	if got := test.out.String(); got != "in time" {
		t.Errorf("got %q, want what was written before the end", got)
	}
}
