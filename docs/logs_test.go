package docs_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/kafkatest"
)

// logExamples are the commands of the examples, in their directory.
var logExamples = map[string][]string{
	"python": {"python3", "logs.py"},
	"go":     {"go", "run", "./logs"},
}

// example runs one with a gateway.
func example(t *testing.T, command []string, url string) {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		kafkatest.Missing(t, command[0])
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = root + "/examples"
	cmd.Env = append(os.Environ(), "SLUICE_URL="+url, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestLogExamples: what the examples log is in the stream.
func TestLogExamples(t *testing.T) {
	g := start(t)
	for name, command := range logExamples {
		t.Run(name, func(t *testing.T) { example(t, command, g.url) })
	}
	want := map[string]string{"it is warm": "WARNING 21", "cannot divide": "ERROR ZeroDivisionError", "it is cold": "WARN 4"}
	kafkatest.Eventually(t, 30*time.Second, func() error {
		got, err := g.logs()
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("logged (-want +got):\n%s", diff)
		}
		return nil
	})
}

// logs gives what is in the stream of the examples: what each message came with.
func (g *gateway) logs() (map[string]string, error) {
	answer, err := http.Get(g.url + "/streams/app-logs/records")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var page struct {
		Records []struct {
			Schema string
			Data   struct {
				Message, Severity, Exception string
				Celsius                      *int
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&page); err != nil {
		return nil, err
	}
	got := map[string]string{}
	for _, r := range page.Records {
		if r.Schema != "PydanticLogModel:1" {
			return nil, fmt.Errorf("the schema is %q", r.Schema)
		}
		more := r.Data.Exception
		if r.Data.Celsius != nil {
			more += fmt.Sprint(*r.Data.Celsius)
		}
		got[r.Data.Message] = strings.TrimSpace(r.Data.Severity + " " + more)
	}
	return got, nil
}

// TestLogExamplesWithoutGateway: a program whose logs go nowhere ends all the
// same.
func TestLogExamplesWithoutGateway(t *testing.T) {
	for name, command := range logExamples {
		t.Run(name, func(t *testing.T) { example(t, command, freeURL(t)) })
	}
}
