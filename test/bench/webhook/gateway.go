package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// gateway is the program under test, as a process.
type gateway struct {
	url string
	cmd *exec.Cmd
}

// readyTime bounds what is waited for of a gateway.
const readyTime = 2 * time.Minute

// startGateway starts a gateway and waits until it is ready.
func startGateway(ctx context.Context, o options) (*gateway, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(o.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	g := &gateway{url: "http://" + addr}
	g.cmd = exec.Command(o.binary, "--kafka-servers", o.kafka, "--topic-prefix", o.prefix, "--listen", addr) //nolint:gosec,noctx // stop ends it
	g.cmd.Env = append(os.Environ(), "SLUICE_WEBHOOKS_ALLOW_NETWORKS=127.0.0.0/8")
	g.cmd.Stdout, g.cmd.Stderr = log, log
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	err = eventually(ctx, readyTime, "the gateway is ready", func() bool {
		return g.call(ctx, http.MethodGet, "/health/ready", "") == nil
	})
	return g, err
}

// stop ends the gateway as an operator would.
func (g *gateway) stop() error {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return g.cmd.Wait()
}

func (g *gateway) pid() int { return g.cmd.Process.Pid }

// call makes a request whose answer matters only in its status.
func (g *gateway) call(ctx context.Context, method, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, g.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return err
}

// prepare registers the schema that the streams are bound to.
func (g *gateway) prepare(ctx context.Context) error {
	return g.call(ctx, http.MethodPost, "/schemas/Bench/versions", `{"schema":{"type":"object","required":["n","t"]}}`)
}

// subscribe makes n subscriptions to a stream, and waits until they are
// delivered by the gateway.
func (g *gateway) subscribe(ctx context.Context, streamID string, n, inFlight int, to string) error {
	err := each(n, func(i int) error {
		return g.call(ctx, http.MethodPost, "/subscriptions", fmt.Sprintf(
			`{"id":"%s-%d","streams":%q,"ordering":"key","max_in_flight":%d,"endpoint":{"url":"%s/%d"}}`, streamID, i, streamID, inFlight, to, i))
	})
	if err != nil {
		return err
	}
	return g.owns(ctx, n)
}

// unsubscribe deletes them.
func (g *gateway) unsubscribe(ctx context.Context, streamID string, n int) error {
	return each(n, func(i int) error {
		return g.call(ctx, http.MethodDelete, fmt.Sprintf("/subscriptions/%s-%d", streamID, i), "")
	})
}

// each calls do for 0 to n-1, 16 at a time, and gives one of the errors.
func each(n int, do func(i int) error) error {
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	failed := make(chan error, n)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					failed <- err
				}
			}
		})
	}
	workers.Wait()
	close(failed)
	return <-failed
}

// owns waits until the gateway has begun to deliver n subscriptions: each one
// writes its position down then.
func (g *gateway) owns(ctx context.Context, n int) error {
	return eventually(ctx, readyTime, fmt.Sprintf("%d subscriptions are delivered", n), func() bool {
		return g.metric(ctx, "sluice_delivery_subscriptions") == n
	})
}

// metric gives a metric's value, 0 where it cannot be read.
func (g *gateway) metric(ctx context.Context, name string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+"/metrics", nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			f, _ := strconv.ParseFloat(text, 64)
			return int(f)
		}
	}
	return 0
}

// eventually waits for a condition.
func eventually(ctx context.Context, patience time.Duration, what string, holds func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !holds(); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v in vain until %s", patience, what)
		}
	}
	return nil
}
