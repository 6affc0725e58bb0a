// Package deploy_test holds the dashboard and the alerts to the truth: what they
// ask for is what a gateway shows.
package deploy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"sluice/internal/app"
	"sluice/internal/config"
	"sluice/internal/kafkatest"
	"sluice/internal/tracing/tracingtest"
)

// patience is how long the test waits for what must happen.
const patience = 60 * time.Second

// elsewhere are metrics that this gateway does not have, and where they are.
func elsewhere() map[string]string {
	return map[string]string{
		"sluice_kafka_tls_expiry_timestamp_seconds": "where Kafka is reached with TLS",
		"sluice_auth_attempts_total":                "where callers have to say who they are",
		"sluice_quota_refusals_total":               "where there are quotas",
	}
}

// question is a PromQL expression, and what is written with its answers.
type question struct{ of, expr, legend string }

// dashboard gives what the panels ask.
func dashboard(t *testing.T) []question {
	t.Helper()
	var d struct {
		Panels []struct {
			Title, Description string
			Targets            []struct{ Expr, LegendFormat string }
		}
	}
	text, err := os.ReadFile("grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var all []question
	variables := strings.NewReplacer("$job", "gateway", "$instance", ".*", "$__rate_interval", "1m")
	for _, p := range d.Panels {
		if len(p.Targets) > 0 && p.Description == "" {
			t.Errorf("the panel %q has no description", p.Title)
		}
		for _, target := range p.Targets {
			all = append(all, question{"panel " + p.Title, variables.Replace(target.Expr), target.LegendFormat})
		}
	}
	return all
}

// alerts gives what the rules ask.
func alerts(t *testing.T) []question {
	t.Helper()
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr string
				For         string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	text, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	var all []question
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("the alert %s has no severity, summary or description", r.Alert)
			}
			words := r.Annotations["summary"] + r.Annotations["description"]
			all = append(all, question{"alert " + r.Alert, r.Expr, strings.ReplaceAll(words, "{{ $labels.", "{{")})
		}
	}
	return all
}

// TestQuestions: each metric and each label that is asked for is there, and so
// is each value that is written out.
func TestQuestions(t *testing.T) {
	asked := append(dashboard(t), alerts(t)...)
	if len(asked) < 50 {
		t.Fatalf("only %d questions were found", len(asked))
	}
	g := start(t)
	g.work(t)
	kafkatest.Eventually(t, patience, func() error {
		there := g.scrape(t)
		var problems []error
		for _, q := range asked {
			if err := there.check(q); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", q.of, err))
			}
		}
		return errors.Join(problems...)
	})
}

// gateway runs in this process.
type gateway struct{ url, hook string }

// start runs a gateway with its embedded broker, and what it sends to.
func start(t *testing.T) *gateway {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(hook.Close)
	c := config.Default()
	c.Listen, c.Embedded, c.DataDir = "127.0.0.1:0", true, t.TempDir()
	c.Webhooks.AllowNetworks = []string{"127.0.0.0/8"}
	c.Tracing.Endpoint = tracingtest.New(t).URL
	c.KafkaSettings = config.Settings{"statistics.interval.ms": "500"}
	a, err := app.New(app.Options{Config: c, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with: %v", err)
		}
	})
	g := &gateway{a.URL(), hook.URL}
	kafkatest.Eventually(t, patience, func() error { return g.try("GET", "/health/ready", "", http.StatusOK) })
	return g
}

// try makes a request, and says what is wrong with the answer.
func (g *gateway) try(method, path, body string, want int) error {
	req, err := http.NewRequest(method, g.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != want {
		err = fmt.Errorf("%s %s: %d %s", method, path, answer.StatusCode, text)
	}
	return err
}

// work has the gateway do some of everything.
func (g *gateway) work(t *testing.T) {
	t.Helper()
	for _, r := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/schemas/Order/versions", `{"schema":{"type":"object"},"streams":["orders"]}`, 201},
		{"POST", "/subscriptions", `{"id":"hooks","streams":"orders","endpoint":{"url":"` + g.hook + `"}}`, 201},
		{"POST", "/streams/orders", `{"id":1}`, 201},
		{"POST", "/streams/orders", `1`, 422},
		{"GET", "/streams/orders/records?from=earliest", "", 200},
		{"GET", "/nowhere", "", 404},
	} {
		if err := g.try(r.method, r.path, r.body, r.want); err != nil {
			t.Fatal(err)
		}
	}
	g.read(t, "/streams/orders/events?from=earliest")
	g.read(t, "/streams/orders/events?from=earliest&group=readers")
}

// read reads the first record of an event stream.
func (g *gateway) read(t *testing.T, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data:") {
			return
		}
	}
	t.Fatalf("%s: no record came", path)
}
