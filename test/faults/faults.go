package main

import (
	"context"
	"syscall"
	"time"

	"sluice/test/bench/measure"
)

// fault is one thing that goes wrong.
type fault struct {
	name  string
	about string // for the document
	// ends says that gateways end, so that requests may remain without an answer.
	ends bool
	// breakIt does it, and returns when all is as it was before.
	breakIt func(ctx context.Context, p *place) error
}

// faults gives all, in the order of the document.
func faults() []fault {
	return []fault{
		{name: "none", about: "nothing goes wrong, for 10 s", breakIt: func(ctx context.Context, _ *place) error {
			measure.Pause(ctx, 10*time.Second)
			return nil
		}},
		{name: "broker-kill", about: "`kill -9` of a broker, which is started again after 10 s", breakIt: func(ctx context.Context, p *place) error {
			return p.killBroker(ctx, false)
		}},
		{name: "controller-kill", about: "`kill -9` of the broker that is the active controller, which is started again after 10 s", breakIt: func(ctx context.Context, p *place) error {
			return p.killBroker(ctx, true)
		}},
		{name: "gateway-kill", about: "`kill -9` of the gateway that delivers the webhook; another one is started after 5 s", ends: true, breakIt: killGateway},
		{name: "broker-stop", about: "a broker is stopped (`SIGSTOP`) for 60 s, and goes on", breakIt: stopBroker},
		{name: "link-cut", about: "all connections between gateways and brokers break and are refused for 10 s", breakIt: linked(10*time.Second, all, (*link).cut)},
		{name: "link-hole", about: "nothing passes between gateways and brokers for 20 s, and no connection breaks", breakIt: linked(20*time.Second, all, (*link).hold)},
		{name: "link-hole-one", about: "the same, with one of the brokers, which stays the leader", breakIt: linked(20*time.Second, one, (*link).hold)},
		{name: "link-delay", about: "200 ms more each way between gateways and brokers, for 15 s", breakIt: linked(15*time.Second, all, func(l *link) { l.slow(200*time.Millisecond, 0) })},
		{name: "link-throttle", about: "200 kB/s each way between the gateways and each broker, for 15 s", breakIt: linked(15*time.Second, all, func(l *link) { l.slow(0, 200_000) })},
		{name: "brokers-roll", about: "all brokers are restarted, one after the other (`SIGTERM`)", breakIt: rollBrokers},
		{name: "gateways-roll", about: "all gateways are replaced, one after the other (`SIGTERM`, a new process, ready)", ends: true, breakIt: rollGateways},
	}
}

// killBroker kills the active controller, or a broker that is not.
func (p *place) killBroker(ctx context.Context, controller bool) error {
	active, err := p.brokers.controller(ctx)
	if err != nil {
		return err
	}
	node := active
	if !controller {
		node = active%3 + 1
	}
	if err := p.brokers.signal(node, syscall.SIGKILL); err != nil {
		return err
	}
	measure.Pause(ctx, 10*time.Second)
	return p.brokers.start(ctx)
}

func killGateway(ctx context.Context, p *place) error {
	g, err := p.fleet.deliverer(ctx)
	if err != nil {
		return err
	}
	p.fleet.remove(g)
	if err := g.end(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	measure.Pause(ctx, 5*time.Second)
	return p.fleet.add(ctx)
}

func stopBroker(ctx context.Context, p *place) error {
	active, err := p.brokers.controller(ctx)
	if err != nil {
		return err
	}
	node := active%3 + 1
	if err := p.brokers.signal(node, syscall.SIGSTOP); err != nil {
		return err
	}
	measure.Pause(ctx, time.Minute)
	if err := p.brokers.signal(node, syscall.SIGCONT); err != nil {
		return err
	}
	return p.brokers.inSync(ctx)
}

// Which links are affected.
const (
	one = 1
	all = 3
)

// linked does something to links for some time.
func linked(d time.Duration, n int, what func(*link)) func(context.Context, *place) error {
	return func(ctx context.Context, p *place) error {
		for _, l := range p.links[:n] {
			what(l)
		}
		measure.Pause(ctx, d)
		for _, l := range p.links[:n] {
			if err := l.mend(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

func rollBrokers(ctx context.Context, p *place) error {
	for node := 1; node <= 3; node++ {
		if err := p.brokers.signal(node, syscall.SIGTERM); err != nil {
			return err
		}
		if err := p.brokers.ended(ctx, node); err != nil {
			return err
		}
		if err := p.brokers.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func rollGateways(ctx context.Context, p *place) error {
	for _, g := range p.fleet.list() {
		if err := g.end(ctx, syscall.SIGTERM); err != nil {
			return err
		}
		p.fleet.remove(g)
		if err := p.fleet.add(ctx); err != nil {
			return err
		}
	}
	return nil
}
