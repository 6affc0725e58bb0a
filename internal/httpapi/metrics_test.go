package httpapi_test

import (
	"strconv"
	"strings"
	"testing"

	"sluice/internal/stream"
)

// metric gives the value of a line of /metrics, 0 where there is none.
func (g *gateway) metric(tb testing.TB, name string) float64 {
	tb.Helper()
	for line := range strings.Lines(g.do(tb, "GET /metrics", "").body) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				tb.Fatal(err)
			}
			return v
		}
	}
	return 0
}

func TestMetricsMove(t *testing.T) {
	g := newGateway(t, nil).storing()
	g.do(t, "POST /streams/secret-stream", "123")
	g.do(t, "POST /streams/_", "1")
	g.do(t, "BREW /streams/s", "")
	g.do(t, "GET /made/up", "")
	for name, want := range map[string]float64{
		`sluice_http_requests_total{method="POST",route="/streams/{stream}",status="201"}`: 1,
		`sluice_http_requests_total{method="POST",route="/streams/{stream}",status="400"}`: 1,
		`sluice_http_requests_total{method="other",route="unmatched",status="405"}`:        1,
		`sluice_http_requests_total{method="GET",route="unmatched",status="404"}`:          1,
		`sluice_http_request_duration_seconds_count{route="/streams/{stream}"}`:            2,
		`sluice_http_request_bytes_total`:                                                  3,
		`sluice_http_requests_in_flight`:                                                   1, // the scrape itself
		`sluice_http_records_stored_total`:                                                 1,
		`sluice_errors_total{code="` + string(stream.InvalidRequest) + `"}`:                1,
		`sluice_errors_total{code="` + string(stream.NotFound) + `"}`:                      1,
		`sluice_errors_total{code="` + string(stream.MethodNotAllowed) + `"}`:              1,
	} {
		if got := g.metric(t, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if strings.Contains(g.do(t, "GET /metrics", "").body, "secret-stream") {
		t.Error("a stream's id became a label")
	}
}
