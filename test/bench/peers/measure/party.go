package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/test/bench/gateway"
	"sluice/test/bench/measure"
	"sluice/test/bench/peers"
	"sluice/test/bench/process"
)

// party is a gateway that takes part.
type party struct {
	peers.Target
	// command starts it anew; nil where somebody else started it.
	command func() *exec.Cmd
	running *exec.Cmd
	// restart is a shell command that does the same for one that somebody else
	// started; empty where there is none.
	restart string
	pid     int
	healthy string // a URL that answers when it is ready; empty where it has none
	prefix  string // what it leaves out of the names of topics
}

// parties makes them of what the script says: Sluice first, and each of the
// peers. NAME=URL has PID_NAME, TOKEN_NAME, TOPIC_NAME (for what it publishes
// to, where that is configured) and RESTART_NAME (a command) in the environment.
func parties(ctx context.Context, o options) ([]*party, error) {
	listen, err := gateway.FreeAddr(ctx)
	if err != nil {
		return nil, err
	}
	profile, _ := peers.Named("sluice")
	base := "http://" + listen
	all := []*party{{
		Target:  peers.Target{Profile: profile, Base: base, Topic: "publish"},
		command: logged(o, "sluice", o.gateway, "--kafka-servers", o.kafka, "--topic-prefix", o.prefix, "--listen", listen),
		healthy: base + "/health/ready", prefix: o.prefix,
	}}
	for word := range strings.FieldsSeq(o.peers) {
		name, at, given := strings.Cut(word, "=")
		p, err := one(ctx, name, strings.TrimSuffix(at, "/"), o)
		if err != nil {
			return nil, err
		}
		if !given && p.command == nil {
			return nil, fmt.Errorf("%s is not started by the script: give its URL, %s=http://…", name, name)
		}
		all = append(all, p)
	}
	return all, nil
}

// one makes a party of a name and where it runs, if somebody started it.
func one(ctx context.Context, name, base string, o options) (*party, error) {
	profile, ok := peers.Named(name)
	if !ok {
		return nil, fmt.Errorf("no profile is named %q: they are in test/bench/peers/profiles.go", name)
	}
	key := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	p := &party{Target: peers.Target{Profile: profile, Base: base, Topic: o.prefix + "publish-" + name, Token: os.Getenv("TOKEN_" + key)}}
	p.restart = os.Getenv("RESTART_" + key)
	p.pid, _ = strconv.Atoi(os.Getenv("PID_" + key)) // without it, what it uses is not measured
	if topic := os.Getenv("TOPIC_" + key); topic != "" {
		p.Topic = topic
	}
	if base == "" && name == "kafka-sse" && o.kafkaSSE != "" {
		at, err := gateway.FreeAddr(ctx)
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(at)
		// Each of its readers occupies one of node's threads, of which there are
		// four: node-rdkafka's README says to have more.
		p.Base, p.command = "http://"+at, logged(o, name, "env", "UV_THREADPOOL_SIZE=128", "node", filepath.Join(o.kafkaSSE, "server.js"), port, o.kafka)
	}
	return p, nil
}

// logged makes a command whose output is added to a file in the directory of
// logs.
func logged(o options, name, program string, args ...string) func() *exec.Cmd {
	return func() *exec.Cmd {
		c := exec.Command(program, args...) //nolint:noctx,gosec // it is stopped by stop; the script names the program
		if out, err := os.OpenFile(filepath.Join(o.logs, name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			c.Stdout, c.Stderr = out, out
		}
		return c
	}
}

// start starts it, and returns when it answers.
func (p *party) start(ctx context.Context) error {
	if p.command != nil {
		p.running = p.command()
		if err := p.running.Start(); err != nil {
			return err
		}
		p.pid = p.running.Process.Pid
	}
	for end := time.Now().Add(time.Minute); ; measure.Pause(ctx, 50*time.Millisecond) {
		err := p.answers(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("%s does not answer at %s: %w", p.Name, p.Base, err)
		}
	}
}

// answers says why it does not.
func (p *party) answers(ctx context.Context) error {
	if p.healthy == "" {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", strings.TrimPrefix(p.Base, "http://"))
		if err == nil {
			_ = c.Close() // it answered
		}
		return err
	}
	return call(ctx, http.MethodGet, p.healthy, "")
}

// stop ends what was started here.
func (p *party) stop(how syscall.Signal) {
	if p.running == nil {
		return
	}
	_ = p.running.Process.Signal(how) // it may have ended
	_ = p.running.Wait()              // how it ended does not matter
	p.running = nil
}

// again ends it and starts it anew, and says whether it can. Between the two it
// calls meanwhile.
func (p *party) again(ctx context.Context, how syscall.Signal, meanwhile func() error) (bool, error) {
	switch {
	case p.command != nil:
		p.stop(how)
		if err := meanwhile(); err != nil {
			return true, err
		}
		return true, p.start(ctx)
	case p.restart != "":
		done := make(chan error, 1)
		go func() {
			done <- exec.CommandContext(ctx, "sh", "-c", p.restart).Run() //nolint:gosec // the operator's own command
		}()
		err := meanwhile()
		if failed := <-done; err == nil && failed != nil {
			err = fmt.Errorf("restart %s: %w", p.Name, failed)
		}
		if err != nil {
			return true, err
		}
		return true, p.start(ctx)
	}
	return false, nil
}

// memory gives its resident megabytes.
func (p *party) memory() string {
	if p.pid == 0 {
		return "–"
	}
	return strconv.Itoa(process.Resident(p.pid))
}

// on gives the target for a topic.
func (p *party) on(topic string) peers.Target {
	t := p.Target
	t.Topic = strings.TrimPrefix(topic, p.prefix)
	return t
}
