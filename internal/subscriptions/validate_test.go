package subscriptions_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/stream"
)

func secretOf(n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n)))
}

// pointers gives the places that an error names, sorted.
func pointers(tb testing.TB, err error) []string {
	tb.Helper()
	wantCode(tb, err, stream.InvalidRequest)
	var at []string
	for _, v := range err.(*stream.Error).Violations {
		at = append(at, v.Pointer)
		if v.Detail == "" || v.Keyword == "" && v.Pointer != "#" {
			tb.Errorf("%s: needs a detail and a keyword: %+v", v.Pointer, v)
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

func TestRules(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"nothing":              {`{}`, []string{"#/endpoint/url", "#/streams"}},
		"not even objects":     {`{"streams":1,"endpoint":2,"retry":[],"batch":"x"}`, []string{"#/batch", "#/endpoint", "#/endpoint/url", "#/retry", "#/streams"}},
		"null is left out":     {`{"streams":null,"endpoint":null,"filter":null,"retry":null,"timeout":null}`, []string{"#/endpoint/url", "#/streams"}},
		"unknown":              {minimal + `,"stream":1,"Streams":2}`, []string{"#/Streams", "#/stream"}},
		"unknown inside":       {`{"streams":"a*","endpoint":{"url":"https://a.example","uri":1},"retry":{"x":1},"batch":{"y":1}}`, []string{"#/batch/y", "#/endpoint/uri", "#/retry/x"}},
		"id":                   {minimal + `,"id":"a b"}`, []string{"#/dead_letter", "#/id"}},
		"id of ours":           {minimal + `,"id":"_x"}`, []string{"#/dead_letter", "#/id"}},
		"id too long":          {minimal + `,"id":"` + long[:201] + `","dead_letter":"d"}`, []string{"#/id"}},
		"id no text":           {minimal + `,"id":7}`, []string{"#/id"}},
		"group of ours":        {minimal + `,"group":"a_sluice.b"}`, []string{"#/group"}},
		"group of nothing":     {minimal + `,"group":""}`, []string{"#/group"}},
		"group with a line":    {minimal + `,"group":"a\nb"}`, []string{"#/group"}},
		"group too long":       {minimal + `,"group":"` + long[:250] + `"}`, []string{"#/group"}},
		"pattern":              {`{"streams":"a,,b","endpoint":{"url":"https://a.example"}}`, []string{"#/streams"}},
		"pattern of no stream": {`{"streams":"a,_b","endpoint":{"url":"https://a.example"}}`, []string{"#/streams"}},
		"from":                 {minimal + `,"from":"yesterday"}`, []string{"#/from"}},
		"from a position":      {minimal + `,"from":"p1.cut"}`, []string{"#/from"}},
		"from an offset":       {minimal + `,"from":42}`, []string{"#/from"}},
		"from far":             {minimal + `,"from":"1969-12-31T23:59:59Z"}`, []string{"#/from"}},
		"filter":               {minimal + `,"filter":"bad"}`, []string{"#/filter"}},
		"filter too long":      {minimal + `,"filter":"` + long + `"}`, []string{"#/filter"}},
		"view":                 {minimal + `,"view":"xml"}`, []string{"#/view"}},
		"ordering":             {minimal + `,"ordering":"total"}`, []string{"#/ordering"}},
		"on_exhausted":         {minimal + `,"on_exhausted":"retry"}`, []string{"#/on_exhausted"}},
		"state":                {minimal + `,"state":"gone"}`, []string{"#/state"}},
		"batch":                {minimal + `,"batch":{"max_records":0,"max_wait":"2m"}}`, []string{"#/batch/max_records", "#/batch/max_wait"}},
		"batch too large":      {minimal + `,"batch":{"max_records":1001,"max_wait":-1}}`, []string{"#/batch/max_records", "#/batch/max_wait"}},
		"batch in parts":       {minimal + `,"batch":{"max_records":1.5,"max_wait":true}}`, []string{"#/batch/max_records", "#/batch/max_wait"}},
		"in flight":            {minimal + `,"max_in_flight":0}`, []string{"#/max_in_flight"}},
		"too much in flight":   {minimal + `,"max_in_flight":101}`, []string{"#/max_in_flight"}},
		"in flight as text":    {minimal + `,"max_in_flight":"5"}`, []string{"#/max_in_flight"}},
		"timeout":              {minimal + `,"timeout":"99ms"}`, []string{"#/timeout"}},
		"timeout too long":     {minimal + `,"timeout":301}`, []string{"#/timeout"}},
		"timeout in words":     {minimal + `,"timeout":"soon"}`, []string{"#/timeout"}},
		"retry":                {minimal + `,"retry":{"initial":0,"max":"2d","multiplier":0.5,"jitter":1.1,"max_attempts":-1,"max_age":"31d"}}`, []string{"#/retry/initial", "#/retry/jitter", "#/retry/max", "#/retry/max_age", "#/retry/max_attempts", "#/retry/multiplier"}},
		"retry as text":        {minimal + `,"retry":{"multiplier":"2","jitter":"0","max_attempts":1001}}`, []string{"#/retry/jitter", "#/retry/max_attempts", "#/retry/multiplier"}},
		"retry gone":           {minimal + `,"retry":{"statuses":[404,410]}}`, []string{"#/retry/statuses"}},
		"retry success":        {minimal + `,"retry":{"statuses":[204]}}`, []string{"#/retry/statuses"}},
		"retry 401.5":          {minimal + `,"retry":{"statuses":[401.5]}}`, []string{"#/retry/statuses"}},
		"retry one status":     {minimal + `,"retry":{"statuses":401}}`, []string{"#/retry/statuses"}},
		"retry backwards":      {minimal + `,"retry":{"initial":"10m","max":"5m"}}`, []string{"#/retry/max"}},
		"dead letter":          {minimal + `,"dead_letter":"a b"}`, []string{"#/dead_letter"}},
		"dead letter in turn":  {`{"streams":"a,b","endpoint":{"url":"https://a.example"},"dead_letter":"b"}`, []string{"#/dead_letter"}},
		"publishes":            {minimal + `,"publishes":"a,,b"}`, []string{"#/publishes"}},
		"publishes nowhere":    {minimal + `,"publishes":"_a"}`, []string{"#/publishes"}},
		"headers":              {`{"streams":"a*","endpoint":{"url":"https://a.example","headers":[]}}`, []string{"#/endpoint/headers"}},
		"headers of ours":      {`{"streams":"a*","endpoint":{"url":"https://a.example","headers":{"Webhook-Id":"1","content-type":"x","Host":"y","proxy-x":"z","a b":"c"}}}`, []string{"#/endpoint/headers/Host", "#/endpoint/headers/Webhook-Id", "#/endpoint/headers/a%20b", "#/endpoint/headers/content-type", "#/endpoint/headers/proxy-x"}},
		"headers twice":        {`{"streams":"a*","endpoint":{"url":"https://a.example","headers":{"X":"1","x":"2"}}}`, nil},
		"header values":        {`{"streams":"a*","endpoint":{"url":"https://a.example","headers":{"A":"x\r\ny","B":1,"C":" x","D":"é","E":null}}}`, []string{"#/endpoint/headers/A", "#/endpoint/headers/B", "#/endpoint/headers/C", "#/endpoint/headers/D", "#/endpoint/headers/E"}},
		"secret":               {`{"streams":"a*","endpoint":{"url":"https://a.example","secret":"topsecret"}}`, []string{"#/endpoint/secret"}},
		"secret too short":     {`{"streams":"a*","endpoint":{"url":"https://a.example","secret":"` + secretOf(23) + `"}}`, []string{"#/endpoint/secret"}},
		"secret too long":      {`{"streams":"a*","endpoint":{"url":"https://a.example","secret":"` + secretOf(65) + `"}}`, []string{"#/endpoint/secret"}},
		"secret unpadded":      {`{"streams":"a*","endpoint":{"url":"https://a.example","secret":"` + strings.TrimRight(secretOf(25), "=") + `"}}`, []string{"#/endpoint/secret"}},
		"secret for URLs":      {`{"streams":"a*","endpoint":{"url":"https://a.example","secret":"whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_"}}`, []string{"#/endpoint/secret"}},
		"secret no text":       {`{"streams":"a*","endpoint":{"url":"https://a.example","secret":5}}`, []string{"#/endpoint/secret"}},
		"all at once":          {`{"id":"_","streams":"","endpoint":{"url":"https://10.0.0.1/"},"timeout":0,"nope":1}`, []string{"#/dead_letter", "#/endpoint/url", "#/id", "#/nope", "#/streams", "#/timeout"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			_, err := w.gateway(t).Create(t.Context(), []byte(c.body))
			got := pointers(t, err)
			if name == "headers twice" {
				c.want = []string{"#/endpoint/headers/X"}
				if len(got) == 1 && got[0] == "#/endpoint/headers/x" {
					got = c.want
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(err.Error(), "topsecret") {
				t.Errorf("the error shows the secret: %v", err)
			}
			if len(w.log.entries) > 0 {
				t.Error("something was stored")
			}
		})
	}
}

func TestURLs(t *testing.T) {
	s := newWorld().gateway(t)
	for url, ok := range map[string]bool{
		"https://app.example/hooks?x=1": true,
		"http://app.example:8080":       true,
		"https://[2001:db8::1]/":        true,
		"":                              false,
		"app.example/hooks":             false,
		"//app.example":                 false,
		"ftp://app.example":             false,
		"https://":                      false,
		"https:///x":                    false,
		"https:app.example":             false,
		"https://user@app.example":      false,
		"https://u:p@app.example":       false,
		"https://app.example/#x":        false,
		"https://app.example/#":         false,
		"https://app.example/a b":       false,
		"https://app.example/%zz":       false,
		"https://10.0.0.1/":             false, // the checker says so
		"https://app.example/" + strings.Repeat("x", 2048): false,
	} {
		_, err := s.Create(t.Context(), []byte(`{"streams":"a*","endpoint":{"url":"`+url+`"}}`))
		if ok && err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if !ok {
			if diff := cmp.Diff([]string{"#/endpoint/url"}, pointers(t, err)); diff != "" {
				t.Errorf("%s: %s", url, diff)
			}
			if strings.Contains(err.Error(), "u:p") {
				t.Errorf("the error shows the password: %v", err)
			}
		}
	}
	if _, err := s.Create(t.Context(), []byte(`{"streams":"a*","endpoint":{"url":"https://broken.example"}}`)); stream.CodeOf(err) != stream.Internal {
		t.Errorf("a failure of the check itself: %v", err)
	}
}

func TestUnreadableBodies(t *testing.T) {
	s := newWorld().gateway(t)
	for _, body := range []string{"", "{", `{"a":1,"a":2}`, "{}x", "{\"a\":\"\xff\"}"} {
		_, err := s.Create(t.Context(), []byte(body))
		wantCode(t, err, stream.MalformedJSON)
	}
	for _, body := range []string{"[]", "null", `"x"`} {
		_, err := s.Create(t.Context(), []byte(body))
		wantCode(t, err, stream.InvalidRequest)
	}
}

func TestDefaults(t *testing.T) {
	sub := create(t, newWorld().gateway(t), "billing", "")
	streams, _ := stream.ParsePattern("orders.*")
	want := &stream.Subscription{
		ID: "billing", Revision: 2, Group: "billing", Streams: streams, From: "latest",
		Endpoint: stream.Endpoint{URL: "https://app.example/hooks", Headers: nil},
		View:     "record", Batch: stream.Batch{MaxRecords: 1}, Ordering: "key", MaxInFlight: 10, Timeout: 15 * time.Second,
		Retry:       stream.Retry{Initial: 5 * time.Second, Max: 24 * time.Hour, Multiplier: 4, Jitter: 0.2, MaxAttempts: 10},
		OnExhausted: "dead_letter", DeadLetter: "billing.dead-letter", State: "active", Generation: 1,
		Begin: []stream.Beginning{
			{Stream: "orders.eu", TopicID: "t2", Generation: 1, Offsets: []int64{110, 111}},
			{Stream: "orders.us", TopicID: "t3", Generation: 1, Offsets: []int64{110}},
		},
	}
	ignore := []cmp.Option{
		cmpopts.IgnoreFields(stream.Subscription{}, "Created", "Changed"), cmpopts.IgnoreFields(stream.Endpoint{}, "Secrets"),
		cmpopts.EquateEmpty(), cmp.Comparer(func(a, b stream.Pattern) bool { return a.String() == b.String() }),
	}
	if diff := cmp.Diff(want, sub, ignore...); diff != "" {
		t.Error(diff)
	}
	if k := sub.Endpoint.Secrets; len(k) != 1 || len(k[0].Key) != 32 {
		t.Errorf("secrets %d", len(k))
	}
	if time.Since(sub.Created) > time.Minute || sub.Created != sub.Changed {
		t.Errorf("created %v, changed %v", sub.Created, sub.Changed)
	}
}

func TestEveryMemberIsKept(t *testing.T) {
	w := newWorld()
	body := `{"id":"all","streams":"orders.eu,logs.*","group":"g","from":"2026-01-31T12:00:00Z",
		"endpoint":{"url":"https://app.example","headers":{"Authorization":"Bearer hidden","X":"y"},"secret":"` + secretOf(24) + `"},
		"view":"cloudevents","filter":"record.key == 'a'","batch":{"max_records":100,"max_wait":"1.5s"},"ordering":"partition",
		"max_in_flight":1,"timeout":"2.5s","retry":{"initial":"200ms","max":60,"multiplier":2.5,"jitter":0,"max_attempts":0,"max_age":"1d","statuses":[404,401,404]},
		"on_exhausted":"pause","dead_letter":"bad","publishes":"results.*","state":"paused"}`
	made, err := w.gateway(t).Create(t.Context(), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.gateway(t).Get(t.Context(), "all") // through the log
	if err != nil {
		t.Fatal(err)
	}
	pattern := cmp.Comparer(func(a, b stream.Pattern) bool { return a.String() == b.String() })
	if diff := cmp.Diff(made, got, pattern); diff != "" {
		t.Errorf("made (-), stored (+): %s", diff)
	}
	streams, _ := stream.ParsePattern("orders.eu,logs.*")
	want := &stream.Subscription{
		ID: "all", Revision: 2, Group: "g", Streams: streams, From: "2026-01-31T12:00:00Z",
		Endpoint: stream.Endpoint{
			URL:     "https://app.example",
			Headers: []stream.Header{{Name: "Authorization", Value: []byte("Bearer hidden")}, {Name: "X", Value: []byte("y")}},
			Secrets: []stream.Secret{{Key: []byte(strings.Repeat("k", 24))}},
		},
		View: "cloudevents", Filter: "record.key == 'a'", Batch: stream.Batch{MaxRecords: 100, MaxWait: 1500 * time.Millisecond},
		Ordering: "partition", MaxInFlight: 1, Timeout: 2500 * time.Millisecond,
		Retry:       stream.Retry{Initial: 200 * time.Millisecond, Max: time.Minute, Multiplier: 2.5, MaxAge: 24 * time.Hour, Statuses: []int{401, 404}},
		OnExhausted: "pause", DeadLetter: "bad", Publishes: "results.*", State: "paused", Reason: "request", Generation: 1,
		Created: got.Created, Changed: got.Changed,
		Begin: []stream.Beginning{
			{Stream: "logs.a", TopicID: "t1", Generation: 1, Offsets: []int64{60}},
			{Stream: "orders.eu", TopicID: "t2", Generation: 1, Offsets: []int64{60, 60}},
		},
	}
	if diff := cmp.Diff(want, got, pattern); diff != "" {
		t.Errorf("want (-), got (+): %s", diff)
	}
}
