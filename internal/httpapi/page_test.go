package httpapi_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

// holding makes the feeds a partition of so many numbered records, of which a
// page reads at most perPage.
func (g *gateway) holding(tb testing.TB, records int64, perPage int) *[]stream.PageRequest {
	tb.Helper()
	asked := new([]stream.PageRequest)
	g.feeds.end = func(context.Context, stream.Pattern, int32) (stream.Position, error) { return positionAt(records), nil }
	g.feeds.page = func(_ context.Context, req stream.PageRequest) (stream.PageAnswer, error) {
		*asked = append(*asked, req)
		from, end := int64(0), records
		if req.Start.Kind == stream.FromPosition {
			from = offsetIn(tb, req.Start.Position)
		}
		if req.Until != nil {
			end = offsetIn(tb, *req.Until)
		}
		var page stream.PageAnswer
		for ; from < end && len(page.Records) < min(req.Records, perPage); from++ {
			page.Records = append(page.Records, numbered(from))
		}
		page.Next, page.More = positionAt(from), from < end
		return page, nil
	}
	return asked
}

func TestAPageOfRecords(t *testing.T) {
	g := newGateway(t, nil)
	asked := g.holding(t, 3, 100)
	position := positionAt(2)
	next := position.String()
	object := func(offset int) string {
		n := strconv.Itoa(offset)
		return `{"stream":"s","partition":0,"offset":` + n + `,"timestamp":"2026-01-31T12:00:00.123Z","key":null,"headers":{},"schema":null,"data":` + n + `}`
	}
	res := g.do(t, "GET /streams/s/records?limit=2&wait=20s", "")
	want := `{"records":[` + object(0) + `,` + object(1) + `],"next":"` + next + `"}` + "\n"
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" || res.body != want {
		t.Errorf("%d %v\n%s\n%s", res.StatusCode, res.Header, res.body, want)
	}
	if r := (*asked)[0]; r.Records != 2 || r.Bytes != 1<<20 || r.Wait != 20*time.Second || r.Until != nil {
		t.Errorf("asked for %+v", r)
	}
	res = g.do(t, "GET /streams/s/records?from="+next, "")
	if !strings.HasPrefix(res.body, `{"records":[`+object(2)+`],"next":"`) {
		t.Error(res.body)
	}
	if r := (*asked)[1]; r.Records != 100 || r.Wait != 0 {
		t.Errorf("asked for %+v", r)
	}
	if res := g.do(t, "HEAD /streams/s/records", ""); res.StatusCode != 200 {
		t.Error(res.StatusCode)
	}
}

func TestViewsOfAPage(t *testing.T) {
	g := newGateway(t, nil)
	g.feeds.page = func(context.Context, stream.PageRequest) (stream.PageAnswer, error) {
		return stream.PageAnswer{Records: []stream.Record{
			{Stream: "s", Data: []byte("{\n}"), Value: []byte("{\n}")},
			{Stream: "s", Data: []byte("null"), Value: []byte(`{"schema":"A:1","data":null}`), Schema: "A:1"},
			{Stream: "s", Value: []byte("a\r\nb")},
			{Stream: "s", Value: []byte{0xff}},
			{Stream: "s"},
		}}, nil
	}
	head := `{"stream":"s","partition":0,"offset":0,"timestamp":null,"key":null,"headers":{},"schema":null,"value":`
	for view, want := range map[string][]string{
		"data":  {`{"data":{}}`, `{"data":null}`, head + `{"base64":"YQ0KYg=="}}`, head + `{"base64":"/w=="}}`, head + `null}`},
		"value": {`{"value":"{\n}"}`, `{"value":"{\"schema\":\"A:1\",\"data\":null}"}`, `{"value":"a\r\nb"}`, `{"value":{"base64":"/w=="}}`, `{"value":null}`},
	} {
		res := g.do(t, "GET /streams/s/records?view="+view, "")
		if diff := cmp.Diff(`{"records":[`+strings.Join(want, ",")+`],"next":"`, res.body[:strings.LastIndex(res.body, "p1.")]); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", view, diff)
		}
		res = g.do(t, "GET /streams/s/records?limit=5&view="+view, "", "Accept: application/x-ndjson")
		if diff := cmp.Diff(want, strings.Split(res.body, "\n")[:5]); diff != "" {
			t.Errorf("%s as lines: want (-), got (+):\n%s", view, diff)
		}
	}
}

