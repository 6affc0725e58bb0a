package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

// The keys and the token of the installation; they protect nothing.
const (
	storedToken     = "sluice_ARpDkzVhT4121xgpku5nDl62_XwtTN5pAlSfV9L4m_E"
	storedSecretKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	storedEventKey  = "HxAeDx0OHA0bDBoLGQoYCRcIFgcVBhQFEwQSAxECEAE="
	storedConfig    = `auth:
  tokens: [{name: admin, sha256: 4d68a3f02df391da21c32c9759a4c285b89924ca5334ea2fce81c29a345286e6}]
  rules: [{principals: ["token:admin"], actions: [manage, publish, subscribe], streams: ["*"], schemas: ["*"], groups: ["*"]}]
  event_token_keys: ` + storedEventKey + `
audit: {stream: audit}
webhooks:
  allow_networks: [127.0.0.0/8]
`
)

// installation is a gateway of some version with its own broker, and those who
// use it.
type installation struct {
	program string
	dir     string // of the data
	notary  *notary
	gateway *gateway
}

// notes is what an installation's clients and receivers keep over an upgrade.
type notes struct {
	Answers []question `json:"answers"`

	Next        string   `json:"next"`          // of a page
	LastEventID string   `json:"last_event_id"` // of the last event of Read
	Read        []string `json:"read"`          // places of the events that were read
	Rest        []string `json:"rest"`          // of those after them
	EventToken  string   `json:"event_token"`

	Secrets map[string]string            `json:"secrets"` // by subscription
	Taken   map[string][]string          `json:"taken"`   // places that an endpoint took
	Failed  map[string]map[string]string `json:"failed"`  // webhook-id of each place that it refused
}

// question is a request and its answer.
type question struct {
	Path   string          `json:"path"`
	Status int             `json:"status"`
	ETag   string          `json:"etag,omitempty"`
	Body   json.RawMessage `json:"body"`
}

// start starts the installation's gateway; sealed is whether it encrypts
// secrets.
func (in *installation) start(t *testing.T, sealed bool) {
	t.Helper()
	text := storedConfig + fmt.Sprintf("  proxy: %q\n", in.notary.URL)
	if sealed {
		text += "  secret_keys: " + storedSecretKey + "\n"
	}
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in.gateway = launchProgram(t, in.program, "--embedded", "--data-dir", in.dir, "--config", config)
	in.gateway.awaitReady(t)
}

// stop asks the gateway to end, as an upgrade does.
func (in *installation) stop(t *testing.T) {
	t.Helper()
	in.gateway.signal(t, syscall.SIGTERM)
	if code := in.gateway.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("the gateway ended with %d", code)
	}
}

// ask makes a request, written as in "PUT /streams/orders", as the
// administrator. Each further string is a header's name or value.
func (in *installation) ask(t *testing.T, what, body string, header ...string) answer {
	t.Helper()
	method, path, _ := strings.Cut(what, " ")
	h := map[string]string{"Authorization": "Bearer " + storedToken, "Content-Type": "application/json"}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return in.gateway.do(t, request{method, path, body, h})
}

// makeStored lets a program write all that gateways store, and stops it.
func makeStored(t *testing.T, program, dir string) *notes {
	in := &installation{program: program, dir: dir, notary: newNotary(t)}
	n := &notes{Secrets: map[string]string{}, Taken: map[string][]string{}, Failed: map[string]map[string]string{}}
	in.start(t, false)
	in.makeStreams(t)
	in.publishAll(t)
	in.subscribe(t, n, `{"id":"open","streams":"plain","from":"earliest","endpoint":{"url":"http://127.0.0.1:9/open","headers":{"X-Account":"open"}},"state":"paused"}`)
	in.stop(t)

	in.start(t, true)
	in.makeSubscriptions(t, n)
	in.deliver(t, n)
	in.read(t, n)
	n.Answers = in.interview(t)
	in.stop(t)
	return n
}

