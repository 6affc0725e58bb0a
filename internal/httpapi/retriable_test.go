package httpapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sluice/internal/stream"
)

// Problems that Kafka causes say whether the same request can succeed later, and
// when.
func TestRetriable(t *testing.T) {
	for _, tt := range []struct {
		err   *stream.Error
		want  string // in the body
		after string
	}{
		{&stream.Error{Code: stream.KafkaUnavailable, Kind: stream.Retriable, RetryAfter: 2 * time.Second}, `"retriable":true`, "2"},
		{&stream.Error{Code: stream.KafkaUnavailable}, `"retriable":true`, "1"},
		{&stream.Error{Code: stream.OutcomeUnknown, Kind: stream.Retriable}, `"retriable":true`, "1"},
		{&stream.Error{Code: stream.InvalidRequest, Kind: stream.Retriable, RetryAfter: 3 * time.Second}, `"retriable":true`, "3"},
		{&stream.Error{Code: stream.KafkaUnavailable, Kind: stream.Fatal}, `"retriable":true`, "1"},
		{&stream.Error{Code: stream.KafkaUnavailable, Kind: stream.Abortable}, `"retriable":true`, "1"},
		{&stream.Error{Code: stream.Forbidden, Kind: stream.Permanent}, `"retriable":false`, ""},
		{&stream.Error{Code: stream.Overloaded}, "", "1"},
		{&stream.Error{Code: stream.SchemaViolation}, "", ""},
	} {
		g := newGateway(t, nil)
		tt.err.Message = "m"
		g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) { return stream.Report{}, tt.err }
		res := g.do(t, "POST /streams/s", "1")
		if tt.want == "" && strings.Contains(res.body, "retriable") || !strings.Contains(res.body, tt.want) {
			t.Errorf("%+v: %s", tt.err, res.body)
		}
		if got := res.Header.Get("Retry-After"); got != tt.after {
			t.Errorf("%+v: Retry-After %q, want %q", tt.err, got, tt.after)
		}
		if kind := string(tt.err.Kind); kind != "" {
			g.publisher.publish = nil
			g.streams.remove = func(context.Context, string) error { return tt.err }
			g.do(t, "DELETE /streams/s", "")
			if len(g.log.lines(`"kind":"`+kind+`"`)) == 0 {
				t.Errorf("%s is not logged", kind)
			}
		}
	}
}
