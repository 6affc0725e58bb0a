package httpapi

import (
	"crypto/rand"
	"net/http"
	"strings"

	"sluice/internal/stream"
)

// maxRequestID is the longest X-Request-Id that is taken over, in bytes.
const maxRequestID = 128

// exchange is one request and its answer: the ResponseWriter that all handlers
// get, with what the log, the metrics and the error writer want to know. It
// stands in for values in the request's context, which would cost a copy of
// the request each.
type exchange struct {
	http.ResponseWriter

	id       string           // X-Request-Id
	caller   *stream.Caller   // nil: nobody, or not known yet
	status   int              // 0 until the header is written
	written  int64            // bytes of the answer's body
	received int64            // bytes of the request's body
	tab      *stream.Tab      // of the quotas; nil: none are counted
	from     sender           // where it comes from, once somebody asked
	located  bool             // whether somebody did
	code     stream.Code      // of the problem answered, "" for none
	kind     stream.ErrorKind // of Kafka's, "" for none
	outcome  stream.Outcome   // of the record should this publish fail without saying; "" elsewhere

	audited  stream.AuditKind // what the route is, "" for none
	admitted bool             // the audit log keeps room for this
	named    string           // what the request is about, where the path does not say

	// rest is what is left of the answer when the handler has returned; nil:
	// nothing. It is for event streams, which are open for an hour: they need
	// none of the middleware around them, which would double their memory.
	rest func()
}

// exchangeOf gives the exchange behind the writer. Every handler runs within
// begin, which made it.
func exchangeOf(w http.ResponseWriter) *exchange { return w.(*exchange) }

// begin is the outermost middleware: it makes the exchange, and the request id
// where the client sent none that is fit for a log.
func begin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, id: r.Header.Get("X-Request-Id")}
		if !safeRequestID(x.id) {
			x.id = rand.Text()
		}
		w.Header()["X-Request-Id"] = []string{x.id}
		if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/streams/") {
			// A publish: until a record is handed on, any failure, also of the
			// middleware, means that nothing was stored.
			x.outcome = stream.NotStored
		}
		if next.ServeHTTP(x, r); x.rest != nil {
			x.rest()
		}
	})
}

// safeRequestID says whether id has 1 to 128 characters, all of them harmless
// in logs and headers.
func safeRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-', c == ':', c == '/', c == '+', c == '=', c == '~', c == '@':
		default:
			return false
		}
	}
	return true
}

// WriteHeader notes the status; an informational one is not the answer yet.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK {
		x.status = status
		setRateLimit(x.Header(), x.tab)
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write notes the bytes of the body.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
		setRateLimit(x.Header(), x.tab)
	}
	n, err := x.ResponseWriter.Write(b)
	x.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
