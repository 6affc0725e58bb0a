package httpapi

import (
	"net/http"
	"time"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// writeSize is how much of a streamed answer is gathered before it is written
// although more is ready.
const writeSize = 32 << 10

// lineStream answers a request of many records while it is still being read: a line for
// each result, in order.
type lineStream struct {
	x       *exchange
	rc      *http.ResponseController
	timeout time.Duration
	stop    func() // ends the reading of the request
	buf     []byte
	gone    bool // the client does not take the answer
}

// streamResults stores the records of the source and answers each as soon as
// its result is known, and those of the records before it.
func (a *api) streamResults(x *exchange, r *http.Request, id string, src source) error {
	s := &lineStream{x: x, rc: http.NewResponseController(x), timeout: a.Limits.WriteTimeout, stop: src.stop}
	// HTTP/1 servers otherwise read the whole body before they answer. Writers
	// that cannot do it, as in tests, have no such habit.
	_ = s.rc.EnableFullDuplex()
	b := a.newBatch(x, id, src, s)
	b.begin = s.begin
	if err := b.run(r.Context()); err != nil {
		return err
	}
	s.buf = append(s.buf, mustJSON(counts{b.tally.stored, b.tally.failed})...)
	s.idle()
	if s.gone {
		panic(http.ErrAbortHandler) // nothing more can be said on this connection
	}
	return nil
}

// begin sends the header: the client may wait for it before it sends more.
func (s *lineStream) begin() {
	h := s.x.Header()
	h["Content-Type"] = headerNDJSON
	h["Cache-Control"] = headerNoStore
	h.Set("X-Accel-Buffering", "no") // nginx would hold the results back
	s.deadline()
	s.x.WriteHeader(http.StatusOK)
	s.flush()
}

func (s *lineStream) stored(rec *stream.Record) {
	s.buf = append(recordjson.AppendWithoutData(s.buf, rec), '\n')
	s.writeFull()
}

func (s *lineStream) failed(p problem) {
	s.buf = append(s.buf, mustJSON(p)...)
	s.writeFull()
}

func (s *lineStream) writeFull() {
	if len(s.buf) >= writeSize {
		s.write()
	}
}

// idle sends what there is, as nothing follows for now.
func (s *lineStream) idle() {
	if len(s.buf) > 0 {
		s.write()
		s.flush()
	}
}

func (s *lineStream) write() {
	if !s.gone {
		s.deadline()
		if _, err := s.x.Write(s.buf); err != nil {
			s.giveUp()
		}
	}
	s.buf = s.buf[:0]
}

func (s *lineStream) flush() {
	if !s.gone && s.rc.Flush() != nil {
		s.giveUp()
	}
}

func (s *lineStream) deadline() { _ = s.rc.SetWriteDeadline(time.Now().Add(s.timeout)) }

// giveUp stops reading more: a client that does not take the results must not
// go on storing records it hears nothing of.
func (s *lineStream) giveUp() {
	s.gone = true
	s.stop()
}
