package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

// pages serves the examples and an empty page, from an origin of its own.
func pages(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/examples/", http.StripPrefix("/examples/", http.FileServer(http.Dir("../../examples"))))
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>empty</title>")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// counter writes {"n":…} to a topic, past the gateway, counting on.
type counter struct {
	broker *kafkatest.Broker
	topic  string
	n      int
}

func (c *counter) write(t *testing.T, count int) {
	t.Helper()
	var records []*kgo.Record
	for range count {
		records = append(records, &kgo.Record{Topic: c.topic, Value: fmt.Appendf(nil, `{"n":%d}`, c.n)})
		c.n++
	}
	c.broker.Produce(t, records...)
}

// The example page, of another origin, reads on by itself over crashes of the
// gateway, and shows each record once, in order.
func TestEventSourceSurvivesCrashes(t *testing.T) {
	tab, origin, b := browser(t), pages(t), kafkatest.Embedded(t)
	numbers := &counter{broker: b, topic: b.Topic(t, "numbers", 1, nil)}
	numbers.write(t, 3)
	g := start(t, b, "127.0.0.1:0", origin)
	listen := strings.TrimPrefix(g.url, "http://")

	visit(t, tab, origin+"/examples/follow.html?stream=numbers&from=earliest&gateway="+url.QueryEscape(g.url))
	shown := func() []string {
		t.Helper()
		var want []string
		for n := range numbers.n {
			want = append(want, fmt.Sprintf(`{"n":%d}`, n))
		}
		var got []string
		kafkatest.Eventually(t, patience, func() error {
			got = evaluate[[]string](t, tab, `[...document.querySelectorAll('#records li')].map(i => JSON.stringify(JSON.parse(i.textContent).data))`)
			if len(got) < len(want) {
				return fmt.Errorf("%d of %d records are shown; the page says %q", len(got), len(want),
					evaluate[string](t, tab, `document.getElementById('state').textContent`))
			}
			return nil
		})
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		return got
	}
	shown()
	for range 2 {
		numbers.write(t, 20)
		g.kill() // wherever it is
		numbers.write(t, 5)
		g = start(t, b, listen, origin)
		numbers.write(t, 5)
		shown()
	}
}

// A reader that saw no record yet resumes too: what came while the gateway was
// away is not left out.
func TestEventSourceThatSawNothingResumes(t *testing.T) {
	tab, origin, b := browser(t), pages(t), kafkatest.Embedded(t)
	numbers := &counter{broker: b, topic: b.Topic(t, "numbers", 3, nil)}
	numbers.write(t, 3) // before it follows
	g := start(t, b, "127.0.0.1:0", origin)

	visit(t, tab, origin+"/empty")
	evaluate[bool](t, tab, fmt.Sprintf(`new Promise(done => {
		window.seen = []
		window.opened = 0
		const source = new EventSource(%q)
		source.onopen = () => { window.opened++; done(true) }
		source.onmessage = e => window.seen.push(JSON.parse(e.data).data.n)
	})`, g.url+"/streams/numbers/events"))
	g.kill()
	numbers.write(t, 4)
	start(t, b, strings.TrimPrefix(g.url, "http://"), origin)
	numbers.write(t, 1)
	var got []int
	kafkatest.Eventually(t, patience, func() error {
		if got = evaluate[[]int](t, tab, `window.seen`); len(got) < 5 {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
	if slices.Sort(got); !slices.Equal(got, []int{3, 4, 5, 6, 7}) {
		t.Errorf("got %v", got)
	}
}

// A page that reads with fetch sends Last-Event-ID itself, for which the browser
// asks first; and it sees the headers it needs.
func TestFetchResumes(t *testing.T) {
	tab, origin, b := browser(t), pages(t), kafkatest.Embedded(t)
	numbers := &counter{broker: b, topic: b.Topic(t, "numbers", 1, nil)}
	numbers.write(t, 5)
	g := start(t, b, "127.0.0.1:0", origin)
	visit(t, tab, origin+"/empty")
	id := evaluate[string](t, tab, fmt.Sprintf(`new Promise(done => {
		const source = new EventSource(%q)
		source.onmessage = e => { if (JSON.parse(e.data).data.n === 2) { source.close(); done(e.lastEventId) } }
	})`, g.url+"/streams/numbers/events?from=earliest"))
	read := fmt.Sprintf(`(async () => {
		const answer = await fetch(%q, {headers: {'Last-Event-ID': %q, 'Accept': 'text/event-stream'}})
		let text = ''
		for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
			text += part
			if (text.includes('"n":4')) return text
		}
	})()`, g.url+"/streams/numbers/events", id)
	text := evaluate[string](t, tab, read)
	if strings.Contains(text, `"n":2`) || !strings.Contains(text, `"n":3`) {
		t.Errorf("got %s", text)
	}

	visit(t, tab, pages(t)+"/empty") // a foreign page
	if refused := evaluate[string](t, tab, read+`.catch(e => e.name)`); refused != "TypeError" {
		t.Errorf("a foreign page got %q", refused)
	}
}
