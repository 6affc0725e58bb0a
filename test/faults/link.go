package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"sluice/test/bench/measure"
)

// link is the way of all gateways to one broker, as TCP: it can be cut, hold
// everything back, delay and throttle. Shopify's toxiproxy does most of that,
// too; but its rate is that of each connection, where a link has one for all,
// and it brings a server, a logger and a router along.
type link struct {
	address, broker string

	mu       sync.Mutex
	listener net.Listener // nil: cut
	conns    map[net.Conn]bool
	open     chan struct{} // closed while bytes may pass
	delay    time.Duration
	rate     int                // bytes a second each way; 0: any
	free     map[bool]time.Time // until then each way is taken, by whether it leads to the broker
}

// newLinks listens where the brokers told their clients to come.
func newLinks(ctx context.Context) ([]*link, error) {
	var links []*link
	for pair := range strings.SplitSeq(os.Getenv("SLUICE_TEST_KAFKA3_LINKS"), ",") {
		address, broker, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, errors.New("no links: start the brokers with KAFKA_LINKS=1")
		}
		l := &link{address: address, broker: broker, conns: map[net.Conn]bool{}, open: make(chan struct{}), free: map[bool]time.Time{}}
		close(l.open)
		if err := l.mend(ctx); err != nil {
			return nil, err
		}
		links = append(links, l)
	}
	return links, nil
}

// mend makes the link as it was.
func (l *link) mend(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay, l.rate = 0, 0
	select {
	case <-l.open:
	default:
		close(l.open)
	}
	if l.listener != nil {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.address)
	if err != nil {
		return fmt.Errorf("listen for a broker's clients: %w", err)
	}
	l.listener = listener
	go l.accept(context.WithoutCancel(ctx), listener) // beyond the fault that asked for it
	return nil
}

// cut breaks all connections by a reset, and has new ones refused.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		l.listener.Close()
		l.listener = nil
	}
	for c := range l.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a FIN instead of a RST does as well
		}
		c.Close()
	}
}

// hold lets nothing pass, as if every packet were lost: what was sent arrives
// when the link is mended, if the connection still is.
func (l *link) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = make(chan struct{})
}

// slow delays each byte, and lets so many pass a second, each way.
func (l *link) slow(delay time.Duration, rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay, l.rate = delay, rate
}

func (l *link) accept(ctx context.Context, listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // cut
		}
		go l.carry(ctx, client)
	}
}

// carry joins a client with the broker until one of them ends.
func (l *link) carry(ctx context.Context, client net.Conn) {
	defer client.Close()
	broker, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", l.broker)
	if err != nil {
		return
	}
	defer broker.Close()
	if !l.note(client, broker) {
		return
	}
	defer l.forget(client, broker)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{}, 2)
	go func() { l.pump(ctx, broker, client, true); done <- struct{}{} }()
	go func() { l.pump(ctx, client, broker, false); done <- struct{}{} }()
	<-done
}

// note says whether a connection may be; one that is made while the link is cut
// may not.
func (l *link) note(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.conns[c] = true
	}
	return l.listener != nil
}

func (l *link) forget(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.conns, c)
	}
}

// parcel is bytes that may go on at a time.
type parcel struct {
	bytes []byte
	due   time.Time
}

// pump carries bytes one way. What waits is bounded, so a link that holds back
// fills the sender's buffers in the end, as a real one.
func (l *link) pump(ctx context.Context, to, from net.Conn, toBroker bool) {
	parcels := make(chan parcel, 256)
	go func() {
		defer close(parcels)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			if n > 0 {
				select {
				case parcels <- parcel{b[:n], l.due(n, toBroker)}:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range parcels {
		if !l.mayPass(ctx, p.due) {
			return
		}
		if _, err := to.Write(p.bytes); err != nil {
			return
		}
	}
}

// due says when bytes that come now have passed.
func (l *link) due(n int, toBroker bool) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.rate > 0 {
		begin := l.free[toBroker]
		if begin.Before(now) {
			begin = now
		}
		l.free[toBroker] = begin.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
		now = l.free[toBroker]
	}
	return now.Add(l.delay)
}

// mayPass waits until bytes may go on; false: the connection has ended.
func (l *link) mayPass(ctx context.Context, due time.Time) bool {
	measure.Pause(ctx, time.Until(due))
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	select {
	case <-ctx.Done():
		return false
	case <-open:
		return ctx.Err() == nil
	}
}
