package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

const noWaiting = "Prefer: respond-async"

// Lines are answered when they are queued; what is lost afterwards is counted,
// and told once.
func TestLinesWithoutWaiting(t *testing.T) {
	g := newGateway(t, nil)
	var reports []func(stream.Report, error)
	g.publisher.enqueue = func(_ context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
		if !rec.NoWait || rec.Stream != "logs" {
			t.Errorf("got %+v", rec)
		}
		reports = append(reports, done)
		return nil
	}
	res := g.do(t, "POST /streams/logs", "{\"data\":1}\n\n{\"data\":\"secret\"}\n{\"date\":3}\n{\"data\":4}", ndjson, noWaiting)
	if res.StatusCode != 202 || res.Header.Get("Preference-Applied") != "respond-async" {
		t.Fatal(res.StatusCode, res.Header, res.body)
	}
	var answer struct {
		Stream   string `json:"stream"`
		Accepted bool   `json:"accepted"`
		Queued   int    `json:"queued"`
		Failed   int    `json:"failed"`
		Results  []struct {
			Outcome string `json:"outcome"`
			Line    int    `json:"line"`
		} `json:"results"`
	}
	res.json(t, &answer)
	if answer.Stream != "logs" || !answer.Accepted || answer.Queued != 3 || answer.Failed != 1 ||
		len(answer.Results) != 1 || answer.Results[0].Line != 4 || answer.Results[0].Outcome != "not_stored" {
		t.Errorf("got %+v", answer)
	}
	const lost = "accepted records were not acknowledged"
	for i, done := range reports {
		if got := g.log.lines(lost); len(got) != 0 {
			t.Errorf("told before all is known: %v", got)
		}
		err := error(stream.Errorf(stream.OutcomeUnknown, "m"))
		if i == 1 {
			err = nil
		}
		done(stream.Report{}, err)
	}
	for name, want := range map[string]float64{
		"sluice_http_accepted_failures_total": 2, "sluice_http_records_stored_total": 1, `sluice_errors_total{code="outcome-unknown"}`: 2,
	} {
		if got := g.metric(t, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := g.log.lines(lost); len(got) != 1 || !strings.Contains(got[0], `"records":2`) || strings.Contains(got[0], "secret") {
		t.Errorf("told %v", got)
	}
}

// A request of which nothing is queued is answered as if it had waited.
func TestLinesWithoutWaitingRefused(t *testing.T) {
	for code, status := range map[stream.Code]int{stream.UnknownStream: 404, stream.Overloaded: 503, stream.KafkaUnavailable: 503, stream.SchemaViolation: 422} {
		g := newGateway(t, nil).failing(func(string) (error, bool) {
			return stream.Errorf(code, "m").WithOutcome(stream.NotStored), true
		})
		res := g.do(t, "POST /streams/s", "{\"data\":1}\n{\"data\":2}", ndjson, noWaiting)
		if p := res.wantProblem(t, code, status); p.Outcome != "not_stored" || res.Header.Get("Preference-Applied") != "" {
			t.Errorf("%s: %s %v", code, res.body, res.Header)
		}
	}
	g := newGateway(t, nil).storing()
	g.do(t, "POST /streams/s", "\n", ndjson, noWaiting).wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "POST /streams/s?key=k", "{\"data\":1}", ndjson, noWaiting).wantProblem(t, stream.InvalidRequest, 400)
	if res := g.do(t, "POST /streams/s", "{\"data\":1}", ndjson, noWaiting, "Accept: application/x-ndjson"); res.StatusCode != 200 {
		t.Error("results are asked for, and not given", res.StatusCode, res.body)
	}
}

// Any number of lines goes through a bounded window, and the memory of each is
// used again only when it was reported.
func TestManyLinesWithoutWaiting(t *testing.T) {
	g := newGateway(t, func(o *httpapi.Options) { o.Limits.WindowRecords = 10 })
	var mu sync.Mutex
	var got, want []string
	open, most := 0, 0
	g.publisher.enqueue = func(_ context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
		mu.Lock()
		open++
		most = max(most, open)
		mu.Unlock()
		go func() {
			mu.Lock()
			got = append(got, string(rec.Data))
			open--
			mu.Unlock()
			done(stream.Report{}, nil)
		}()
		return nil
	}
	var body strings.Builder
	for i := range 2000 {
		want = append(want, fmt.Sprint(i))
		fmt.Fprintf(&body, "{\"data\":%d}\n", i)
	}
	if res := g.do(t, "POST /streams/s", body.String(), ndjson, noWaiting); res.StatusCode != 202 {
		t.Fatal(res.StatusCode, res.body)
	}
	kafkatest.Eventually(t, patience, func() error {
		if n := g.metric(t, "sluice_http_records_stored_total"); n != 2000 {
			return fmt.Errorf("%v stored", n)
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(set(want), set(got)); diff != "" || most > 10 {
		t.Errorf("%d at once, (-want +got):\n%s", most, diff)
	}
}

func set(list []string) map[string]bool {
	m := map[string]bool{}
	for _, s := range list {
		m[s] = true
	}
	return m
}

// What breaks off is told with the lines before it.
func TestLinesWithoutWaitingBrokenOff(t *testing.T) {
	g := newGateway(t, nil).storing()
	r := httptest.NewRequest("POST", "/streams/s", &broken{text: strings.NewReader("{\"data\":1}\n{\"da")})
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Prefer", "respond-async")
	if res := g.send(t, r); res.StatusCode != 202 || !strings.Contains(res.body, `"queued":1,"failed":1`) || !strings.Contains(res.body, "were not read") {
		t.Error(res.StatusCode, res.body)
	}
}

// broken is a body whose client goes away.
type broken struct{ text *strings.Reader }

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.text.Read(p)
	if err != nil {
		return n, errors.New("connection reset")
	}
	return n, nil
}

// The line of a request is logged with the context for its streams.
func TestAccessContext(t *testing.T) {
	type key struct{}
	asked := map[string]int{}
	g := newGateway(t, func(o *httpapi.Options) {
		o.AccessContext = func(ctx context.Context, streams string) context.Context {
			asked[streams]++
			return context.WithValue(ctx, key{}, true)
		}
	}).storing()
	g.do(t, "POST /streams/a", "1")
	g.do(t, "GET /streams/a.*,b/records", "")
	g.do(t, "GET /streams/a%2Fb/events", "")
	g.do(t, "GET /nothing", "")
	if diff := cmp.Diff(map[string]int{"a": 1, "a.*,b": 1, "a/b": 1, "": 1}, asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
