package docs_test

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
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/app"
	"sluice/internal/config"
	"sluice/internal/kafkatest"
)

// documented and hook are where the gateway of the README serves, and where its
// receiver of webhooks does.
const (
	documented = "http://127.0.0.1:8080"
	hook       = "http://127.0.0.1:9000"
)

// gateway is one that runs in this process, as `make run` starts it.
type gateway struct {
	url   string
	hook  string   // a place for a receiver of webhooks
	steps []string // the commands that it tells a first-time user
}

func start(t *testing.T) *gateway {
	t.Helper()
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			kafkatest.Missing(t, tool)
		}
	}
	c := config.Default()
	c.Listen, c.Embedded, c.DataDir, c.Log.Level = "127.0.0.1:0", true, t.TempDir(), "error"
	c.Webhooks.AllowNetworks = []string{"127.0.0.0/8"} // as the README has it for its receiver
	c.Quotas.Address.Connections = 10_000              // a quota, so that there are their metrics
	c.Audit.Log = filepath.Join(t.TempDir(), "audit")  // likewise
	ctx, stop := context.WithCancel(context.Background())
	var out kafkatest.Transcript
	ended := make(chan error, 1)
	go func() { ended <- app.Serve(ctx, c, &out, kafkatest.Output(t)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with: %v", err)
		}
	})
	g := &gateway{hook: freeURL(t)}
	kafkatest.Eventually(t, 30*time.Second, func() error { return g.ready(out.String()) })
	return g
}

// ready reads what was printed, and says why the gateway cannot be used yet.
func (g *gateway) ready(printed string) error {
	g.steps = regexp.MustCompile(`(?m)^  curl .*`).FindAllString(printed, -1)
	g.url = regexp.MustCompile(`http://[0-9.:]+`).FindString(printed)
	if len(g.steps) == 0 || g.url == "" {
		return errors.New("nothing printed")
	}
	answer, err := http.Get(g.url + "/health/ready")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

func (g *gateway) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	answer, err := http.Get(g.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// quietCurl is a curl that shows no progress. One without a buffer, "-N", reads
// a stream that does not end: it stops after a while.
const quietCurl = `curl() {
  if [ "$1" = -N ]; then command curl -sS --max-time 3 "$@" || [ $? = 28 ]; else command curl -sS "$@"; fi
}
`

// shell runs a script, and gives its output.
func (g *gateway) shell(t *testing.T, script string) string {
	t.Helper()
	script = quietCurl + strings.NewReplacer(documented, g.url, hook, g.hook).Replace(script)
	out, err := exec.CommandContext(t.Context(), "bash", "-euc", script).Output()
	if err != nil {
		t.Fatalf("%s\n%v", script, err)
	}
	return strings.ReplaceAll(string(out), g.hook, hook)
}

// block is a block of commands, and the blocks of JSON and of text that follow
// at once. With both, the text is what the receiver of webhooks prints.
type block struct{ commands, output, text string }

// blocks gives the blocks of the README that begin with curl, or start the
// receiver of webhooks.
func blocks(t *testing.T) []block {
	t.Helper()
	var found []block
	fence := regexp.MustCompile("(?s)\n```sh\n((?:curl |WEBHOOK_SECRET=).*?)```\n(?:```json\n(.*?)```)?(?:```text\n(.*?)```)?")
	for _, m := range fence.FindAllStringSubmatch(read(t, "README.md"), -1) {
		found = append(found, block{m[1], m[2], m[3]})
	}
	if len(found) < 8 {
		t.Fatalf("only %d blocks were found", len(found))
	}
	return found
}

var (
	anyTime     = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`)
	anyPosition = regexp.MustCompile(`p1\.[A-Za-z0-9_-]+`)
	anySecret   = regexp.MustCompile(`whsec_[A-Za-z0-9+/]+=*`)
)

// alike makes all times alike, all positions, and all secrets.
func alike(text string) string {
	text = anySecret.ReplaceAllString(text, "whsec_(a secret)")
	return anyPosition.ReplaceAllString(anyTime.ReplaceAllString(text, `"(a time)"`), "p1.(a position)")
}

// values gives the JSON values of a text, made alike.
func values(t *testing.T, text string) []any {
	t.Helper()
	var all []any
	d := json.NewDecoder(strings.NewReader(alike(text)))
	for {
		var v any
		err := d.Decode(&v)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		all = append(all, v)
	}
}

// compare compares what a block printed with the README, as far as that says.
func (g *gateway) compare(t *testing.T, b block, out string, rc *receiver) {
	t.Helper()
	switch {
	case b.text != "" && b.output != "":
		rc.printed(t, b.text)
	case b.text != "":
		if diff := cmp.Diff(alike(b.text), alike(out)); diff != "" {
			t.Errorf("%s(-README +now):\n%s", b.commands, diff)
		}
		return
	case b.output == "" && strings.Contains(b.commands, "-X DELETE"): // a list of what can be done
		if strings.Contains(out, `"/problems/`) || !strings.Contains(out, `"delivered"`) {
			t.Errorf("%sprinted\n%s", b.commands, out)
		}
		return
	}
	if diff := cmp.Diff(values(t, b.output), values(t, out)); diff != "" {
		t.Errorf("%s(-README +now):\n%s", b.commands, diff)
	}
}

