package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// largeAnswer is the size from which an answer may not fit into the socket's
// buffers, so that a client that does not read would hold the handler for
// ever: writing it gets a deadline.
const largeAnswer = 32 << 10

// sendJSON answers with v as JSON.
func (a *api) sendJSON(x *exchange, status int, v any) error {
	x.Header()["Content-Type"] = headerJSON
	a.send(x, status, mustJSON(v))
	return nil
}

// send writes the whole answer at once. A failure to write is not reported:
// the client has gone, and the connection is closed by the server.
func (a *api) send(x *exchange, status int, body []byte) {
	if len(body) >= largeAnswer {
		_ = http.NewResponseController(x).SetWriteDeadline(time.Now().Add(a.Limits.WriteTimeout))
	}
	x.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.WriteHeader(status)
	_, _ = x.Write(body)
}

// mustJSON writes v, which is always a value of this package that JSON can
// express; schemas in it keep their strings and numbers as they were.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v, jsontext.PreserveRawStrings(true), jsontext.AllowInvalidUTF8(true),
		jsontext.AllowDuplicateNames(true), json.Deterministic(true))
	if err != nil {
		panic(err) // a fault of the gateway, answered and logged as one
	}
	return append(b, '\n')
}
