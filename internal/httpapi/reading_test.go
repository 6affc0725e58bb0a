package httpapi_test

import (
	"context"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// asks gives what the two routes that read make of a request.
func asks(tb testing.TB, query string, headers ...string) map[string]stream.Reading {
	tb.Helper()
	g := newGateway(tb, nil)
	got := map[string]stream.Reading{}
	g.feeds.follow = func(_ context.Context, r stream.Reading, _ stream.Frames) (httpapi.Follower, error) {
		got["events"] = r
		f := newFollower()
		f.fail <- io.EOF
		return f, nil
	}
	g.feeds.page = func(_ context.Context, req stream.PageRequest) (stream.PageAnswer, error) {
		got["records"] = req.Reading
		return stream.PageAnswer{}, nil
	}
	for _, route := range []string{"events", "records"} {
		if res := g.do(tb, "GET /streams/s/"+route+"?"+query, "", headers...); res.StatusCode != 200 {
			tb.Fatalf("%s?%s: %s", route, query, res.body)
		}
	}
	return got
}

func TestWhereReadingBegins(t *testing.T) {
	position, other := positionAt(7), positionAt(8)
	p, o := position.String(), other.String()
	at := func(p stream.Position) stream.Start {
		return stream.Start{Kind: stream.FromPosition, Position: p}
	}
	for query, tc := range map[string]struct {
		headers []string
		want    stream.Start
	}{
		"from=earliest": {nil, stream.Start{Kind: stream.FromEarliest}},
		"from=latest":   {nil, stream.Start{Kind: stream.FromLatest}},
		"from=" + url.QueryEscape("2026-01-31T13:00:00.123+01:00"): {nil, stream.Start{Kind: stream.FromTime, Time: noon}},
		"from=42&partition=3":                     {nil, stream.Start{Kind: stream.FromOffset, Offset: 42}},
		"from=" + p:                               {nil, at(position)},
		"lastEventId=" + p:                        {nil, at(position)},
		"lastEventId=" + p + "&from=earliest":     {nil, at(position)},
		"lastEventId=&from=earliest":              {[]string{"Last-Event-ID: "}, stream.Start{Kind: stream.FromEarliest}},
		"lastEventId=" + o + "&from=" + o + "&":   {[]string{"Last-Event-ID: " + p}, at(position)},
		"partition=1&from=" + p + "&lastEventId=": {nil, at(position)},
	} {
		for route, got := range asks(t, query, tc.headers...) {
			if diff := cmp.Diff(tc.want, got.Start, cmp.AllowUnexported(stream.Position{}), cmp.Comparer(func(a, b stream.Position) bool { return a.String() == b.String() })); diff != "" {
				t.Errorf("%s?%s: want (-), got (+):\n%s", route, query, diff)
			}
		}
	}
	got := asks(t, "filter=record.data.x+%3E+1&partition=5")
	if got["events"].Start.Kind != stream.FromLatest || got["records"].Start.Kind != stream.FromEarliest {
		t.Errorf("without from: %+v", got)
	}
	for route, r := range got {
		if r.Filter.String() != "record.data.x > 1" || r.Partition != 5 {
			t.Errorf("%s: %+v", route, r)
		}
	}
}

func TestReadParametersThatAreRefused(t *testing.T) {
	both, events, records := []string{"events", "records"}, []string{"events"}, []string{"records"}
	for query, tc := range map[string]struct {
		routes []string
		says   string
	}{
		"from=":                             {both, "earliest"},
		"from=yesterday":                    {both, "earliest"},
		"from=-1&partition=0":               {both, "earliest"},
		"from=1960-01-01T00:00:00Z":         {both, "earliest"},
		"from=42":                           {both, "partition="},
		"from=p1.abc":                       {both, "from is not a position"},
		"lastEventId=p1.abc":                {both, "lastEventId is not a position"},
		"lastEventId=42":                    {both, "lastEventId is not a position"},
		"partition=":                        {both, "partition"},
		"partition=-1":                      {both, "partition"},
		"view=":                             {both, "view is record"},
		"view=envelope":                     {both, "view is record"},
		"filter=":                           {both, "leave it out"},
		"filter=bad":                        {both, "ends too early"},
		"form=latest":                       {both, "from, partition, view, filter, lastEventId"},
		"view=data&view=data":               {both, "more than once"},
		"limit=5":                           {events, "no parameter"},
		"wait=5":                            {events, "no parameter"},
		"group=g":                           {records, "no parameter"},
		"limit=0":                           {records, "1 to 10,000"},
		"limit=10001":                       {records, "1 to 10,000"},
		"limit=":                            {records, "1 to 10,000"},
		"limit=1.5":                         {records, "1 to 10,000"},
		"wait=61":                           {records, "0 to 60s"},
		"wait=-1s":                          {records, "0 to 60s"},
		"wait=soon":                         {records, "0 to 60s"},
		"auto_commit=true":                  {events, "group="},
		"auto_commit_interval=1s":           {events, "group="},
		"group=":                            {events, "1 to 249"},
		"group=a%00b":                       {events, "control"},
		"group=g&partition=0":               {events, "shares the partitions out"},
		"group=g&auto_commit=yes":           {events, "true or false"},
		"group=g&auto_commit=1":             {events, "true or false"},
		"group=g&auto_commit_interval=1ms":  {events, "100ms to 1h"},
		"group=g&auto_commit_interval=2h":   {events, "100ms to 1h"},
		"group=g&from=p1.x":                 {events, "from is not a position"},
		"group=" + strings.Repeat("g", 250): {events, "1 to 249"},
	} {
		g := newGateway(t, nil)
		for _, route := range tc.routes {
			p := g.do(t, "GET /streams/s/"+route+"?"+query, "").wantProblem(t, stream.InvalidRequest, 400)
			if !strings.Contains(p.Detail, tc.says) {
				t.Errorf("%s?%s: %s", route, query, p.Detail)
			}
		}
	}
	g := newGateway(t, nil)
	for _, path := range []string{"/streams/a,b/events?from=1&partition=0", "/streams/a*/records?from=1&partition=0"} {
		if p := g.do(t, "GET "+path, "").wantProblem(t, stream.InvalidRequest, 400); !strings.Contains(p.Detail, "one stream") {
			t.Errorf("%s: %s", path, p.Detail)
		}
	}
	for _, path := range []string{"/streams/a,/events", "/streams/__consumer_offsets/records", "/streams/a%20b/events", "/streams/a,_sluice.schemas/events", "/streams/%2e%2e/records"} {
		g.do(t, "GET "+path, "").wantProblem(t, stream.InvalidRequest, 400)
	}
	g.do(t, "GET /streams/s/events", "", "Last-Event-ID: x").wantProblem(t, stream.InvalidRequest, 400)
}

func TestMembership(t *testing.T) {
	position := positionAt(7)
	p := position.String()
	for query, want := range map[string]stream.Membership{
		"group=g": {Group: "g", AutoCommit: true, Interval: 7 * time.Second},
		"group=g%2F1&auto_commit=false&from=latest":               {Group: "g/1", Interval: 7 * time.Second, Reading: stream.Reading{Start: stream.Start{Kind: stream.FromLatest}}},
		"group=g&auto_commit_interval=500ms&lastEventId=" + p:     {Group: "g", AutoCommit: true, Interval: time.Second / 2},
		"group=g&auto_commit=true&lastEventId=nonsense&view=data": {Group: "g", AutoCommit: true, Interval: 7 * time.Second},
	} {
		g := newGateway(t, func(o *httpapi.Options) { o.AutoCommitInterval = 7 * time.Second })
		var got stream.Membership
		g.groups.join = func(_ context.Context, m stream.Membership, _ stream.Frames) (httpapi.Follower, error) {
			got = m
			f := newFollower()
			f.fail <- io.EOF
			return f, nil
		}
		if res := g.do(t, "GET /streams/orders.*/events?"+query, "", "Last-Event-ID: "+p); res.StatusCode != 200 {
			t.Fatalf("%s: %s", query, res.body)
		}
		if got.Group != want.Group || got.AutoCommit != want.AutoCommit || got.Interval != want.Interval ||
			got.Start.Kind != want.Start.Kind || got.Partition != stream.AnyPartition || got.Pattern.String() != "orders.*" {
			t.Errorf("%s: %+v, want %+v", query, got, want)
		}
	}
}

func TestCommitOfAGroup(t *testing.T) {
	g := newGateway(t, nil)
	position := positionAt(7)
	var group string
	var offset int64
	g.groups.commit = func(_ context.Context, id string, p stream.Position) error {
		group, offset = id, offsetIn(t, p)
		return nil
	}
	res := g.do(t, "POST /groups/a%2Fb/commit", `{"position":"`+position.String()+`"}`)
	if res.StatusCode != 204 || res.body != "" || group != "a/b" || offset != 7 {
		t.Errorf("%d %s: %q, %d", res.StatusCode, res.body, group, offset)
	}
	for _, body := range []string{`{}`, `{"position":null}`, `{"position":"42"}`, `{"position":7}`, `{"offsets":[]}`, `[]`} {
		g.do(t, "POST /groups/g/commit", body).wantProblem(t, stream.InvalidRequest, 400)
	}
	g.do(t, "POST /groups/g/commit?x=1", `{}`).wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "POST /groups/g%0A/commit", `{"position":"`+position.String()+`"}`).wantProblem(t, stream.InvalidRequest, 400)
	g.groups.commit = func(context.Context, string, stream.Position) error {
		return stream.Errorf(stream.GroupInUse, "it is a subscription's")
	}
	g.do(t, "POST /groups/g/commit", `{"position":"`+position.String()+`"}`).wantProblem(t, stream.GroupInUse, 409)
}
