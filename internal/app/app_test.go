package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/app"
	"sluice/internal/config"
	"sluice/internal/embedded"
	"sluice/internal/kafkatest"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func options(t *testing.T, change func(*config.Config)) app.Options {
	c := config.Default()
	c.Listen = "127.0.0.1:0"
	c.DataDir = t.TempDir()
	change(&c)
	return app.Options{Config: c, Log: kafkatest.Log(t), Version: "test"}
}

// run serves until stop, which gives what Run returned.
func run(t *testing.T, a *app.App) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

// wantFree fails unless the address can be listened on.
func wantFree(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Errorf("the address is still taken: %v", err)
		return
	}
	l.Close()
}

func state(a *app.App) string {
	var b strings.Builder
	for _, c := range a.Ready() {
		fmt.Fprintf(&b, "%s=%v ", c.Name, c.OK)
	}
	return strings.TrimSpace(b.String())
}

func TestServesAndStops(t *testing.T) {
	o := options(t, func(c *config.Config) { c.Embedded = true })
	a, err := app.New(o)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, a)
	kafkatest.Eventually(t, patience, func() error {
		if got := state(a); got != "kafka=true schemas=true subscriptions=true deliveries=true serving=true" {
			return errors.New(got)
		}
		return nil
	})
	for _, c := range a.Ready() {
		if c.Detail != "" {
			t.Errorf("%s is in order, and says %q", c.Name, c.Detail)
		}
	}
	answer, err := http.Get(a.URL() + "/health/ready")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Errorf("got %d", answer.StatusCode)
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if got := state(a); !strings.HasSuffix(got, "serving=false") {
		t.Errorf("got %s", got)
	}
	wantFree(t, strings.TrimPrefix(a.URL(), "http://"))
	again, err := app.New(o) // the data directory is free again
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t, again)(); err != nil {
		t.Errorf("stop at once: %v", err)
	}
}

func TestReadinessWithoutKafka(t *testing.T) {
	b := kafkatest.Embedded(t)
	b.Stop(t)
	a, err := app.New(options(t, func(c *config.Config) { c.BootstrapServers = []string{b.Addr} }))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, a)
	if got := state(a); got != "kafka=false schemas=false subscriptions=false deliveries=true serving=true" {
		t.Errorf("got %s", got)
	}
	for _, c := range a.Ready() {
		if !c.OK && c.Detail == "" {
			t.Errorf("%s does not say why", c.Name)
		}
	}
	b.Start(t)
	kafkatest.Eventually(t, patience, func() error {
		if got := state(a); got != "kafka=true schemas=true subscriptions=true deliveries=true serving=true" {
			return errors.New(got)
		}
		return nil
	})
	b.Stop(t)
	kafkatest.Eventually(t, patience, func() error {
		if got := state(a); got != "kafka=false schemas=true subscriptions=true deliveries=true serving=true" {
			return errors.New(got)
		}
		return nil
	})
	if err := stop(); err != nil {
		t.Errorf("stop without Kafka: %v", err)
	}
}

// Whatever New stumbles over, nothing of it keeps running.
func TestNewFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	broker, err := embedded.Start(embedded.Options{DataDir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	for name, tc := range map[string]struct {
		change func(*config.Config)
		says   string
	}{
		"the address is taken":        {func(c *config.Config) { c.Listen = taken.Addr().String() }, "listen on"},
		"the data directory is taken": {func(c *config.Config) { c.Embedded, c.DataDir = true, dir }, "is in use by"},
		"the client cannot be configured": {func(c *config.Config) {
			c.Embedded = true
			c.KafkaSettings = map[string]string{"no.such.property": "1"}
		}, "no.such.property"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, tc.change)
			if name != "the address is taken" {
				o.Config.Listen = freeAddress(t)
			}
			a, err := app.New(o)
			if err == nil {
				_ = run(t, a)()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
			if name != "the address is taken" {
				wantFree(t, o.Config.Listen)
			}
			if o.Config.DataDir != dir {
				b, err := embedded.Start(embedded.Options{DataDir: o.Config.DataDir, Log: o.Log})
				if err != nil {
					t.Fatalf("the data directory %s is still locked: %v", filepath.Base(o.Config.DataDir), err)
				}
				b.Close()
			}
		})
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestURLOfAllAddresses(t *testing.T) {
	a, err := app.New(options(t, func(c *config.Config) { c.Listen, c.BootstrapServers = ":0", []string{"127.0.0.1:1"} }))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a.URL(), "http://127.0.0.1:") || strings.HasSuffix(a.URL(), ":0") {
		t.Errorf("got %s", a.URL())
	}
	if err := run(t, a)(); err != nil {
		t.Error(err)
	}
}

// A gateway whose log of subscriptions Kafka denies can do all that needs none.
func TestReadinessFollowsWhatCanBeDone(t *testing.T) {
	b := kafkatest.Embedded(t)
	denied := b.Cluster(t).Fault(kfake.Fault{
		Keys:  []kmsg.Key{kmsg.ListOffsets, kmsg.Metadata, kmsg.CreateTopics, kmsg.DescribeTopicPartitions},
		Topic: "_sluice.subscriptions", Err: kerr.TopicAuthorizationFailed, Count: -1,
	})
	a, err := app.New(options(t, func(c *config.Config) { c.BootstrapServers = []string{b.Addr} }))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, a)
	ready := func(want string) func() error {
		return func() error {
			res, err := http.Get(a.URL() + "/health/ready")
			if err != nil {
				return err
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 200 || !strings.HasPrefix(string(body), want) {
				return fmt.Errorf("%d %s, %w", res.StatusCode, body, err)
			}
			return nil
		}
	}
	kafkatest.Eventually(t, patience, ready(`{"status":"ready","publish":true,"read":true,"manage":true,"deliver":false,`))
	denied.Remove()
	kafkatest.Eventually(t, patience, ready(`{"status":"ready","publish":true,"read":true,"manage":true,"deliver":true,`))
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}
