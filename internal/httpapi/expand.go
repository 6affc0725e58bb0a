package httpapi

import (
	"bufio"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// gzipExpander reads gzip: one member or several, and nothing else. It goes
// from member to member itself, because gzip.Reader takes a header that breaks
// off for the end.
type gzipExpander struct {
	raw    *bufio.Reader
	member gzip.Reader
	within bool // a member has begun and not ended
}

func newGzipExpander() *gzipExpander { return &gzipExpander{raw: bufio.NewReader(nil)} }

func (g *gzipExpander) reset(r io.Reader) {
	g.raw.Reset(r)
	g.within = false
}

// Read gives io.EOF at the end of a member alone.
func (g *gzipExpander) Read(b []byte) (int, error) {
	for {
		if !g.within {
			if err := g.begin(); err != nil {
				return 0, err
			}
		}
		n, err := g.member.Read(b)
		if errors.Is(err, io.EOF) {
			g.within, err = false, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// begin reads the header of the next member; io.EOF where there is none.
func (g *gzipExpander) begin() error {
	if _, err := g.raw.Peek(1); err != nil {
		return err
	}
	err := g.member.Reset(g.raw)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	g.member.Multistream(false)
	g.within = true
	return err
}

// zstdExpander reads zstd frames, on the caller's goroutine and in bounded
// memory.
type zstdExpander struct{ *zstd.Decoder }

func newZstdExpander() zstdExpander {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1), // no goroutines: a decoder in the pool may be forgotten
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindow),
		zstd.WithDecoderMaxMemory(maxZstdWindow))
	if err != nil {
		panic(err) // the options are constants: a fault of the gateway
	}
	return zstdExpander{d}
}

func (z zstdExpander) reset(r io.Reader) {
	// It can fail for a closed decoder alone, and nobody closes these.
	_ = z.Reset(r)
}
