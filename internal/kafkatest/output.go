package kafkatest

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"testing"
)

// Log is a logger into the test's output, for as long as the test lasts.
//
// Threads of the client library and of the embedded broker may have a last
// word after they were closed. The testing package ends the whole process when
// something is written after the test; here that word is dropped.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(Output(t), nil))
}

// Output is the test's output, until the test has ended.
func Output(t testing.TB) io.Writer {
	o := &output{to: t.Output()}
	t.Cleanup(o.end)
	return o
}

// output is closed under the lock under which it writes: a write under way
// ends first.
type output struct {
	mu sync.Mutex
	to io.Writer // nil at the end
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.to == nil {
		return len(p), nil
	}
	return o.to.Write(p)
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to = nil
}

// Transcript keeps what is written to it, such as a log, and can be read
// meanwhile. The zero value is empty.
type Transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to it.
func (t *Transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

// String gives all that was written until now.
func (t *Transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
