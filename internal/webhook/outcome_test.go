package webhook_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/stream"
)

func TestStatuses(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		status, _ := strconv.Atoi(req.URL.Query().Get("status"))
		w.WriteHeader(status)
	}, nil)
	for outcome, statuses := range map[stream.DeliveryOutcome][]int{
		stream.DeliveryDone:    {200, 201, 202, 204, 206, 299},
		stream.DeliveryGone:    {410},
		stream.DeliverySlow:    {429, 502, 503, 504},
		stream.DeliveryFailed:  {408, 425, 500, 501, 505, 507, 599, 600, 999},
		stream.DeliveryRefused: {300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 409, 411, 413, 415, 418, 422, 431, 451, 499},
	} {
		for _, status := range statuses {
			a := s.Send(t.Context(), deliver(r.URL+"/?status="+strconv.Itoa(status), nil))
			if a.Outcome != outcome || a.Status != status || (a.Detail == "") != (outcome == stream.DeliveryDone) {
				t.Errorf("%d: got %+v, want %v", status, a, outcome)
			}
			if a.At.IsZero() || a.Took <= 0 {
				t.Errorf("%d: at %v, took %v", status, a.At, a.Took)
			}
		}
	}
}

// A subscription may have statuses tried again that are final otherwise.
func TestStatusesThatAreTriedAgain(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		status, _ := strconv.Atoi(req.URL.Query().Get("status"))
		w.WriteHeader(status)
	}, nil)
	for status, outcome := range map[int]stream.DeliveryOutcome{
		401: stream.DeliveryFailed, 404: stream.DeliveryFailed, 400: stream.DeliveryRefused, 410: stream.DeliveryGone, 204: stream.DeliveryDone,
	} {
		d := deliver(r.URL+"/?status="+strconv.Itoa(status), func(sub *stream.Subscription) { sub.Retry.Statuses = []int{401, 404} })
		if a := s.Send(t.Context(), d); a.Outcome != outcome {
			t.Errorf("%d: got %v, want %v", status, a.Outcome, outcome)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Retry-After", req.URL.Query().Get("after"))
		w.WriteHeader(http.StatusServiceUnavailable)
	}, nil)
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for after, bounds := range map[string][2]time.Duration{
		"":                        {0, 0},
		"0":                       {0, 0},
		"7":                       {7 * time.Second, 7 * time.Second},
		"0.5":                     {time.Second / 2, time.Second / 2},
		"-7":                      {0, 0},
		"NaN":                     {0, 0},
		"soon":                    {0, 0},
		"86401":                   {24 * time.Hour, 24 * time.Hour},
		"99999999999999999999999": {24 * time.Hour, 24 * time.Hour},
		in(time.Minute):           {50 * time.Second, time.Minute},
		in(-time.Minute):          {0, 0},
		in(1000 * time.Hour):      {24 * time.Hour, 24 * time.Hour},
	} {
		a := s.Send(t.Context(), deliver(r.URL+"/?after="+strings.ReplaceAll(after, " ", "+"), nil))
		if a.Outcome != stream.DeliverySlow || a.RetryAfter < bounds[0] || a.RetryAfter > bounds[1] {
			t.Errorf("%q: got %v, want %v", after, a.RetryAfter, bounds)
		}
	}
}

// What people are shown is short, printable, and without what was secret.
func TestDetails(t *testing.T) {
	s, _ := newSender(t, nil)
	for name, tc := range map[string]struct {
		status       int
		body, coding string
		detail       string
	}{
		"nothing":       {500, "", "", "the endpoint answered 500 Internal Server Error"},
		"text":          {422, "no such order", "", "the endpoint answered 422 Unprocessable Entity: no such order"},
		"no name":       {499, "x", "", "the endpoint answered 499: x"},
		"white space":   {500, " \n a\r\n\t b\n", "", "the endpoint answered 500 Internal Server Error: a b"},
		"not printable": {500, "a\x00\x1b[31mb\xff\u202ec", "", "the endpoint answered 500 Internal Server Error: a [31mb c"},
		"long":          {500, strings.Repeat("é", 10_000), "", "the endpoint answered 500 Internal Server Error: " + strings.Repeat("é", 200) + "…"},
		"very long":     {500, strings.Repeat("a", 300_000), "", "the endpoint answered 500 Internal Server Error: " + strings.Repeat("a", 200) + "…"},
		"coded":         {500, "\x1f\x8b", "gzip", "the endpoint answered 500 Internal Server Error"},
		"an echo":       {400, "authorization: Bearer s3cret-token, s3cret-token, x-a: abc", "", "the endpoint answered 400 Bad Request: authorization: <redacted>, <redacted>, x-a: abc"},
		"a redirect":    {302, "found", "", "the endpoint answered 302 Found; redirects are not followed: set the endpoint's url to where it leads"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
				if tc.coding != "" {
					w.Header().Set("Content-Encoding", tc.coding)
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}, nil)
			a := s.Send(t.Context(), deliver(r.URL, func(sub *stream.Subscription) {
				sub.Endpoint.Headers = []stream.Header{{Name: "Authorization", Value: []byte("Bearer s3cret-token")}, {Name: "X-A", Value: []byte("abc")}}
			}))
			if a.Detail != tc.detail {
				t.Errorf("got  %q\nwant %q", a.Detail, tc.detail)
			}
		})
	}
}
