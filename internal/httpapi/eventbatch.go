package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// publishEvents stores the events of a batch. The body is read and found to be
// a JSON array before the first one is stored.
func (a *api) publishEvents(x *exchange, r *http.Request, id string) error {
	src := &eventSource{}
	err := readQuery(r, func(_, value string) { src.schemaText = value }, "schema")
	if err != nil {
		return err
	}
	if src.schemaText != "" {
		if src.schema, err = stream.ParseSchemaRef(src.schemaText); err != nil {
			return err
		}
	}
	if err := noRecordHeaders(r.Header, "each event has its own attributes"); err != nil {
		return err
	}
	body, err := a.readBody(x, r, nil, sizeLimit{a.Limits.Body, "a batch of CloudEvents; send more as several batches, or as application/x-ndjson"})
	if err != nil {
		return err
	}
	if err := src.open(body); err != nil {
		return err
	}
	return a.publishMany(x, r, id, src)
}

// eventSource is the events of a batch; an event's line is its place in it.
type eventSource struct {
	schemaText string
	schema     stream.SchemaRef // for all events; zero: the stream's

	buf     bytes.Buffer
	array   jsontext.Decoder
	count   int // events given
	decoder eventDecoder
	stopped atomic.Bool
}

// open makes sure that body is one JSON array and nothing else, and begins with
// it.
func (s *eventSource) open(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return stream.Errorf(stream.MalformedJSON, "the body is empty; it is a JSON array of CloudEvents")
	}
	s.buf = *bytes.NewBuffer(body)
	s.array.Reset(&s.buf)
	v, err := s.array.ReadValue()
	if err != nil {
		return malformed(err)
	}
	if v.Kind() != '[' {
		return stream.Errorf(stream.InvalidRequest, "the body is a JSON array of CloudEvents; send a single one as %s", typeEvent)
	}
	if _, err := s.array.ReadToken(); !errors.Is(err, io.EOF) {
		return stream.Errorf(stream.MalformedJSON, "something follows the array")
	}
	s.buf = *bytes.NewBuffer(body)
	s.array.Reset(&s.buf)
	_, err = s.array.ReadToken()
	return err
}

func (s *eventSource) next(dst []byte) ([]byte, int, error) {
	if s.stopped.Load() {
		return dst, s.count, errStopped
	}
	if s.array.PeekKind() == ']' {
		return dst, s.count, io.EOF
	}
	s.count++
	v, err := s.array.ReadValue()
	return append(dst, v...), s.count, err
}

func (s *eventSource) decode(text []byte, rec *stream.Outgoing) error {
	rec.Partition, rec.Schema = stream.AnyPartition, s.schema
	e, err := s.decoder.decode(text)
	if err != nil {
		return err
	}
	return e.fill(rec)
}

func (s *eventSource) stop() { s.stopped.Store(true) }
