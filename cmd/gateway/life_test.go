package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/internal/kafkatest"
)

// load publishes from several connections until the gateway is gone, and tells
// which records were answered 201 or 202.
type load struct {
	mu       sync.Mutex
	accepted map[int]bool
	other    []string
	all      sync.WaitGroup
	started  chan struct{}
}

func (l *load) run(ctx context.Context, g *gateway, path string, header map[string]string) {
	l.accepted, l.started = map[int]bool{}, make(chan struct{})
	var once sync.Once
	for c := range 8 {
		l.all.Go(func() {
			for i := c; ; i += 8 {
				a, err := g.try(ctx, request{"POST", path, fmt.Sprintf(`{"id":%d}`, i), header})
				if err != nil {
					return // the gateway is gone
				}
				l.mu.Lock()
				switch a.status {
				case 201, 202:
					l.accepted[i] = true
				default:
					l.other = append(l.other, fmt.Sprint(a.status, " ", a.body))
				}
				if len(l.accepted) > 300 {
					once.Do(func() { close(l.started) })
				}
				l.mu.Unlock()
			}
		})
	}
}

// check fails the test unless every accepted record is in the topic, once.
func (l *load) check(t *testing.T, b *kafkatest.Broker, topic string) {
	t.Helper()
	got := map[int]int{}
	for _, r := range b.Consume(t, topic, len(l.accepted)) {
		var v struct{ Data struct{ ID int } }
		if err := json.Unmarshal(r.Value, &v); err != nil {
			t.Fatal(err)
		}
		got[v.Data.ID]++
	}
	missing := 0
	for id := range l.accepted {
		if got[id] == 0 {
			missing++
		}
		if got[id] > 1 {
			t.Errorf("record %d is there %d times", id, got[id])
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d accepted records are lost", missing, len(l.accepted))
	}
	for _, o := range l.other {
		t.Errorf("got another answer: %s", o)
	}
}

func TestGracefulStop(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		for name, header := range map[string]map[string]string{"sync": nil, "async": {"Prefer": "respond-async"}} {
			t.Run(name, func(t *testing.T) {
				g := start(t, b)
				b.DeleteLater(t, b.Prefix()+name, b.Prefix()+"_sluice.schemas")
				g.register(t, "Order", order, name)
				var l load
				l.run(t.Context(), g, "/streams/"+name, header)
				<-l.started
				g.signal(t, syscall.SIGTERM)
				l.all.Wait()
				if code := g.cmd.ProcessState.ExitCode(); code != 0 {
					t.Errorf("got exit code %d", code)
				}
				l.check(t, b, b.Prefix()+name)
			})
		}
	})
}

func TestKillLosesNothingThatWasAnswered(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		b.DeleteLater(t, b.Prefix()+"killed", b.Prefix()+"_sluice.schemas")
		g.register(t, "Order", order)
		g.put(t, "/streams/killed", `{"schema":"Order:1","partitions":1}`).want(t, 201)
		var l load
		l.run(t.Context(), g, "/streams/killed", nil)
		<-l.started
		g.signal(t, syscall.SIGKILL)
		l.all.Wait()
		// A record after all others tells where the end is.
		again := start(t, b)
		last := again.post(t, "/streams/killed", `{"id":-1}`).want(t, 201)
		n, err := last["offset"].(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		got := map[int]bool{}
		for _, r := range b.Consume(t, b.Prefix()+"killed", int(n)+1) {
			var v struct{ Data struct{ ID int } }
			if err := json.Unmarshal(r.Value, &v); err != nil {
				t.Fatal(err)
			}
			got[v.Data.ID] = true
		}
		for id := range l.accepted {
			if !got[id] {
				t.Errorf("record %d was answered 201 and is lost", id)
			}
		}
	})
}

// What `make run` starts: the embedded broker, three lines to paste, and data
// that is there after a restart, even one by kill -9.
func TestEmbedded(t *testing.T) {
	dir := t.TempDir()
	g := launch(t, "--embedded", "--data-dir", dir)
	g.awaitReady(t)
	var curls []string
	for line := range strings.SplitSeq(g.log.String(), "\n") {
		if strings.HasPrefix(line, "  curl ") {
			curls = append(curls, strings.TrimSpace(line))
		}
	}
	if len(curls) != 3 {
		t.Fatalf("got %d curl lines", len(curls))
	}
	for _, line := range curls {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(line, "curl ", "curl -sSf ", 1)).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		if line == curls[2] && !strings.Contains(string(out), `"data":{"id":1}`) {
			t.Errorf("read back: %s", out)
		}
	}
	other := exec.CommandContext(t.Context(), binary, "--embedded", "--data-dir", dir, "--listen", "127.0.0.1:0")
	if out, err := other.CombinedOutput(); err == nil || !strings.Contains(string(out), dir) {
		t.Errorf("a second gateway on the same data: %v\n%s", err, out)
	}
	g.signal(t, syscall.SIGKILL)
	again := launch(t, "--embedded", "--data-dir", dir)
	again.awaitReady(t)
	again.get(t, "/streams/orders/records/0/0").want(t, 200)
	if got := again.post(t, "/streams/orders", `{"id":2}`).want(t, 201); got["offset"] != json.Number("1") {
		t.Errorf("got %v", got)
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	g.register(t, "Order", order, "mine")
	post := func(h map[string]string) answer {
		return g.do(t, request{"POST", "/streams/mine", `{"id":1}`, h})
	}
	post(map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}).problem(t, 403, "origin-not-allowed")
	post(map[string]string{"Origin": "https://evil.example"}).problem(t, 403, "origin-not-allowed")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/streams", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("a foreign Host: got %d", resp.StatusCode)
	}
	post(nil).want(t, 201)
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		text []string
	}{
		{[]string{"version"}, 0, nil},
		{[]string{"help"}, 0, []string{"--kafka-servers"}},
		{[]string{"--listen", "0.0.0.0:0", "--embedded"}, 2, []string{"listen", "allow_anonymous"}},
		{[]string{"--listen", "nowhere", "--topic-prefix", "no way", "--kafka-settings", `{"acks":1}`}, 2, []string{"listen", "topic_prefix", "acks"}},
		{[]string{"--config", "no-such-file.yaml"}, 2, []string{"no-such-file.yaml"}},
		{[]string{"--nonsense"}, 2, []string{"nonsense"}},
		{[]string{"check", "--embedded"}, 0, []string{"embedded: true"}},
		{[]string{"check", "--kafka-servers", "127.0.0.1:1"}, 1, []string{"cannot be reached"}},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary, tc.args...)
			cmd.Dir = t.TempDir()
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != tc.code {
				t.Errorf("got exit code %d, want %d:\n%s", got, tc.code, out)
			}
			for _, want := range tc.text {
				if !strings.Contains(string(out), want) {
					t.Errorf("%q is not in:\n%s", want, out)
				}
			}
		})
	}
}
