// These tests run the built program as a user does: they start processes, and
// speak HTTP to them and Kafka to the broker behind.
package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/kafkatest"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// binary is the program under test, built once with the race detector.
var binary string

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "gateway")
	build := exec.Command("go", "build", "-race", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the gateway:", err)
		return 1
	}
	return m.Run()
}

// gateway is a running process.
type gateway struct {
	url  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  *kafkatest.Transcript
}

var listening = regexp.MustCompile(`"url":"(http://[^"]+)"`)

// launch starts the program and waits until it says where it listens.
func launch(t *testing.T, args ...string) *gateway {
	t.Helper()
	return launchProgram(t, binary, args...)
}

// launchProgram launches the program of another version.
func launchProgram(t *testing.T, program string, args ...string) *gateway {
	t.Helper()
	g := &gateway{log: &kafkatest.Transcript{}, done: make(chan struct{})}
	g.cmd = exec.Command(program, append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	g.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1 exitcode=66")
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = g.cmd.Wait() // how it ended is in ProcessState
		close(g.done)
	}()
	t.Cleanup(func() { g.end(t) })
	kafkatest.Eventually(t, patience, func() error {
		if m := listening.FindStringSubmatch(g.log.String()); m != nil {
			g.url = m[1]
			return nil
		}
		return errors.New("it does not say where it listens")
	})
	return g
}

// end kills what still runs, and shows the log of a failed test and what the
// race detector found.
func (g *gateway) end(t *testing.T) {
	t.Helper()
	_ = g.cmd.Process.Kill() // it may have ended
	<-g.done
	if text := g.log.String(); t.Failed() || strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") {
		t.Errorf("the gateway's log, without its requests:\n%s", noRequests.ReplaceAllString(text, ""))
	}
}

var noRequests = regexp.MustCompile(`(?m)^.*"msg":"request".*\n`)

// signal sends a signal and returns when the process has ended.
func (g *gateway) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := g.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-g.done:
	case <-time.After(patience):
		t.Fatal("the process did not end")
	}
}

// start runs a gateway on a broker and waits until it is ready.
func start(t *testing.T, b *kafkatest.Broker, args ...string) *gateway {
	t.Helper()
	return startProgram(t, binary, b, args...)
}

// startProgram starts the program of another version.
func startProgram(t *testing.T, program string, b *kafkatest.Broker, args ...string) *gateway {
	t.Helper()
	g := launchProgram(t, program, append([]string{"--kafka-servers", b.Addr, "--topic-prefix", b.Prefix(), "--replication-factor", "1"}, args...)...)
	g.awaitReady(t)
	return g
}

func (g *gateway) awaitReady(t *testing.T) {
	t.Helper()
	kafkatest.Eventually(t, patience, func() error {
		if a := g.get(t, "/health/ready"); a.status != 200 {
			return fmt.Errorf("not ready: %d %s", a.status, a.body)
		}
		return nil
	})
}

// answer is an HTTP answer, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// request is an HTTP request in few words.
type request struct {
	method, path, body string
	header             map[string]string
}

func (g *gateway) do(t testing.TB, r request) answer {
	t.Helper()
	a, err := g.try(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (g *gateway) try(ctx context.Context, r request) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, g.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

func (g *gateway) get(t testing.TB, path string) answer {
	t.Helper()
	return g.do(t, request{method: "GET", path: path})
}

func (g *gateway) post(t testing.TB, path, body string) answer {
	t.Helper()
	return g.do(t, request{method: "POST", path: path, body: body})
}

func (g *gateway) put(t testing.TB, path, body string) answer {
	t.Helper()
	return g.do(t, request{method: "PUT", path: path, body: body, header: map[string]string{"Content-Type": "application/json"}})
}

// want fails the test unless the answer has the status, and gives its body as
// JSON.
func (a answer) want(t testing.TB, status int) map[string]any {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %d, want %d: %s", a.status, status, a.body)
	}
	return a.json(t)
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	if strings.TrimSpace(a.body) == "" {
		return nil
	}
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return v
}

// problem fails the test unless the answer is that problem.
func (a answer) problem(t testing.TB, status int, slug string) map[string]any {
	t.Helper()
	p := a.want(t, status)
	if p["type"] != "/problems/"+slug || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("got %s, want the problem %s: %s", a.header.Get("Content-Type"), slug, a.body)
	}
	return p
}

// order is the schema that most tests use.
const order = `{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}},"additionalProperties":true}`

// register registers a schema, and makes streams with it.
func (g *gateway) register(t testing.TB, name, schema string, streams ...string) {
	t.Helper()
	names, err := json.Marshal(streams)
	if err != nil {
		t.Fatal(err)
	}
	if len(streams) == 0 {
		names = []byte("[]")
	}
	a := g.post(t, "/schemas/"+name+"/versions", fmt.Sprintf(`{"schema":%s,"streams":%s}`, schema, names))
	if a.status != 200 && a.status != 201 {
		t.Fatalf("register %s: %d %s", name, a.status, a.body)
	}
}
