package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"

	"sluice/internal/stream"
)

// lineSource is the record objects of an NDJSON body.
type lineSource struct {
	lines   lineReader
	decoder lineDecoder
	body    content
}

func (a *api) openLines(x *exchange, r *http.Request) (*lineSource, error) {
	paced := a.pacedBody(x, r)
	paced.slowDown(a.metrics)
	body, err := a.content(x, r, paced)
	if err != nil {
		return nil, err
	}
	buf := a.readers.Get().(*bufio.Reader)
	buf.Reset(body)
	return &lineSource{lines: lineReader{buf: buf, body: paced, limit: a.Limits.Record + lineRoom}, body: body}, nil
}

func (a *api) closeLines(s *lineSource) {
	s.lines.buf.Reset(nil)
	a.readers.Put(s.lines.buf)
	s.body.close()
}

func (s *lineSource) next(dst []byte) ([]byte, int, error) {
	line, err := s.lines.next(dst)
	return line, s.lines.number, err
}

func (s *lineSource) decode(line []byte, rec *stream.Outgoing) error {
	return s.decoder.decode(line, rec)
}

func (s *lineSource) stop() { s.lines.body.stop() }

// newLineBuffer makes a buffer for reading lines; lineReader resets it.
func newLineBuffer() *bufio.Reader { return bufio.NewReaderSize(nil, 64<<10) }

// lineReader reads a body line by line, in bounded memory.
type lineReader struct {
	buf    *bufio.Reader
	body   *pacedBody
	limit  int // the longest line, in bytes, its end included
	number int // of the line read last, from 1
}

// errLineTooLong says that a line was skipped because of its length.
var errLineTooLong = errors.New("line too long")

// next appends the next line that is not blank to dst, without its end. After
// io.EOF there are no more; after errLineTooLong the next line can be read;
// any other error is of the body, and the line it cut off is no line.
func (l *lineReader) next(dst []byte) ([]byte, error) {
	for {
		line, err := l.one(dst)
		if err != nil || len(bytes.TrimSpace(line)) > 0 {
			return line, err
		}
	}
}

// one reads one line, blank or not.
func (l *lineReader) one(dst []byte) ([]byte, error) {
	l.number++
	long := false
	for {
		part, err := l.buf.ReadSlice('\n')
		long = long || len(dst)+len(part) > l.limit
		if !long { // a line that is skipped takes no memory
			dst = append(dst, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(dst) == 0 && !long:
			return dst, io.EOF
		case err != nil && err != io.EOF:
			return dst, err
		}
		l.body.progress()
		if long {
			return dst, errLineTooLong
		}
		return bytes.TrimRight(dst, "\r\n"), nil
	}
}