func TestGapsOfAPage(t *testing.T) {
	g := newGateway(t, nil)
	p := stream.Partition{Stream: "s"}
	other := stream.Partition{Stream: "s", Number: 1}
	g.feeds.page = func(context.Context, stream.PageRequest) (stream.PageAnswer, error) {
		return stream.PageAnswer{
			Records: []stream.Record{numbered(1), numbered(5), numbered(9)},
			Gaps:    []stream.Gap{{Partition: other, From: 8, To: 0}, {Partition: p, From: 2, To: 4}, {Partition: p, From: 6, To: 9}},
			Next:    positionAt(10),
		}, nil
	}
	res := g.do(t, "GET /streams/s/records", "")
	if !strings.Contains(res.body, `],"gaps":[{"stream":"s","partition":1,"from":8,"to":0},{"stream":"s","partition":0,"from":2,"to":4},{"stream":"s","partition":0,"from":6,"to":9}],"next":"`) {
		t.Error(res.body)
	}
	res = g.do(t, "GET /streams/s/records?view=data", "", "Accept: application/x-ndjson")
	if res.StatusCode == 200 {
		t.Error("the fake has no end")
	}
	res = g.do(t, "GET /streams/s/records?view=data&limit=3", "", "Accept: application/x-ndjson")
	position := positionAt(10)
	want := strings.Join([]string{
		`{"data":1}`, `{"gap":{"stream":"s","partition":0,"from":2,"to":4}}`, `{"data":5}`,
		`{"gap":{"stream":"s","partition":0,"from":6,"to":9}}`, `{"data":9}`,
		`{"gap":{"stream":"s","partition":1,"from":8,"to":0}}`, `{"next":"` + position.String() + `"}`, "",
	}, "\n")
	if diff := cmp.Diff(want, res.body); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// Where a filter passes over everything that was looked at, the search goes on,
// for a while.
func TestAPageSearchesOnBehindAFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, nil)
		asked, found := 0, 3
		g.feeds.page = func(_ context.Context, req stream.PageRequest) (stream.PageAnswer, error) {
			if asked > 0 && offsetIn(t, req.Start.Position) != int64(asked) || req.Wait > 5*time.Second {
				t.Errorf("page %d: %+v", asked, req)
			}
			asked++
			<-time.After(2 * time.Second)
			page := stream.PageAnswer{Next: positionAt(int64(asked)), More: true}
			if asked == found {
				page.Records = []stream.Record{numbered(int64(asked) - 1)}
			}
			return page, nil
		}
		res := g.do(t, "GET /streams/s/records?filter=x&wait=5s", "")
		if asked != 3 || !strings.Contains(res.body, `"offset":2`) || strings.Contains(res.body, "more") {
			t.Errorf("%d pages: %s", asked, res.body)
		}
		asked, found = 0, 1000
		position := positionAt(5)
		res = g.do(t, "GET /streams/s/records?filter=x", "")
		if asked != 5 || res.body != `{"records":[],"more":true,"next":"`+position.String()+`"}`+"\n" {
			t.Errorf("%d pages: %s", asked, res.body)
		}
	})
}

func TestAPositionTooLongIsRefused(t *testing.T) {
	g := newGateway(t, nil)
	var wide stream.Position
	for i := range 1000 {
		id := strconv.Itoa(i)
		wide.Set(stream.Layout{Stream: id, TopicID: id}, 0, 1<<40)
	}
	g.feeds.page = func(context.Context, stream.PageRequest) (stream.PageAnswer, error) {
		return stream.PageAnswer{Next: wide}, nil
	}
	g.feeds.end = func(context.Context, stream.Pattern, int32) (stream.Position, error) { return wide, nil }
	for _, accept := range []string{"application/json", "application/x-ndjson"} {
		if p := g.do(t, "GET /streams/*/records", "", "Accept: "+accept).wantProblem(t, stream.PatternTooWide, 400); !strings.Contains(p.Detail, "group=") {
			t.Error(p.Detail)
		}
	}
}

