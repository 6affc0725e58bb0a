package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
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

	due   bool // the deadline is to be set before the next read
	since int  // bytes since it was set
}

func (a *api) pacedBody(x *exchange, r *http.Request) *pacedBody {
	// Without a body net/http watches the connection already, and a deadline
	// would end that watch, and with it the request.
	return &pacedBody{x: x, body: r.Body, timeout: a.Limits.ReadTimeout, due: r.Body != http.NoBody}
}

// errStopped is what reads return after stop.
var errStopped = errors.New("reading was stopped")

// Read reads what has arrived.
func (p *pacedBody) Read(b []byte) (int, error) {
	if p.due {
		p.due, p.since = false, 0
		_ = http.NewResponseController(p.x).SetReadDeadline(time.Now().Add(p.timeout))
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
	p.stopped.Store(true)
	_ = http.NewResponseController(p.x).SetReadDeadline(time.Now())
}

// readBody appends the whole body to dst, at most limit bytes of it; what names
// the limit in the error. A body that is cut off is an error, never shorter.
func (a *api) readBody(x *exchange, r *http.Request, dst []byte, limit sizeLimit) ([]byte, error) {
	if r.ContentLength > int64(limit.bytes) {
		return dst, limit.exceeded()
	}
	// The announced length is only an announcement: nobody gets a large buffer
	// for it before the bytes come.
	dst = slices.Grow(dst, int(min(max(r.ContentLength, 511), progressBytes))+1)
	body := a.pacedBody(x, r)
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, len(dst))
		}
		n, err := body.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit.bytes:
			return dst, limit.exceeded()
		case err == io.EOF:
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

// bodyError is the client's view of a body that did not come to its end.
func bodyError(err error) *stream.Error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return stream.Errorf(stream.InvalidRequest, "the body came too slowly and was not read to its end").Because(err)
	}
	return stream.Errorf(stream.InvalidRequest, "the body was cut off before its end").Because(err)
}

// bodyFormat is what a body holds.
type bodyFormat int

const (
	formatJSON   bodyFormat = iota // one JSON text
	formatNDJSON                   // one on each line
)

// formatOf gives the format of the request's body, or why it cannot be read.
func formatOf(r *http.Request) (bodyFormat, error) {
	if err := checkCoding(r); err != nil {
		return 0, err
	}
	header := r.Header.Get("Content-Type")
	if header == "" || header == "application/json" { // by far the most frequent
		return formatJSON, nil
	}
	mediaType, params, err := mime.ParseMediaType(header)
	if err != nil {
		return 0, stream.Errorf(stream.UnsupportedType, "the Content-Type cannot be read; use application/json or application/x-ndjson")
	}
	if c := strings.ToLower(params["charset"]); c != "" && c != "utf-8" && c != "us-ascii" {
		return 0, stream.Errorf(stream.UnsupportedType, "the charset is not supported; send UTF-8")
	}
	switch {
	case strings.HasPrefix(mediaType, "application/cloudevents"):
		return 0, noCloudEvents()
	case mediaType == "application/x-ndjson":
		return formatNDJSON, nil
	case mediaType == "application/json", strings.HasSuffix(mediaType, "+json"),
		mediaType == "text/plain", mediaType == "application/x-www-form-urlencoded":
		return formatJSON, nil
	}
	return 0, stream.Errorf(stream.UnsupportedType, "this Content-Type is not supported; use application/json for one record, application/x-ndjson for many")
}

// checkCoding refuses what would be stored as something else than was meant:
// compressed bodies, and CloudEvents whose attributes are in headers.
func checkCoding(r *http.Request) error {
	for _, c := range r.Header["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(c), "identity") {
			return stream.Errorf(stream.UnsupportedType, "this Content-Encoding is not supported; send the body as it is (identity)")
		}
	}
	if r.Header["Ce-Specversion"] != nil {
		return noCloudEvents()
	}
	return nil
}

func noCloudEvents() error {
	return stream.Errorf(stream.UnsupportedType, "CloudEvents are not supported; send the event's data as application/json, and its attributes as Kafka-Header-<name> headers")
}
