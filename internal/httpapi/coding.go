package httpapi

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"sluice/internal/stream"
)

// content is a request's body without its coding.
type content interface {
	io.Reader
	// close gives back what the coding needed. The body stays open.
	close()
}

// What a coded body may stand for. A body that is read as a stream has no limit
// in total, so that its limit is in proportion: whoever sends a little cannot
// make the gateway work for days.
const (
	maxExpansion  = 100      // times the bytes that have come
	freeExpansion = 16 << 20 // bytes that are not held against it
)

// maxZstdWindow is the largest window of a zstd body (RFC 9659), and with it
// the memory that reading one takes.
const maxZstdWindow = 8 << 20

// acceptedCodings is what a refused client is told (RFC 7694).
const acceptedCodings = "gzip, zstd"

// content gives the body without its coding: paced itself, where it has none.
func (a *api) content(x *exchange, r *http.Request, paced *pacedBody) (content, error) {
	coding := codingOf(r.Header["Content-Encoding"])
	var pool *sync.Pool
	switch coding {
	case "":
		return paced, nil
	case "gzip", "x-gzip": // one and the same, by RFC 9110 §8.4.1.3
		pool = &a.gzips
	case "zstd":
		pool = &a.zstds
	default:
		x.Header().Set("Accept-Encoding", acceptedCodings)
		return nil, stream.Errorf(stream.UnsupportedType, "this Content-Encoding is not supported; it is one of gzip and zstd, or left out (identity)")
	}
	d := &decoding{paced: paced, coding: coding, pool: pool, expander: pool.Get().(expander)}
	paced.coded = true
	d.expander.reset(paced)
	return d, nil
}

// codingOf gives the one coding that the header names, in lower case; "" for
// none, and the list for several.
func codingOf(header []string) string {
	if len(header) == 0 {
		return ""
	}
	var names []string
	for name := range strings.SplitSeq(strings.Join(header, ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && name != "identity" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// expander undoes a coding. It is used again for other bodies.
type expander interface {
	io.Reader
	// reset makes it read from r; from nil, it lets go of the last one.
	reset(r io.Reader)
}

// decoding is a coded body, read without its coding.
type decoding struct {
	expander expander
	paced    *pacedBody
	coding   string
	pool     *sync.Pool // where expander comes from
	expanded int64      // bytes given
}

// Read gives io.EOF only after a whole body, to the last checksum. An error is
// the body's own or a stream.Error.
func (d *decoding) Read(b []byte) (int, error) {
	n, err := d.expander.Read(b)
	d.expanded += int64(n)
	d.paced.spent(n)
	switch {
	case d.paced.failed != nil: // decoders take some failures for the end
		return n, d.paced.failed
	case d.paced.most == 0 && d.expanded > freeExpansion && d.expanded/maxExpansion > d.paced.total:
		return 0, stream.Errorf(stream.TooLarge, "the body expands to more than %d times its size; send it without Content-Encoding, or in smaller requests", maxExpansion)
	case err == nil, errors.Is(err, io.EOF):
		return n, err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return n, stream.Errorf(stream.TooLarge, "the zstd body has a window larger than %s; compress it at a lower level", sizeInWords(maxZstdWindow)).Because(err)
	}
	return n, stream.Errorf(stream.InvalidRequest, "the body is not one whole %s text: it is damaged, cut off, or followed by something else", d.coding).Because(err)
}

func (d *decoding) close() {
	d.expander.reset(nil)
	d.pool.Put(d.expander)
	d.expander = nil
}
