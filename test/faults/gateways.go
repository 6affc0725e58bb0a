package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"

	"sluice/test/bench/measure"
)

// fleet is the gateways behind the balancer.
type fleet struct {
	binary, work, prefix string
	servers              string // the links
	front                *balancer

	mu      sync.Mutex
	started int
	running []*gateway
}

// gateway is the program under test, as a process.
type gateway struct {
	url  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// add starts a gateway, and gives it to the balancer when it is ready.
func (f *fleet) add(ctx context.Context) error {
	f.mu.Lock()
	f.started++
	path := filepath.Join(f.work, fmt.Sprintf("gateway%d.log", f.started))
	f.mu.Unlock()
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	g := &gateway{done: make(chan struct{})}
	g.cmd = exec.Command(f.binary, "--listen", "127.0.0.1:0", "--kafka-servers", f.servers, "--topic-prefix", f.prefix) //nolint:gosec,noctx // close ends it
	g.cmd.Env = append(os.Environ(), "SLUICE_WEBHOOKS_ALLOW_NETWORKS=127.0.0.0/8", "SLUICE_LOG_FORMAT=json")
	g.cmd.Stdout, g.cmd.Stderr = log, log
	if err := g.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = g.cmd.Wait() // how it ended is in ProcessState
		close(g.done)
	}()
	f.mu.Lock()
	f.running = append(f.running, g)
	f.mu.Unlock()
	if err := g.awaitReady(ctx, path); err != nil {
		return err
	}
	f.tellFront()
	return nil
}

var listening = regexp.MustCompile(`"url":"(http://[^"]+)"`)

func (g *gateway) awaitReady(ctx context.Context, log string) error {
	return measure.Eventually(ctx, patience, "a gateway is ready, see "+log, func() error {
		if g.url == "" {
			text, err := os.ReadFile(log)
			if err != nil {
				return err
			}
			m := listening.FindSubmatch(text)
			if m == nil {
				return errors.New("it does not listen")
			}
			g.url = string(m[1])
		}
		_, err := call(ctx, http.MethodGet, g.url+"/health/ready", "")
		return err
	})
}

// remove takes a gateway from the balancer.
func (f *fleet) remove(g *gateway) {
	f.mu.Lock()
	f.running = slices.DeleteFunc(f.running, func(other *gateway) bool { return other == g })
	f.mu.Unlock()
	f.tellFront()
}

func (f *fleet) tellFront() {
	var backends []string
	for _, g := range f.list() {
		if u, err := url.Parse(g.url); err == nil && u.Host != "" {
			backends = append(backends, u.Host)
		}
	}
	f.front.set(backends)
}

func (f *fleet) list() []*gateway {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.running)
}

// deliverer gives the gateway that delivers the one subscription there is.
func (f *fleet) deliverer(ctx context.Context) (found *gateway, err error) {
	err = measure.Eventually(ctx, patience, "a gateway delivers", func() error {
		for _, g := range f.list() {
			text, err := call(ctx, http.MethodGet, g.url+"/metrics", "")
			if err != nil {
				return err
			}
			for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
				if lines.Text() == "sluice_delivery_subscriptions 1" {
					found = g
					return nil
				}
			}
		}
		return errors.New("none does")
	})
	return found, err
}

// end sends a signal, and returns when the process has ended.
func (g *gateway) end(ctx context.Context, s syscall.Signal) error {
	if err := g.cmd.Process.Signal(s); err != nil {
		return err
	}
	return measure.Eventually(ctx, patience, "a gateway has ended", func() error {
		select {
		case <-g.done:
			return nil
		default:
			return errors.New("it runs")
		}
	})
}

// close kills all.
func (f *fleet) close() {
	for _, g := range f.list() {
		_ = g.cmd.Process.Kill() // it may have ended
		<-g.done
	}
}

// call makes a request, and gives the answer's body; other answers than 2xx
// are errors.
func call(ctx context.Context, method, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, text)
	}
	return string(text), err
}