func (in *installation) makeStreams(t *testing.T) {
	const second = `{"type":"object","required":["id"],"properties":{"id":{"type":"integer"},"note":{"type":"string"}}}`
	for _, step := range []struct {
		what, body string
		status     int
	}{
		{"POST /schemas/Order/versions", `{"schema":` + order + `}`, 201},
		{"POST /schemas/Order/versions", `{"schema":` + second + `,"retention":"36500d"}`, 201},
		{"POST /schemas/Note/versions", `{"schema":{"type":"string"}}`, 201},
		{"DELETE /schemas/Note/versions/1", "", 204},
		{"PUT /streams/orders", `{"schema":"Order","partitions":3}`, 201},
		{"PUT /streams/plain", `{"schema":"Order:1","envelope":false,"partitions":1}`, 201},
		{"PUT /streams/moved", `{"schema":"Order:1","partitions":1}`, 201},
		{"PUT /streams/moved", `{"schema":"Order:2"}`, 200},
		{"PUT /streams/gone", `{"schema":"Order:1"}`, 201},
		{"DELETE /streams/gone", "", 204},
	} {
		if a := in.ask(t, step.what, step.body); a.status != step.status {
			t.Fatalf("%s: %d %s", step.what, a.status, a.body)
		}
	}
}

// publishAll publishes what is the same, to the byte, whoever publishes it.
func (in *installation) publishAll(t *testing.T) {
	publish := func(path, body string, header ...string) {
		t.Helper()
		if a := in.ask(t, "POST "+path, body, header...); a.status != 201 {
			t.Fatalf("publish to %s: %d %s", path, a.status, a.body)
		}
	}
	for i := range 20 {
		publish(fmt.Sprintf("/streams/orders?key=k%d&timestamp=2026-01-31T12:00:%02dZ", i%4, i), fmt.Sprintf(`{"id":%d}`, i),
			"Kafka-Header-origin", "shop", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	}
	publish("/streams/orders?key=odd&schema=Order:1", `{ "id": 100, "text": "\u00e4 ä", "large": 1e400 }`)
	publish("/streams/orders?key=&schema=Order", `{"id":101}`)
	publish("/streams/orders?key=gone&tombstone=true", "")
	publish("/streams/orders", `{"key":"line","headers":{"a":["1","2"],"b":null,"c":{"base64":"/w=="}},"timestamp":"2026-01-31T12:01:00Z","data":{"id":102}}`+"\n",
		"Content-Type", "application/x-ndjson")
	publish("/streams/plain?key=p", `{"id":1}`)
	publish("/streams/plain?key=p", `{"id":2}`, "ce-specversion", "1.0", "ce-id", "event-2", "ce-source", "/shop", "ce-type", "order.made", "ce-time", "2026-01-31T12:02:00Z")
	publish("/streams/moved?key=m", `{"id":1,"note":"moved"}`)

	client := in.client(t) // another program's topic
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, "foreign"); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "foreign", Key: []byte{0xff}, Value: []byte{0xfe, 0}},
		&kgo.Record{Topic: "foreign", Value: []byte(`{"id":1}`), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// client is a Kafka client of the installation's broker.
func (in *installation) client(t *testing.T) *kgo.Client {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(in.dir, "broker.json"))
	if err != nil {
		t.Fatal(err)
	}
	var broker struct{ Port int }
	if err := json.Unmarshal(text, &broker); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(fmt.Sprint("127.0.0.1:", broker.Port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// subscribe makes a subscription and notes its secret.
func (in *installation) subscribe(t *testing.T, n *notes, body string) {
	t.Helper()
	made := in.ask(t, "POST /subscriptions", body).want(t, 201)
	n.Secrets[made["id"].(string)] = made["endpoint"].(map[string]any)["secret"].(string)
}

func (in *installation) makeSubscriptions(t *testing.T, n *notes) {
	const retry = `"retry":{"initial":"100ms","max":"500ms","max_attempts":0}`
	in.notary.answer(func(subscription, key string) int {
		switch {
		case subscription == "bills" && key == "k0":
			return http.StatusInternalServerError
		case subscription == "letters":
			return http.StatusUnprocessableEntity
		}
		return http.StatusNoContent
	})
	in.subscribe(t, n, `{"id":"full","streams":"orders,plain","group":"full-group","from":"earliest","state":"paused",
		"endpoint":{"url":"http://127.0.0.1:9/full","headers":{"X-Account":"full"}},"view":"cloudevents","filter":"record.partition == 0","batch":{"max_records":1,"max_wait":"1s"},
		"ordering":"partition","max_in_flight":3,"timeout":"5s","retry":{"initial":"1s","max":"1m","multiplier":3,"jitter":0.5,"max_attempts":7,"max_age":"1d","statuses":[404]},
		"on_exhausted":"pause","dead_letter":"full.letters","publishes":"answers.*"}`)
	in.ask(t, "POST /subscriptions/full/position", `{"offsets":[{"stream":"orders","partition":1,"offset":2}]}`).want(t, 200)
	in.subscribe(t, n, `{"id":"gone","streams":"orders","endpoint":{"url":"http://127.0.0.1:9/gone"}}`)
	in.ask(t, "DELETE /subscriptions/gone", "").want(t, 204)
	in.subscribe(t, n, `{"id":"bills","streams":"orders","from":"earliest","endpoint":{"url":"http://127.0.0.1:9/bills","headers":{"X-Account":"bills"}},`+retry+`}`)
	rotated := in.ask(t, "POST /subscriptions/bills/secret", "").want(t, 200)
	n.Secrets["bills"] = rotated["endpoint"].(map[string]any)["secret"].(string)
	in.subscribe(t, n, `{"id":"letters","streams":"orders","from":"earliest","filter":"record.key == 'k1'","endpoint":{"url":"http://127.0.0.1:9/letters"},`+retry+`}`)
}

// deliver waits until of bills all but one key is delivered, and all of letters
// are dead letters, which are being delivered again, in vain.
func (in *installation) deliver(t *testing.T, n *notes) {
	kafkatest.Eventually(t, 2*patience, func() error {
		taken, failed := in.notary.attempts("bills", http.StatusNoContent), in.notary.attempts("bills", http.StatusInternalServerError)
		dead := in.notary.attempts("letters", http.StatusUnprocessableEntity)
		status := in.ask(t, "GET /subscriptions/letters/status", "")
		if len(taken) != 19 || len(failed) != 1 || len(dead) != 5 || !strings.Contains(status.body, `"dead_letters":5`) {
			return fmt.Errorf("taken %d, failed %d, dead %d: %s", len(taken), len(failed), len(dead), status.body)
		}
		for _, f := range failed {
			if f.attempt < 3 {
				return fmt.Errorf("attempt %d", f.attempt)
			}
		}
		return nil
	})
	in.notary.answer(func(subscription, key string) int {
		if subscription == "letters" || key == "k0" {
			return http.StatusInternalServerError
		}
		return http.StatusNoContent
	})
	in.ask(t, "POST /subscriptions/letters/redrive", "").want(t, 202)
	kafkatest.Eventually(t, 2*patience, func() error {
		if len(in.notary.attempts("letters", http.StatusInternalServerError)) == 0 {
			return errors.New("no dead letter came")
		}
		if status := in.ask(t, "GET /subscriptions/bills/status", "").json(t); status["last_error"] == nil {
			return fmt.Errorf("its owner has told of no error: %v", status)
		}
		return nil
	})
	n.Taken["bills"] = slices.Sorted(maps.Keys(in.notary.attempts("bills", http.StatusNoContent)))
	for subscription, status := range map[string]int{"bills": http.StatusInternalServerError, "letters": http.StatusUnprocessableEntity} {
		n.Failed[subscription] = map[string]string{}
		for place, d := range in.notary.attempts(subscription, status) {
			n.Failed[subscription][place] = d.id
		}
	}
}

// read reads half of what there is, in each way, and keeps the places.
func (in *installation) read(t *testing.T, n *notes) {
	const half, all = 10, 26
	page := in.ask(t, "GET /streams/orders,plain/records?limit=10", "").want(t, 200)
	n.Next = page["next"].(string)
	in.ask(t, "POST /groups/readers/commit", `{"position":"`+n.Next+`"}`).want(t, 204)
	first := in.events(t, "/streams/orders,plain/events?from=earliest", half, "Authorization", "Bearer "+storedToken)
	n.LastEventID, n.Read = first[half-1].id, places(first)
	rest := in.events(t, "/streams/orders,plain/events", all-half, "Authorization", "Bearer "+storedToken, "Last-Event-ID", n.LastEventID)
	n.Rest = places(rest)
	token := in.ask(t, "POST /event-tokens", `{"streams":"orders,plain","expires_in":"15m"}`).want(t, 201)
	n.EventToken = token["token"].(string)
}

// told is one event of an event stream that has a record.
type told struct{ id, place string }

func places(events []told) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = e.place
	}
	slices.Sort(all)
	return all
}

// events reads n records of an event stream.
func (in *installation) events(t *testing.T, path string, n int, header ...string) []told {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, in.gateway.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []told
	var id string
	for lines := bufio.NewScanner(resp.Body); len(all) < n && lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			t.Fatalf("%s: an event %s", path, value)
		case "data":
			var r struct {
				Stream            string
				Partition, Offset int64
			}
			if err := json.Unmarshal([]byte(value), &r); err != nil {
				t.Fatal(err)
			}
			all = append(all, told{id, fmt.Sprint(r.Stream, "/", r.Partition, "/", r.Offset)})
		}
	}
	if len(all) < n {
		t.Fatalf("%s: %d, and %d of %d events", path, resp.StatusCode, len(all), n)
	}
	return all
}

