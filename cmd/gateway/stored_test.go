package main_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/kafkatest"
)

// storedVersions is where each version of what gateways store has its
// fixtures: data.tar.gz, the data directory that a gateway of that version
// left, and notes.json, what its clients and receivers kept. See
// docs/STORED.md.
const storedVersions = "testdata/stored"

// What gateways of each former version stored is read by this one: an upgrade
// by stopping one and starting the other. Whoever was in the middle of
// something goes on.
func TestStoredByFormerVersionsIsRead(t *testing.T) {
	versions, err := os.ReadDir(storedVersions)
	if err != nil {
		t.Fatal(err)
	}
	if len(versions) == 0 {
		t.Fatal("there are no fixtures")
	}
	for _, v := range versions {
		t.Run(v.Name(), func(t *testing.T) {
			dir := t.TempDir()
			n := unpackStored(t, filepath.Join(storedVersions, v.Name()), dir)
			in := &installation{program: binary, dir: dir, notary: newNotary(t)}
			in.start(t, true)
			in.goOn(t, n)
			in.stop(t)
		})
	}
}

// unpackStored unpacks a fixture's data into dir, and gives its notes.
func unpackStored(t *testing.T, fixture, dir string) *notes {
	t.Helper()
	packed, err := os.Open(filepath.Join(fixture, "data.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var content []byte
		if err == nil {
			content, err = io.ReadAll(archive)
		}
		if err == nil {
			err = root.MkdirAll(filepath.Dir(h.Name), 0o700)
		}
		if err == nil {
			err = root.WriteFile(h.Name, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return readNotes(t, fixture)
}

func readNotes(t *testing.T, fixture string) *notes {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(fixture, "notes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var n notes
	if err := json.Unmarshal(text, &n); err != nil {
		t.Fatal(err)
	}
	return &n
}

// goOn holds a gateway that has just taken over against the notes of those who
// used the one before.
func (in *installation) goOn(t *testing.T, n *notes) {
	t.Helper()
	in.compare(t, n.Answers)
	in.readOn(t, n)
	in.deliverOn(t, n)
	in.changeOn(t)
}

// compare asks again what was asked before the upgrade. Members may have been
// added; what was there is the same.
func (in *installation) compare(t *testing.T, before []question) {
	t.Helper()
	for _, q := range before {
		a := in.question(t, q.Path)
		if a.status != q.Status || a.header.Get("ETag") != q.ETag {
			t.Errorf("GET %s: got %d with ETag %s, was %d with %s: %s", q.Path, a.status, a.header.Get("ETag"), q.Status, q.ETag, a.body)
			continue
		}
		for _, wrong := range lacks("", a.json(t), answer{body: string(q.Body)}.json(t)) {
			t.Errorf("GET %s: %s", q.Path, wrong)
		}
	}
}

// lacks says what of want is not in got, which may have members more.
func lacks(at string, got, want any) (wrong []string) {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			break
		}
		for name, value := range want {
			// Positions are tokens, and those of the errors are of the request.
			if name != "next" && name != "instance" {
				wrong = append(wrong, lacks(at+"/"+name, object[name], value)...)
			}
		}
		return wrong
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			break
		}
		for i := range want {
			wrong = append(wrong, lacks(fmt.Sprint(at, "/", i), list[i], want[i])...)
		}
		return wrong
	}
	if diff := cmp.Diff(want, got); diff != "" {
		wrong = append(wrong, fmt.Sprintf("%s was (-), is (+):\n%s", at, diff))
	}
	return wrong
}

// readOn goes on reading where the former gateway's clients were.
func (in *installation) readOn(t *testing.T, n *notes) {
	t.Helper()
	const path = "/streams/orders,plain/events"
	all := slices.Sorted(slices.Values(append(slices.Clone(n.Read), n.Rest...)))
	bearer := []string{"Authorization", "Bearer " + storedToken}
	same := func(what string, got []string, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", what, diff)
		}
	}
	rest := in.events(t, path, len(n.Rest), append(bearer, "Last-Event-ID", n.LastEventID)...)
	same("events after a Last-Event-ID of the former version", places(rest), n.Rest)
	same("all events", places(in.events(t, path+"?from=earliest", len(all), bearer...)), all)

	page := in.question(t, "/streams/orders,plain/records?from="+n.Next).want(t, 200)
	if got := len(page["records"].([]any)); got != len(all)-10 {
		t.Errorf("after a page's next: %d records, want %d", got, len(all)-10)
	}
	joined := in.events(t, path+"?group=readers", len(all)-10, bearer...)
	if got := places(joined); len(got) != len(slices.Compact(got)) {
		t.Errorf("in a group after its commit: %v", got)
	}
	// A token of the former version's form that has not expired yet.
	claims := fmt.Sprintf(`{"n":"token:admin","s":"orders,plain","e":%d}`, time.Now().Add(10*time.Minute).UnixMilli())
	token := sealEventToken(t, claims)
	same("events with an event token", places(in.events(t, path+"?from=earliest&access_token="+token, len(all))), all)
}

// deliverOn holds the deliveries after an upgrade against those before: only
// what was not taken comes, under the same webhook-id.
func (in *installation) deliverOn(t *testing.T, n *notes) {
	t.Helper()
	in.ask(t, "POST /subscriptions/open/resume", "").want(t, 200)
	in.ask(t, "POST /streams/orders?key=k9", `{"id":200}`).want(t, 201)
	expect := map[string]int{"bills": 5 + 1, "letters": 5, "open": 2}
	kafkatest.Eventually(t, 2*patience, func() error {
		for subscription, want := range expect {
			status := in.ask(t, "GET /subscriptions/"+subscription+"/status", "").want(t, 200)
			got := in.notary.attempts(subscription, http.StatusNoContent)
			if len(got) != want || status["dead_letters"] != json.Number("0") || subscription == "bills" && status["lag"] != json.Number("0") {
				return fmt.Errorf("%s: %d of %d came: %v", subscription, len(got), want, status)
			}
		}
		return nil
	})
	for subscription := range expect {
		came := in.notary.attempts(subscription, http.StatusNoContent)
		for place, d := range came {
			if slices.Contains(n.Taken[subscription], place) {
				t.Errorf("%s: %s had been taken, and came again", subscription, place)
			}
			if !d.signedBy(t, n.Secrets[subscription]) {
				t.Errorf("%s: %s is not signed with the secret", subscription, place)
			}
			if subscription != "letters" && d.header != subscription {
				t.Errorf("%s: the endpoint's header is %q", subscription, d.header)
			}
		}
		for place, id := range n.Failed[subscription] {
			if d := came[place]; d.id != id || subscription == "bills" && d.attempt < 2 {
				t.Errorf("%s: %s came with webhook-id %q as attempt %d, was %q", subscription, place, d.id, d.attempt, id)
			}
		}
	}
}

// changeOn changes what the former gateway made.
func (in *installation) changeOn(t *testing.T) {
	t.Helper()
	full := in.ask(t, "GET /subscriptions/full", "")
	for _, step := range []struct {
		what, body string
		status     int
		header     []string
	}{
		{"POST /schemas/Order/versions", `{"schema":` + order + `,"version":1}`, 200, nil},
		{"POST /schemas/Order/versions", `{"schema":{},"version":1}`, 409, nil},
		{"POST /schemas/Note/versions", `{"schema":{"type":"string"}}`, 201, nil},
		{"POST /schemas/Order/versions", `{"schema":{"type":"object","required":["id","by"]}}`, 201, nil},
		{"POST /streams/orders?key=k1", `{"id":201}`, 422, nil},
		{"POST /streams/orders?key=k1", `{"id":201,"by":"new"}`, 201, nil},
		{"POST /streams/plain?key=p", `{"id":3}`, 201, nil},
		{"POST /streams/foreign", `{"id":3}`, 409, nil},
		{"PUT /streams/moved", `{"schema":"Order:1"}`, 200, nil},
		{"POST /streams/letters.dead-letter", `{"id":1}`, 409, nil},
		{"PUT /subscriptions/full", full.body, 412, []string{"If-Match", `"1"`}},
		{"PUT /subscriptions/full", full.body, 200, []string{"If-Match", full.header.Get("ETag")}},
		{"DELETE /subscriptions/full", "", 204, nil},
	} {
		if a := in.ask(t, step.what, step.body, step.header...); a.status != step.status {
			t.Errorf("%s %s: got %d, want %d: %s", step.what, step.body, a.status, step.status, strings.TrimSpace(a.body))
		}
	}
}
