package browser_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

// texts are values whose bytes the format of event streams has something
// against, or for: each is to come as what it is, but for its line ends, of
// which the format knows one.
var texts = []string{
	"plain", "", "a\nb", "a\rb", "a\r\nb", "a\n\rb", "a\r\rb", "\n", "\r", "\r\n", "\n\n", "a\n", "\na",
	" one", "  two", "\ttab", "trailing ", " \n ", ":", ": comment", "data", "data: x", "data:x\ndata:y",
	"event: end\n\ndata: forged\n\nid: evil\nretry: 1", "id: evil\r\rdata: forged\r\r",
	"\x00", "a\x00b\n\x00", "\ufeff", "\ufeffdata: x", "a\ufeff", "a\u2028b\u2029c\u0085d\x0be\x0cf", "ü 日本 😀", "\ufffd",
	strings.Repeat("x", 900<<10), strings.Repeat("é\n", 50<<10), strings.Repeat("\r", 5000),
}

// lines gives a text with the line ends that EventSource gives all.
func lines(text string) string { return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text) }

// listen is a script that collects what an EventSource hears.
const listen = `
	const heard = []
	const source = new EventSource(%q)
	for (const name of ['message', 'record', 'gap', 'problem', 'end', 'evil', 'forged'])
		source.addEventListener(name, e => { heard.push([e.type, e.data, e.lastEventId]) })`

// format-*, dedicated-worker and shared-worker: whatever lies in Kafka, a page
// and its workers get it as it is, each with an id of its own, and nothing in it
// becomes an event.
func TestEventSourceGetsAnyText(t *testing.T) {
	t.Setenv("SLUICE_KEEP_ALIVE", "1s")
	tab, origin, b := browser(t), pages(t), kafkatest.Embedded(t)
	topic := b.Topic(t, "texts", 1, nil)
	for _, text := range texts {
		b.Produce(t, &kgo.Record{Topic: topic, Value: []byte(text)})
	}
	b.Produce(t, &kgo.Record{Topic: topic, Value: []byte("\xff")})
	g := start(t, b, "127.0.0.1:0", origin)
	url := g.url + "/streams/texts/events?view=value&from=earliest"
	listen := fmt.Sprintf(listen, url)
	visit(t, tab, origin+"/empty")
	evaluate[bool](t, tab, listen+`
		window.ask = {page: () => heard}
		const blob = text => URL.createObjectURL(new Blob([text], {type: 'text/javascript'}))
		const worker = new Worker(blob(`+"`"+strings.ReplaceAll(listen, "`", "")+`
			onmessage = () => postMessage(heard)`+"`"+`))
		ask.worker = () => new Promise(done => { worker.onmessage = e => done(e.data); worker.postMessage(0) })
		const shared = new SharedWorker(blob(`+"`"+strings.ReplaceAll(listen, "`", "")+`
			onconnect = c => { c.ports[0].onmessage = () => c.ports[0].postMessage(heard) }`+"`"+`))
		ask.shared = () => new Promise(done => { shared.port.onmessage = e => done(e.data); shared.port.postMessage(0) });
		true`)
	for _, who := range []string{"page", "worker", "shared"} {
		heard := hear(t, tab, who, len(texts)+1)
		ids := map[string]bool{}
		for i, text := range texts {
			if diff := cmp.Diff([]string{"message", lines(text)}, heard[i][:2]); diff != "" {
				t.Errorf("%s, text %d: want (-), got (+):\n%.300s", who, i, diff)
			}
			ids[heard[i][2]] = true
		}
		if last := heard[len(texts)]; last[0] != "record" || !strings.Contains(last[1], `"value":{"base64":"/w=="}`) {
			t.Errorf("%s: what is no text came as %v", who, last)
		}
		if ids[""] || len(ids) != len(texts) {
			t.Errorf("%s: %d ids of %d texts", who, len(ids), len(texts))
		}
	}
	// Comments keep the connection alive, and no listener hears them.
	evaluate[bool](t, tab, fmt.Sprintf(`(async () => {
		let text = '', aborted = new AbortController()
		const answer = await fetch(%q, {signal: aborted.signal})
		for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
			text += part
			if (text.split(': keep-alive\n').length > 2) { aborted.abort(); return true }
		}
	})().catch(e => e.name === 'AbortError')`, g.url+"/streams/texts/events"))
	b.Produce(t, &kgo.Record{Topic: topic, Value: []byte("the last")})
	for _, who := range []string{"page", "worker", "shared"} {
		heard := hear(t, tab, who, len(texts)+2)
		if got := heard[len(heard)-1]; got[1] != "the last" || len(heard) != len(texts)+2 {
			t.Errorf("%s: %d events, the last one %v", who, len(heard), got)
		}
	}
}

// hear gives what was heard, as name, data and id, when it is n or more.
func hear(t *testing.T, tab context.Context, who string, n int) [][]string {
	t.Helper()
	kafkatest.Eventually(t, patience, func() error {
		if got := evaluate[int](t, tab, "(async () => (await ask."+who+"()).length)()"); got < n {
			return fmt.Errorf("%s heard %d of %d", who, got, n)
		}
		return nil
	})
	return evaluate[[][]string](t, tab, "ask."+who+"()")
}