// interview asks for all that does not change while nobody changes it.
func (in *installation) interview(t *testing.T) []question {
	paths := []string{
		"/schemas", "/schemas/Order", "/schemas/Order/versions/1", "/schemas/Order/versions/2", "/schemas/Note/versions/1",
		"/streams?pattern=[fgmop]*", "/streams/gone", "/streams/foreign", "/streams/letters.dead-letter",
		"/streams/letters.dead-letter/records", "/streams/audit/records/0/0", "/streams/foreign/records",
		"/streams/orders/records/0/0", "/streams/plain/records", "/streams/moved/records", "/groups/readers",
		"/subscriptions", "/subscriptions/gone", "/subscriptions/open/status", "/subscriptions/full/status",
	}
	for _, id := range []string{"orders", "plain", "moved"} {
		paths = append(paths, "/streams/"+id)
	}
	for p := range 3 {
		paths = append(paths, fmt.Sprint("/streams/orders/records?partition=", p))
	}
	for _, id := range []string{"open", "full", "bills", "letters"} {
		paths = append(paths, "/subscriptions/"+id)
	}
	var all []question
	for _, path := range paths {
		a := in.question(t, path)
		all = append(all, question{path, a.status, a.header.Get("ETag"), json.RawMessage(a.body)})
	}
	return all
}

// question asks for something. Of records it gives all, as one object: a page
// may have fewer than there are.
func (in *installation) question(t *testing.T, path string) answer {
	t.Helper()
	if !strings.Contains(path, "/records") {
		return in.ask(t, "GET "+path, "")
	}
	a := in.ask(t, "GET "+path, "", "Accept", "application/x-ndjson")
	if a.header.Get("Content-Type") != "application/x-ndjson" {
		return a
	}
	lines := strings.Split(strings.TrimSpace(a.body), "\n")
	last := len(lines) - 1
	a.body = `{"records":[` + strings.Join(lines[:last], ",") + `],"end":[` + lines[last] + `]}`
	if !strings.HasPrefix(lines[last], `{"next":`) {
		t.Fatalf("GET %s was cut: %s", path, lines[last])
	}
	return a
}
