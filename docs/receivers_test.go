package docs_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/kafkatest"
)

// receiver is one of examples/webhook-receiver that runs, and what it printed.
type receiver struct {
	url    string
	secret string
	output *kafkatest.Transcript
}

// freeURL gives a place where nobody listens.
func freeURL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// receivers are the commands of the examples.
func receivers(t *testing.T) map[string][]string {
	t.Helper()
	dir := filepath.Join(root, "examples/webhook-receiver")
	built := filepath.Join(t.TempDir(), "receiver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", built, "./"+dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return map[string][]string{
		"go":     {built},
		"python": {"python3", filepath.Join(dir, "receiver.py")},
		"node":   {"node", filepath.Join(dir, "receiver.mjs")},
	}
}

// receive starts a receiver, and ends it with the test.
func receive(t *testing.T, command []string, secret, url string) *receiver {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		kafkatest.Missing(t, command[0])
	}
	rc := &receiver{url: url, secret: secret, output: &kafkatest.Transcript{}}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret, "PORT="+url[strings.LastIndexByte(url, ':')+1:])
	cmd.Stdout, cmd.Stderr = rc.output, t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	kafkatest.Eventually(t, 20*time.Second, func() error {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return rc
}

// printed waits for what the receiver prints.
func (rc *receiver) printed(t *testing.T, want string) {
	t.Helper()
	kafkatest.Eventually(t, 20*time.Second, func() error {
		if diff := cmp.Diff(alike(want), alike(rc.output.String())); diff != "" {
			return errors.New("printed, (-want +now):\n" + diff)
		}
		return nil
	})
}

// letter is a delivery that the test makes.
type letter struct {
	id, timestamp, body, signature string
}

func newSecret() string {
	key := make([]byte, 32)
	rand.Read(key)
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

func signedLetter(t *testing.T, secret, id, body string, at time.Time) letter {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	l := letter{id: id, timestamp: fmt.Sprint(at.Unix()), body: body}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", l.id, l.timestamp, l.body)
	l.signature = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return l
}

// post sends a letter and gives the status.
func (rc *receiver) post(t *testing.T, l letter) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rc.url, strings.NewReader(l.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Webhook-Id", l.id)
	r.Header.Set("Webhook-Timestamp", l.timestamp)
	r.Header.Set("Webhook-Signature", l.signature)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// send posts JSON to the gateway.
func (g *gateway) send(t *testing.T, path string, body any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(g.url+path, "application/json", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusCreated {
		t.Fatalf("POST %s: %d %s", path, answer.StatusCode, text)
	}
}

// TestReceivers: each of the examples takes what the gateway sends, once, and
// refuses what somebody else made up.
func TestReceivers(t *testing.T) {
	g := start(t)
	g.send(t, "/schemas/Reading/versions", map[string]any{"schema": true, "streams": []string{"readings"}})
	for name, command := range receivers(t) {
		t.Run(name, func(t *testing.T) {
			rc := receive(t, command, newSecret(), freeURL(t))
			rc.refusesForged(t)
			printed := rc.takesOnce(t)

			g.send(t, "/subscriptions", map[string]any{
				"id": name, "streams": "readings", "endpoint": map[string]string{"url": rc.url, "secret": rc.secret},
				"filter": fmt.Sprintf("record.key == %q", name),
			})
			g.send(t, "/streams/readings?key="+name, map[string]any{"celsius": 21})
			_, page := g.get(t, "/streams/readings/records?limit=1000")
			lines := struct{ Records []json.RawMessage }{}
			if err := json.Unmarshal([]byte(page), &lines); err != nil || len(lines.Records) == 0 {
				t.Fatalf("%v: %s", err, page)
			}
			rc.printed(t, printed+string(lines.Records[len(lines.Records)-1])+"\n")
		})
	}
}

func (rc *receiver) refusesForged(t *testing.T) {
	t.Helper()
	now := time.Now()
	changed := signedLetter(t, rc.secret, "a", `{"data":1}`, now)
	changed.body = `{"data":2}`
	unsigned := letter{id: "a", timestamp: fmt.Sprint(now.Unix()), body: `{"data":3}`}
	timeless := signedLetter(t, rc.secret, "a", `{"data":4}`, now)
	timeless.timestamp = ""
	for name, l := range map[string]letter{
		"another secret": signedLetter(t, newSecret(), "a", `{"data":5}`, now),
		"changed":        changed,
		"unsigned":       unsigned,
		"no time":        timeless,
		"old":            signedLetter(t, rc.secret, "a", `{"data":6}`, now.Add(-6*time.Minute)),
		"of the future":  signedLetter(t, rc.secret, "a", `{"data":7}`, now.Add(6*time.Minute)),
	} {
		if status := rc.post(t, l); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
	rc.printed(t, "")
}

// takesOnce posts what is signed, again, and gives what must have been printed.
func (rc *receiver) takesOnce(t *testing.T) (printed string) {
	t.Helper()
	now := time.Now()
	rotated := signedLetter(t, rc.secret, "c", `{"data":3}`, now)
	rotated.signature = "v1,c2hvcnQ= " + rotated.signature
	for i, l := range []letter{
		signedLetter(t, rc.secret, "a", `{"data":"ä"}`, now),
		signedLetter(t, rc.secret, "a", `{"data":"ä"}`, now.Add(time.Second)),
		signedLetter(t, rc.secret, "b", `{"records":[{"data":1},{"data":2}]}`, now.Add(-4*time.Minute)),
		rotated,
	} {
		if status := rc.post(t, l); status != http.StatusNoContent {
			t.Errorf("letter %d: %d", i, status)
		}
	}
	broken := signedLetter(t, rc.secret, "d", `{`, now)
	if status := rc.post(t, broken); status != http.StatusInternalServerError {
		t.Errorf("what cannot be handled: %d", status)
	}
	printed = "{\"data\":\"ä\"}\n{\"data\":1}\n{\"data\":2}\n{\"data\":3}\n"
	rc.printed(t, printed)
	return printed
}
