package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/stream"
)

// problem is the body of every answer that reports a failure (RFC 9457).
type problem struct {
	Type    string             `json:"type"`
	Title   string             `json:"title"`
	Status  int                `json:"status"`
	Detail  string             `json:"detail"`
	Errors  []stream.Violation `json:"errors,omitempty"`
	Outcome stream.Outcome     `json:"outcome,omitempty"`

	// Retriable says of Kafka's errors whether the same request can succeed
	// later; nil: it is none of Kafka's.
	Retriable *bool `json:"retriable,omitempty"`
	// Violated has the names of the quotas that refused the request, by the
	// draft of the RateLimit fields.
	Violated []string `json:"violated-policies,omitempty"`
	Line     int      `json:"line,omitzero"` // of an NDJSON request, from 1
}

func newProblem(e *stream.Error, outcome stream.Outcome) problem {
	k := kindOf(e.Code)
	return problem{
		Type:    "/problems/" + string(e.Code),
		Title:   k.title,
		Status:  k.status,
		Detail:  clip(e.Message),
		Errors:  clipAll(e.Violations),
		Outcome: outcome,

		Retriable: retriable(e),
	}
}

// retriable says whether the same request can succeed later, where the error is
// Kafka's: of some kind, or one of the codes that are about nothing else.
func retriable(e *stream.Error) *bool {
	passes := e.Kind.Passes()
	switch {
	case e.Kind != "":
	case e.Code == stream.KafkaUnavailable, e.Code == stream.NotEnoughReplicas, e.Code == stream.OutcomeUnknown:
		passes = true
	default:
		return nil
	}
	return &passes
}

// maxDetail bounds a sentence of a problem, in bytes: names in it may be the
// client's own, and of any length.
const maxDetail = 480

func clip(s string) string {
	if len(s) <= maxDetail {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetail], "") + "…"
}

// maxErrors is how many violations a problem lists, and then how many more there
// are: an answer must not be many times as large as what was sent.
const maxErrors = 101

// clipAll bounds the violations, their sentences and places. A place that is too
// long to tell is not cut, which would make it another, but is the whole.
func clipAll(violations []stream.Violation) []stream.Violation {
	if left := len(violations) - maxErrors; left > 0 {
		more := stream.Violation{Pointer: "#", Detail: fmt.Sprintf("%d more are not listed", left)}
		violations = append(violations[:maxErrors:maxErrors], more)
	}
	long := func(v stream.Violation) bool { return len(v.Detail) > maxDetail || len(v.Pointer) > maxPointer }
	if !slices.ContainsFunc(violations, long) {
		return violations
	}
	short := slices.Clone(violations) // others may hold the error, too
	for i, v := range short {
		if len(v.Pointer) > maxPointer {
			short[i].Pointer, v.Detail = "#", "at a place too long to tell: "+v.Detail
		}
		short[i].Detail = clip(v.Detail)
	}
	return short
}

// fail answers a request with the problem that err is. What is not a
// stream.Error is a fault of the gateway: it is logged, and the client sees
// nothing of it.
func (a *api) fail(x *exchange, r *http.Request, err error) {
	e := a.explain(x, r.Context(), err)
	if x.status != 0 {
		// The answer has begun and cannot be taken back. Cutting the connection
		// is the only way to say that what came is not all.
		panic(http.ErrAbortHandler)
	}
	a.answer(x, r, e)
}

// explain gives the error to show for err, and logs faults of the gateway.
func (a *api) explain(x *exchange, ctx context.Context, err error) *stream.Error {
	var e *stream.Error
	if !errors.As(err, &e) {
		e = &stream.Error{Code: stream.Internal, Err: err}
	}
	if _, listed := kinds[e.Code]; listed && e.Code != stream.Internal {
		return e
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		// The client has gone, and nobody reads this; or the gateway stops.
		return &stream.Error{
			Code: stream.Overloaded, Message: "the request was given up before it was done",
			Outcome: cmp.Or(e.Outcome, x.outcome),
		}
	}
	a.Log.LogAttrs(ctx, slog.LevelError, "request failed",
		slog.Any("error", err), slog.String("request_id", x.id))
	return internalError(x).WithOutcome(e.Outcome)
}

// answer writes the error as a problem, unless an answer has begun.
func (a *api) answer(x *exchange, r *http.Request, e *stream.Error) {
	x.code, x.kind = e.Code, e.Kind
	a.metrics.failed(e.Code)
	if x.status != 0 {
		panic(http.ErrAbortHandler)
	}
	if e.Code == stream.Unauthenticated && x.Header().Get("WWW-Authenticate") == "" { // Kafka refused what was taken for good
		a.challenge(x, r, challengeInvalid)
	}
	p := newProblem(e, outcomeOf(e, x.outcome))
	if e.Code == stream.RateLimited {
		p.Violated = violated(x.tab)
	}
	a.writeProblem(x, e, p)
}

// writeProblem writes body, whose status is that of e's code. The body is a
// problem or has a problem's members.
func (a *api) writeProblem(x *exchange, e *stream.Error, body any) {
	h, status := x.Header(), kindOf(e.Code).status
	passes := retriable(e)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || passes != nil && *passes {
		h.Set("Retry-After", retryAfter(e.RetryAfter))
	}
	h["Content-Type"] = headerProblem
	h["Cache-Control"] = headerNoStore
	a.send(x, status, mustJSON(body))
}

// retryAfter gives whole seconds, at least one.
func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// outcomeOf says what became of a record whose publishing failed with e. Where
// e itself does not say, a refusal is certain; anything else is as uncertain
// as the caller says, which is "" for requests that do not publish.
func outcomeOf(e *stream.Error, otherwise stream.Outcome) stream.Outcome {
	switch {
	case otherwise == "" || e.Outcome != "":
		return e.Outcome
	case kindOf(e.Code).status < http.StatusInternalServerError || e.Code == stream.Overloaded:
		return stream.NotStored
	}
	return otherwise
}
