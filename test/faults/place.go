package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"sluice/test/bench/measure"
)

// place is where faults happen: brokers, links, gateways, and the balancer that
// clients know.
type place struct {
	brokers *brokers
	links   []*link
	fleet   *fleet
	front   *balancer
	hook    *receiver
}

// gateways is how many there are.
const gateways = 3

func newPlace(ctx context.Context, binary, work string) (*place, error) {
	if err := os.MkdirAll(work, 0o750); err != nil {
		return nil, err
	}
	p := &place{}
	var err error
	if p.brokers, err = newBrokers(); err != nil {
		return nil, err
	}
	if p.links, err = newLinks(ctx); err != nil {
		return nil, err
	}
	if p.front, err = newBalancer(ctx); err != nil {
		return nil, err
	}
	if p.hook, err = newReceiver(ctx); err != nil {
		return nil, err
	}
	var servers []string
	for _, l := range p.links {
		servers = append(servers, l.address)
	}
	// A prefix of its own: the cluster may have been used before.
	p.fleet = &fleet{binary: binary, work: work, prefix: fmt.Sprintf("faults%d.", os.Getpid()), servers: strings.Join(servers, ","), front: p.front}
	for range gateways {
		if err := p.fleet.add(ctx); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, p.call(ctx, http.MethodPost, "/schemas/Fault/versions", `{"schema":{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}}`)
}

func (p *place) close() {
	p.fleet.close()
	p.front.listener.Close()
	p.brokers.client.Close()
}

// call makes a request that is to succeed, by and by.
func (p *place) call(ctx context.Context, method, path, body string) error {
	return measure.Eventually(ctx, patience, method+" "+path, func() error {
		_, err := call(ctx, method, p.front.url()+path, body)
		return err
	})
}
