package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// fileMode lets nobody else read who did what.
const fileMode = 0o600

// reopenEvery is how often, at most, it is looked whether the file was renamed.
const reopenEvery = time.Second

// File writes lines to the end of a file. When the file is renamed or removed,
// as logrotate does, another one is made under the name: what was being written
// goes to the one before, nothing is lost in between.
type File struct {
	path   string
	f      *os.File
	looked time.Time
	torn   bool // the file ends within a line
}

// NewFile makes a sink of a file, and opens it: so that one that cannot be
// written is told when the gateway starts.
func NewFile(path string) (*File, error) {
	f := &File{path: path}
	return f, f.Open(context.Background())
}

// Open opens the file, unless the one that is open has the name.
func (f *File) Open(context.Context) error {
	f.looked = time.Now()
	named, err := os.Stat(f.path)
	if f.f != nil && err == nil {
		if is, err := f.f.Stat(); err == nil && os.SameFile(is, named) {
			return nil
		}
	}
	next, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	if f.f != nil {
		_ = f.f.Close() // everything was written to it
	}
	f.f = next
	f.torn = endsWithinLine(next)
	return nil
}

// endsWithinLine says whether the last line was not ended: the machine or the
// gateway ended while it was written, or the disk was full.
func endsWithinLine(f *os.File) bool {
	last := make([]byte, 1)
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// Write appends the lines. After an error the lines that are there as a whole
// are not written again, and one that is there in part is ended first.
func (f *File) Write(ctx context.Context, batch [][]byte) (left [][]byte, refused int, err error) {
	if f.f == nil || time.Since(f.looked) >= reopenEvery {
		if err := f.Open(ctx); err != nil {
			return batch, 0, err
		}
	}
	left, torn, err := writeLines(f.f, batch, f.torn)
	f.torn = torn
	return left, 0, err
}

// Close closes the file.
func (f *File) Close() error {
	if f.f == nil {
		return nil
	}
	return f.f.Close()
}

// Output writes lines to a writer that is not its own to close, such as the
// standard error output.
type Output struct {
	w    io.Writer
	torn bool // it ends within a line
}

// NewOutput makes a sink of a writer.
func NewOutput(w io.Writer) *Output { return &Output{w: w} }

// Open has nothing to do.
func (o *Output) Open(context.Context) error { return nil }

// Write writes the lines, in one call of the writer: other lines do not come in
// between.
func (o *Output) Write(_ context.Context, batch [][]byte) (left [][]byte, refused int, err error) {
	left, o.torn, err = writeLines(o.w, batch, o.torn)
	return left, 0, err
}

// Close has nothing to do.
func (o *Output) Close() error { return nil }

// writeLines writes lines in one call; torn says that the output ends within a
// line, before and after it. What is left was not written, or not as a whole.
func writeLines(w io.Writer, batch [][]byte, torn bool) (left [][]byte, tornAfter bool, err error) {
	var b bytes.Buffer
	if torn {
		b.WriteByte('\n')
	}
	ends := make([]int, len(batch))
	for i, line := range batch {
		b.Write(line)
		b.WriteByte('\n')
		ends[i] = b.Len()
	}
	n, err := w.Write(b.Bytes())
	if err == nil && n < b.Len() {
		err = io.ErrShortWrite
	}
	if err == nil {
		return nil, false, nil
	}
	whole := 0
	for whole < len(ends) && ends[whole]-1 <= n { // its end may come with the next
		whole++
	}
	boundary := n == 0 && !torn || n > 0 && b.Bytes()[n-1] == '\n'
	return batch[whole:], !boundary, errors.Join(errors.New("write the audit log"), err)
}