// TestREADME runs the README from top to bottom.
func TestREADME(t *testing.T) {
	g, all := start(t), blocks(t)
	t.Run("the program prints the first commands", func(t *testing.T) {
		var told string
		for _, line := range g.steps {
			told += strings.ReplaceAll(strings.TrimSpace(line), g.url, documented) + "\n"
		}
		if diff := cmp.Diff(told, all[0].commands); diff != "" {
			t.Errorf("the program (-) and the README (+):\n%s", diff)
		}
	})
	t.Run("commands print what follows them", func(t *testing.T) {
		var rc *receiver
		secret := "none"
		for _, b := range all {
			if strings.HasPrefix(b.commands, "WEBHOOK_SECRET=") {
				if diff := cmp.Diff("WEBHOOK_SECRET="+alike(secret)+" go run ./examples/webhook-receiver\n", alike(b.commands)); diff != "" {
					t.Errorf("the receiver's command (-want +README):\n%s", diff)
				}
				rc = receive(t, receivers(t)["go"], secret, g.hook)
				continue
			}
			out := g.shell(t, b.commands)
			if s := anySecret.FindString(out); s != "" {
				secret = s
			}
			g.compare(t, b, out, rc)
		}
	})
	t.Run("metrics exist", func(t *testing.T) {
		_, metrics := g.get(t, "/metrics")
		names := regexp.MustCompile("`(sluice_[a-z_]+_(?:total|seconds|reachable))`").FindAllString(read(t, "README.md"), -1)
		if len(names) < 5 {
			t.Errorf("only %d names were found", len(names))
		}
		for _, name := range names {
			if name = strings.Trim(name, "`"); !strings.Contains(metrics, "# TYPE "+name+" ") {
				t.Errorf("there is no metric %s", name)
			}
		}
	})
	t.Run("problems have pages", func(t *testing.T) {
		rows := regexp.MustCompile(`(?m)^\| [45]\d\d.*`).FindAllString(read(t, "README.md"), -1)
		codes := regexp.MustCompile("`([a-z]+-[a-z-]+)`").FindAllStringSubmatch(strings.Join(rows, "\n"), -1)
		if len(codes) < 10 {
			t.Errorf("only %d problems were found", len(codes))
		}
		for _, m := range codes {
			if status, _ := g.get(t, "/problems/"+m[1]); status != http.StatusOK {
				t.Errorf("/problems/%s: %d", m[1], status)
			}
		}
	})
}

// TestExamples runs each example; all publish to the same stream.
func TestExamples(t *testing.T) {
	g := start(t)
	for i, command := range [][]string{
		{"bash", "publish.sh"},
		{"go", "run", "./publish"},
		{"python3", "publish.py"},
	} {
		t.Run(command[0], func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("SKIPPED: this test needs %s", command[0])
			}
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Dir = root + "/examples"
			cmd.Env = append(os.Environ(), "SLUICE_URL="+g.url)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			last := fmt.Sprintf("/streams/readings/records/0/%d", 3*i+2)
			if status, body := g.get(t, last); status != http.StatusOK || !strings.Contains(body, "cellar") {
				t.Errorf("%s: %d %s", last, status, body)
			}
		})
	}
}