func TestRecordsAsLines(t *testing.T) {
	for query, tc := range map[string]struct{ records, pages, next int }{
		"":            {2500, 3, 2500}, // 1,000 at once
		"?limit=1500": {1500, 2, 1500},
		"?limit=9999": {2500, 3, 2500},
	} {
		g := newGateway(t, nil)
		asked := g.holding(t, 2500, 1000)
		res := g.do(t, "GET /streams/s/records"+query, "", "Accept: application/x-ndjson")
		lines := strings.Split(strings.TrimSuffix(res.body, "\n"), "\n")
		position := positionAt(int64(tc.next))
		if res.Header.Get("Content-Type") != "application/x-ndjson" || res.Header.Get("X-Accel-Buffering") != "no" || res.Header.Get("Vary") != "Accept" {
			t.Errorf("%q: %v", query, res.Header)
		}
		if len(lines) != tc.records+1 || lines[tc.records] != `{"next":"`+position.String()+`"}` || len(*asked) != tc.pages {
			t.Errorf("%q: %d lines, %d pages, the last %s", query, len(lines), len(*asked), lines[len(lines)-1])
		}
		for i, line := range lines[:tc.records] {
			if !strings.Contains(line, `"offset":`+strconv.Itoa(i)+`,`) {
				t.Fatalf("%q: line %d is %s", query, i, line)
			}
		}
		if until := (*asked)[0].Until; (until != nil) != (query == "") {
			t.Errorf("%q: until %v", query, until)
		}
	}
	g := newGateway(t, nil)
	g.do(t, "GET /streams/s/records?wait=1s", "", "Accept: application/x-ndjson").wantProblem(t, stream.InvalidRequest, 400)
	asked := g.holding(t, 2500, 1000)
	if res := g.do(t, "HEAD /streams/s/records", "", "Accept: application/x-ndjson"); res.StatusCode != 200 || len(*asked) != 1 {
		t.Errorf("HEAD: %d, %d pages", res.StatusCode, len(*asked))
	}
}

func TestWhatGoesWrongAmongLines(t *testing.T) {
	g := newGateway(t, nil)
	g.holding(t, 2500, 1000)
	page, pages := g.feeds.page, 0
	g.feeds.page = func(ctx context.Context, req stream.PageRequest) (stream.PageAnswer, error) {
		if pages++; pages == 2 {
			return stream.PageAnswer{}, errors.New("secret internals")
		}
		return page(ctx, req)
	}
	res := g.do(t, "GET /streams/s/records", "", "Accept: application/x-ndjson")
	lines := strings.Split(strings.TrimSuffix(res.body, "\n"), "\n")
	var last struct {
		Problem problem `json:"problem"`
		Next    string  `json:"next"`
	}
	reply{body: lines[len(lines)-1]}.json(t, &last)
	position := positionAt(1000)
	if res.StatusCode != 200 || len(lines) != 1001 || last.Problem.Type != "/problems/internal" || last.Next != position.String() || strings.Contains(res.body, "secret") {
		t.Errorf("%d, %d lines, %+v", res.StatusCode, len(lines), last)
	}
	if g.metric(t, `sluice_errors_total{code="internal"}`) != 1 || len(g.log.lines("secret internals")) != 1 {
		t.Error("it was not noted")
	}
	g.feeds.page = func(context.Context, stream.PageRequest) (stream.PageAnswer, error) {
		return stream.PageAnswer{}, stream.Errorf(stream.UnknownStream, "there is no stream s")
	}
	g.do(t, "GET /streams/s/records", "", "Accept: application/x-ndjson").wantProblem(t, stream.UnknownStream, 404)
	g.do(t, "GET /streams/s/records", "").wantProblem(t, stream.UnknownStream, 404)
}
