package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"sluice/internal/stream"
)

// progressBytes is how much of a body must arrive before its read deadline
// moves on. A client that sends a byte now and then gets no further.
const progressBytes = 64 << 10

// pacedBody reads a request's body under a deadline that moves only with
// progress: 64 KiB, or whatever the reader reports with progress.
type pacedBody struct {
	x       *exchange
	body    io.Reader
	timeout time.Duration
	stopped atomic.Bool // set by stop, from another goroutine
	most    int64       // bytes that may come at most; 0: any number

	due    bool      // the deadline is to be set before the next read
	since  int       // bytes since it was set
	until  time.Time // the deadline
	total  int64     // bytes that have come
	failed error     // what the last read failed with, io.EOF apart

	allowance *allowance // nil: there are no quotas
	coded     bool       // what is read here is not what counts for them
}

func (a *api) pacedBody(x *exchange, r *http.Request) *pacedBody {
	// Without a body net/http watches the connection already, and a deadline
	// would end that watch, and with it the request.
	p := &pacedBody{x: x, body: r.Body, timeout: a.Limits.ReadTimeout, due: r.Body != http.NoBody}
	p.allow(a, r)
	return p
}

var (
	errStopped = errors.New("reading was stopped") // what reads return after stop
	errTooMuch = errors.New("more came than may")  // and after most bytes
)

// Read reads what has arrived.
func (p *pacedBody) Read(b []byte) (int, error) {
	if p.failed != nil { // again: decoders may miss an error that comes with bytes
		return 0, p.failed
	}
	p.wait()
	n, err := p.read(b)
	if !p.coded {
		p.spent(n)
	}
	if p.total += int64(n); err == nil && p.most > 0 && p.total > p.most {
		err = errTooMuch
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.failed = err
	}
	return n, err
}

func (p *pacedBody) read(b []byte) (int, error) {
	if p.due {
		p.due, p.since, p.until = false, 0, time.Now().Add(p.timeout)
		_ = http.NewResponseController(p.x).SetReadDeadline(p.until)
	}
	if p.stopped.Load() { // checked after setting the deadline, which stop moves back
		return 0, errStopped
	}
	n, err := p.body.Read(b)
	p.x.received += int64(n)
	if p.since += n; p.since >= progressBytes && err == nil {
		p.due = true
	}
	return n, err
}

// progress says that something complete has arrived.
func (p *pacedBody) progress() { p.due = p.since > 0 }

// stop ends a read that waits, and all later ones.
func (p *pacedBody) stop() {
	if !p.stopped.Swap(true) && p.allowance != nil && p.allowance.halt != nil {
		close(p.allowance.halt)
	}
	_ = http.NewResponseController(p.x).SetReadDeadline(time.Now())
}

// close is for what a coding needs; a body without one needs nothing.
func (p *pacedBody) close() {}

// codingRoom is what a coded body may be longer than what it stands for. A
// coder that cannot make its text shorter adds a few bytes to each block; only
// one that sends nothing, for ever, adds more.
const codingRoom = 64 << 10

// readBody appends the whole body to dst, without its coding and at most limit
// bytes of it. A body that is cut off is an error, never shorter.
func (a *api) readBody(x *exchange, r *http.Request, dst []byte, limit sizeLimit) ([]byte, error) {
	paced := a.pacedBody(x, r)
	paced.most = int64(limit.bytes) + codingRoom
	body, err := a.content(x, r, paced)
	if err != nil {
		return dst, err
	}
	defer body.close()
	if plain := body == content(paced); plain && r.ContentLength > int64(limit.bytes) || r.ContentLength > paced.most {
		return dst, limit.exceeded()
	}
	// The announced length is only an announcement: nobody gets a large buffer
	// for it before the bytes come.
	dst = slices.Grow(dst, int(min(max(r.ContentLength, 511), progressBytes))+1)
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, len(dst))
		}
		n, err := body.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit.bytes, errors.Is(err, errTooMuch):
			return dst, limit.exceeded()
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, bodyError(err)
		}
	}
}

// sizeLimit is a limit, and what it is called.
type sizeLimit struct {
	bytes int
	of    string // "one record", "a request"
}

func (l sizeLimit) exceeded() error {
	return stream.Errorf(stream.TooLarge, "the body is larger than %s, the limit of %s", sizeInWords(l.bytes), l.of)
}

// bodyError is the client's view of a body that did not come to its end. The
// error is a new one each time.
func bodyError(err error) *stream.Error {
	if told, ok := errors.AsType[*stream.Error](err); ok {
		again := *told
		return &again
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return stream.Errorf(stream.InvalidRequest, "the body came too slowly and was not read to its end").Because(err)
	}
	return stream.Errorf(stream.InvalidRequest, "the body was cut off before its end").Because(err)
}
