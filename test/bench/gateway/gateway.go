// Package gateway runs the gateway as a process for the benchmarks, makes what
// they need in it, and reads its metrics. It is not a client for anybody else.
package gateway

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
	"syscall"
	"time"

	"sluice/test/bench/measure"
)

// Options say which gateway to start.
type Options struct {
	Binary        string   // the program
	Kafka, Prefix string   // HOST:PORT of a broker, and the topic prefix
	Listen        string   // HOST:PORT; "" is a port that is free
	Env           []string // besides this process's own
	Log           io.Writer
}

// Gateway is a process.
type Gateway struct {
	URL  string
	Addr string // HOST:PORT of URL
	cmd  *exec.Cmd
}

// readyTime bounds what is waited for of a gateway.
const readyTime = 2 * time.Minute

// Start starts a gateway, and returns at once: see Ready.
func Start(ctx context.Context, o Options) (*Gateway, error) {
	if o.Listen == "" {
		var err error
		if o.Listen, err = FreeAddr(ctx); err != nil {
			return nil, err
		}
	}
	g := &Gateway{URL: "http://" + o.Listen, Addr: o.Listen}
	g.cmd = exec.Command(o.Binary, "--kafka-servers", o.Kafka, "--topic-prefix", o.Prefix, "--listen", o.Listen) //nolint:gosec,noctx // Stop ends it
	g.cmd.Env = append(os.Environ(), o.Env...)
	g.cmd.Stdout, g.cmd.Stderr = o.Log, o.Log
	return g, g.cmd.Start()
}

// FreeAddr gives a port of loopback that nobody used a moment ago, as HOST:PORT.
func FreeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Ready waits until the gateway is ready.
func (g *Gateway) Ready(ctx context.Context) error {
	return measure.Eventually(ctx, readyTime, "the gateway is ready", func() error {
		return g.Call(ctx, http.MethodGet, "/health/ready", "")
	})
}

// Stop ends the gateway as an operator would, and waits for its end.
func (g *Gateway) Stop() error {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return g.cmd.Wait()
}

// Kill ends it as a crash would.
func (g *Gateway) Kill() {
	_ = g.cmd.Process.Kill() // it may have ended by itself
	_ = g.cmd.Wait()         // "signal: killed"
}

// PID is the process's id.
func (g *Gateway) PID() int { return g.cmd.Process.Pid }

// Call makes a request whose answer matters only in its status: others than
// 2xx are errors.
func (g *Gateway) Call(ctx context.Context, method, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, g.URL+path, strings.NewReader(body))
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

// Metrics gives the values of metrics without labels, by name; those that
// cannot be read are missing.
func (g *Gateway) Metrics(ctx context.Context) map[string]float64 {
	values := map[string]float64{}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/metrics", nil)
	if err != nil {
		return values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return values
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			values[name] = v
		}
	}
	return values
}
