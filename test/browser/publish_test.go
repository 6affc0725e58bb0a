package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/kafkatest"
)

// answer is what a page sees of an answer.
type answer struct {
	Status   int
	Location string
	Type     string // "opaque" where the browser keeps it from the page
	Error    string
}

// Of another origin's pages those of the allowed one may publish. What a
// foreign page sends is not stored, whether the browser asks first or not.
func TestPagesPublish(t *testing.T) {
	tab, origin, b := browser(t), pages(t), kafkatest.Embedded(t)
	g := start(t, b, "127.0.0.1:0", origin)
	register(t, g)
	send := func(options string) answer {
		t.Helper()
		return evaluate[answer](t, tab, fmt.Sprintf(
			`fetch(%q, {method: 'POST', body: '{}', %s}).then(
				a => ({Status: a.status, Location: a.headers.get('Location') ?? '', Type: a.type, Error: ''}),
				e => ({Status: 0, Location: '', Type: '', Error: e.name}))`, g.url+"/streams/clicks?partition=0", options))
	}
	const plain, asked = `mode: 'cors'`, `headers: {'Content-Type': 'application/json', 'Kafka-Header-Page': 'yes'}`

	visit(t, tab, origin+"/empty")
	for i, options := range []string{plain, asked, asked + `, credentials: 'include'`} {
		want := answer{201, fmt.Sprintf("/streams/clicks/records/0/%d", i), "cors", ""}
		if got := send(options); got != want {
			t.Errorf("allowed, %s: got %+v, want %+v", options, got, want)
		}
	}

	visit(t, tab, pages(t)+"/empty")
	for options, want := range map[string]answer{
		plain:             {Error: "TypeError"},
		asked:             {Error: "TypeError"},
		`mode: 'no-cors'`: {Type: "opaque"},
		`mode: 'no-cors', headers: {'Content-Type': 'text/plain'}, credentials: 'include'`: {Type: "opaque"},
	} {
		if got := send(options); got != want {
			t.Errorf("foreign, %s: got %+v, want %+v", options, got, want)
		}
	}

	visit(t, tab, origin+"/empty")
	if got := send(plain); got.Location != "/streams/clicks/records/0/3" {
		t.Errorf("got %+v: something of the foreign page was stored", got)
	}
}

// register makes the stream clicks, for any data.
func register(t *testing.T, g *process) {
	t.Helper()
	body := strings.NewReader(`{"schema":true,"streams":["clicks"]}`)
	resp, err := http.Post(g.url+"/schemas/Click/versions", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("register: %d", resp.StatusCode)
	}
}
