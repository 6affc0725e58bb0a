package main

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// balancer shares connections out to gateways in turn, as TCP, and passes over
// those that do not accept. It knows nothing of requests: one whose gateway
// ends remains without an answer.
type balancer struct {
	listener net.Listener

	mu       sync.Mutex
	backends []string
	turn     int
}

func newBalancer(ctx context.Context) (*balancer, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: listener}
	go b.accept(ctx)
	return b, nil
}

func (b *balancer) url() string { return "http://" + b.listener.Addr().String() }

// set says which gateways there are.
func (b *balancer) set(backends []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = backends
}

func (b *balancer) accept(ctx context.Context) {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		go b.serve(ctx, client)
	}
}

func (b *balancer) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	gateway := b.dial(ctx)
	if gateway == nil {
		return
	}
	defer gateway.Close()
	done := make(chan struct{}, 2)
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // whichever side ends, the other does, too
		done <- struct{}{}
	}
	go carry(gateway, client)
	go carry(client, gateway)
	<-done
}

// dial connects with the next gateway that accepts; nil: none does.
func (b *balancer) dial(ctx context.Context) net.Conn {
	b.mu.Lock()
	b.turn++
	first, backends := b.turn, b.backends
	b.mu.Unlock()
	for i := range backends {
		d := net.Dialer{Timeout: 30 * time.Second}
		if c, err := d.DialContext(ctx, "tcp", backends[(first+i)%len(backends)]); err == nil {
			return c
		}
	}
	return nil
}
