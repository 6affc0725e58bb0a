package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"sluice/internal/stream"
)

// How long readers are told to wait before they connect again: usually, when
// many may have been sent away at once, and when there was no room for them.
const (
	retryUsual    = 2 * time.Second
	retryEndMin   = 1 * time.Second
	retryEndMax   = 5 * time.Second
	retryBusyMin  = 5 * time.Second
	retryBusyMax  = 15 * time.Second
	lifetimeShare = 0.2 // of a stream's lifetime, more or less
	keepAliveSkew = 0.8 // of the time to the first keep-alive, less, so that streams that began together do not stay so
	wakeTogether  = 500 * time.Millisecond
)

// getEvents answers with Server-Sent Events.
func (a *api) getEvents(w http.ResponseWriter, r *http.Request) error {
	x := exchangeOf(w)
	if accept := r.Header.Values("Accept"); len(accept) > 0 && quality(accept, "text/event-stream") == 0 {
		return stream.Errorf(stream.InvalidRequest, "this path answers with text/event-stream, which the header Accept leaves out; for JSON or NDJSON ask for /streams/{pattern}/records")
	}
	kind, follow, err := a.askedEvents(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead && kind == kindGroup { // must not take part in the group
		beginEvents(x)
		return nil
	}
	leave, err := a.enter(x)
	if err != nil {
		return a.refuseReader(x, r, err)
	}
	f, err := follow(r.Context())
	if err != nil {
		leave()
		return a.refuseReader(x, r, err)
	}
	beginEvents(x)
	if r.Method == http.MethodHead {
		f.Close()
		leave()
		return nil
	}
	s := &eventStream{a: a, x: x, out: a.newOutflow(x), follower: f, kind: kind, pattern: pathParam(r, "pattern"), leave: leave}
	if kind == kindGroup {
		s.group = r.URL.Query().Get("group")
	}
	if x.caller != nil {
		s.expires = x.caller.Expires
	}
	ctx := r.Context()
	x.rest = func() { s.run(ctx) }
	return nil
}

// askedEvents understands the request: it gives what begins the reading.
func (a *api) askedEvents(r *http.Request) (kind string, follow func(context.Context) (Follower, error), err error) {
	known := []string{"group", "auto_commit", "auto_commit_interval"}
	if a.EventTokens != nil {
		known = append(known, eventTokenParam)
	}
	p, err := readParams(r, known...)
	if err != nil {
		return "", nil, err
	}
	view, err := p.view()
	if err != nil {
		return "", nil, err
	}
	frames := eventFrames{view}
	if _, member := p["group"]; member {
		m, err := a.membership(r, p)
		return kindGroup, func(ctx context.Context) (Follower, error) { return a.Groups.Join(ctx, m, frames) }, err
	}
	if name, given := p.has("auto_commit", "auto_commit_interval"); given {
		return "", nil, badParameter(name, "is for readers in a group; name one with group=, or leave it out")
	}
	reading, err := a.reading(r, p, stream.FromLatest, r.Header.Get("Last-Event-ID"))
	return kindPattern, func(ctx context.Context) (Follower, error) { return a.Feeds.Follow(ctx, reading, frames) }, err
}

// beginEvents begins the answer. X-Accel-Buffering is for nginx, which would
// hold events back.
func beginEvents(x *exchange) {
	h := x.Header()
	h["Content-Type"] = headerEvents
	h["Cache-Control"] = headerNoStore
	h.Set("X-Accel-Buffering", "no")
	x.WriteHeader(http.StatusOK)
}

// refuseReader answers a reader who cannot be served. EventSource gives up for
// ever after any other status than 200, so what will pass is told in the
// stream, with the time to come back: that there is no room, that a quota is
// used up, and, to those who ask for events by name as EventSource does, that
// Kafka is away.
func (a *api) refuseReader(x *exchange, r *http.Request, err error) error {
	switch code := stream.CodeOf(err); {
	case code == stream.Overloaded:
		a.turnAway(x, a.explain(x, r.Context(), err), endOverloaded, nil)
		return nil
	case code == stream.RateLimited, code == stream.KafkaUnavailable && strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		e := a.explain(x, r.Context(), err)
		a.turnAway(x, e, endProblem, appendControl(nil, eventProblem, mustJSON(newProblem(e, ""))))
		return nil
	}
	return err
}

// turnAway answers with a stream that ends at once, after what is to be told.
func (a *api) turnAway(x *exchange, e *stream.Error, reason endReason, told []byte) {
	x.code = e.Code
	a.metrics.failed(e.Code)
	a.events.ended.WithLabelValues(string(reason)).Inc()
	beginEvents(x)
	retry := max(e.RetryAfter, between(retryBusyMin, retryBusyMax))
	out := a.newOutflow(x)
	_ = out.send(appendEnd(told, reason, retry)) // who is gone misses nothing
}

// appendEnd appends the last event, and when to connect again.
func appendEnd(dst []byte, reason endReason, retry time.Duration) []byte {
	dst = appendRetry(dst, retry)
	return appendControl(dst, eventEnd, mustJSON(map[string]endReason{"reason": reason}))
}

// eventStream is one connection on which events are sent.
type eventStream struct {
	a        *api
	x        *exchange
	out      outflow
	follower Follower
	kind     string
	leave    func()    // says that it is not open any more
	pattern  string    // of the path
	group    string    // that it is a member of; "": none
	expires  time.Time // when the reader's credentials end; zero: never
	buf      []byte
}

// run sends events until something ends the stream. An error of writing cuts
// the connection: nothing more can be said on it.
func (s *eventStream) run(ctx context.Context) {
	defer s.leave()
	defer s.follower.Close()
	open := s.a.events.open.WithLabelValues(s.kind)
	open.Inc()
	defer open.Dec()
	ctx, forget := s.watched(ctx)
	defer forget()
	start := time.Now()
	reason, err := s.send(ctx)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		reason = endSlow
	}
	s.a.events.ended.WithLabelValues(string(reason)).Inc()
	s.a.events.bytes.Add(float64(s.x.written))
	s.a.Log.LogAttrs(ctx, slog.LevelInfo, "event stream ended", slog.String("reason", string(reason)),
		slog.Int64("bytes_out", s.x.written), slog.Float64("duration_s", time.Since(start).Round(time.Millisecond).Seconds()),
		slog.String("request_id", s.x.id))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// send gives why the stream ended. The error is one of writing.
func (s *eventStream) send(ctx context.Context) (endReason, error) {
	limits := s.a.Limits
	end, reason := time.Now().Add(jitter(limits.StreamLifetime, 1-lifetimeShare, 1+lifetimeShare)), endLifetime
	if !s.expires.IsZero() && s.expires.Before(end) {
		end, reason = s.expires, endExpired
	}
	keepAlive := jitter(limits.KeepAlive, 1-keepAliveSkew, 1)
	s.buf = appendRetry(s.buf[:0], retryUsual)
	if err := s.sendPosition(); err != nil {
		return endGone, err
	}
	for {
		left := time.Until(end)
		if left <= 0 {
			return s.end(reason)
		}
		frames, err := s.follower.Next(ctx, s.a.together(min(keepAlive, left)))
		switch {
		case errors.Is(context.Cause(ctx), errRevoked):
			return s.end(endExpired)
		case ctx.Err() != nil:
			return endGone, nil
		case errors.Is(err, io.EOF):
			return s.end(endShutdown)
		case err != nil:
			return s.fail(ctx, err)
		case len(frames) > 0:
			err = s.out.send(frames)
		case left > keepAlive:
			s.buf = append(s.buf[:0], ": keep-alive\n"...)
			err = s.sendPosition()
			keepAlive = limits.KeepAlive
		}
		if err != nil {
			return endGone, err
		}
	}
}

// together shortens a wait so that it ends when those of other streams do: an
// idle gateway sleeps in between, instead of waking up for each of thousands.
func (a *api) together(d time.Duration) time.Duration {
	if d < 4*wakeTogether {
		return d
	}
	now := time.Since(a.began)
	return (now + d).Truncate(wakeTogether) - now
}

// sendPosition sends what is in the buffer, and an id alone: a reader that saw
// no event yet, or none that passed the filter for long, resumes here.
func (s *eventStream) sendPosition() error {
	s.buf = append(appendID(s.buf, s.follower.Position()), '\n')
	return s.out.send(s.buf)
}

// end says that the stream ends here, and why. The reader comes back after a
// time of its own: streams that end together must not all return together.
func (s *eventStream) end(reason endReason) (endReason, error) {
	return reason, s.out.send(appendEnd(s.buf[:0], reason, between(retryEndMin, retryEndMax)))
}

// fail tells a problem, and ends.
func (s *eventStream) fail(ctx context.Context, err error) (endReason, error) {
	e := s.a.explain(s.x, ctx, err)
	s.x.code = e.Code
	s.a.metrics.failed(e.Code)
	s.buf = appendControl(s.buf[:0], eventProblem, mustJSON(newProblem(e, "")))
	s.buf = appendEnd(s.buf, endProblem, max(e.RetryAfter, between(retryEndMin, retryEndMax)))
	return endProblem, s.out.send(s.buf)
}

// outflow is an answer that is sent piece by piece.
type outflow struct {
	x       *exchange
	rc      *http.ResponseController
	timeout time.Duration
	until   time.Time // the deadline of writes
}

func (a *api) newOutflow(x *exchange) outflow {
	return outflow{x: x, rc: http.NewResponseController(x), timeout: a.Limits.WriteTimeout}
}

// send sends a piece at once. A client that takes nothing of it for the write
// timeout, and half of it more at most, is cut off: the deadline is not moved
// for each of many pieces. Writers without deadlines, as in tests, have none.
func (o *outflow) send(b []byte) error {
	if now := time.Now(); o.until.Sub(now) < o.timeout {
		o.until = now.Add(o.timeout + o.timeout/2)
		_ = o.rc.SetWriteDeadline(o.until)
	}
	if _, err := o.x.Write(b); err != nil {
		return err
	}
	return o.rc.Flush()
}

// jitter gives a time between two shares of d.
func jitter(d time.Duration, least, most float64) time.Duration {
	return between(time.Duration(float64(d)*least), time.Duration(float64(d)*most))
}

// between gives a time from least on, before most.
func between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + rand.N(most-least) //nolint:gosec // to spread load, not to hide anything
}
