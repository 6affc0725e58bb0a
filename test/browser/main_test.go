// Package browser_test runs a real browser, headless Chromium, against the built
// gateway: what the documents promise to web pages is promised by the browser's
// own rules, which no other client has.
//
// It holds tests alone. They are skipped, loudly, where there is no Chromium,
// and fail there when SLUICE_TEST_NO_SKIP is set.
package browser_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sluice/internal/kafkatest"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// buildDir is where the program under test is built.
var buildDir string

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-browser")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	buildDir = dir
	return m.Run()
}

// gateway is the program under test, built once, when a test has its browser.
var gateway = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "gateway")
	out, err := exec.Command("go", "build", "-race", "-o", path, "sluice/cmd/gateway").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return path, nil
})

// browser starts Chromium and gives a context for the tabs of one profile,
// which end with the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		kafkatest.Missing(t, "Chromium: Debian's package chromium")
	}
	if _, err := gateway(); err != nil { // before the browser's time begins: it may take minutes
		t.Fatal(err)
	}
	// Without its sandbox, which root cannot have: it sees the test's own pages
	// alone.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// visit opens a page.
func visit(t *testing.T, tab context.Context, url string) {
	t.Helper()
	if _, err := chromedp.Run(tab, chromedp.Navigate(url)); err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
}

// evaluate gives what a script of the page gives, awaited.
func evaluate[T any](t *testing.T, tab context.Context, script string) T {
	t.Helper()
	v, err := chromedp.Run(tab, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("evaluate %s: %v", script, err)
	}
	return v
}

// process is a running gateway.
type process struct {
	url  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	log  *kafkatest.Transcript
}

var listening = regexp.MustCompile(`"url":"(http://[^"]+)"`)

// start runs a gateway that allows pages of one origin, and waits until it is
// ready. listen may be 127.0.0.1:0; more are further flags.
func start(t *testing.T, b *kafkatest.Broker, listen, origin string, more ...string) *process {
	t.Helper()
	path, err := gateway()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{log: &kafkatest.Transcript{}, done: make(chan struct{})}
	p.cmd = exec.Command(path, append([]string{
		"--listen", listen,
		"--kafka-servers", b.Addr, "--topic-prefix", b.Prefix(), "--replication-factor", "1",
	}, more...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Env = append(os.Environ(), "SLUICE_CORS_ALLOW_ORIGINS="+origin, "GORACE=halt_on_error=1 exitcode=66")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended does not matter
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", p.log)
		}
	})
	kafkatest.Eventually(t, patience, func() error {
		m := listening.FindStringSubmatch(p.log.String())
		if m == nil {
			return errors.New("it does not say where it listens")
		}
		p.url = m[1]
		resp, err := http.Get(p.url + "/health/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %d", resp.StatusCode)
		}
		return nil
	})
	return p
}

// kill ends the process at once, as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}
