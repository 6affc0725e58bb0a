package httpapi

import (
	"net"
	"net/netip"
	"sync"
)

// LimitConnections gives a listener that closes at once what is one connection
// too many of its address: nothing can be said on it, before a TLS handshake
// too. Those of trusted proxies are let in: they are not their clients'.
func LimitConnections(l net.Listener, count Connections, trusted []netip.Prefix) net.Listener {
	return &cappedListener{l, count, trusted}
}

type cappedListener struct {
	net.Listener

	count   Connections
	trusted proxies
}

// Accept gives the next connection that may be.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerOf(c.RemoteAddr().String())
		if l.trusted.trust(peer) {
			return c, nil
		}
		leave, ok := l.count.Connect(peer)
		if ok {
			return &countedConn{Conn: c, leave: leave}, nil
		}
		c.Close()
	}
}

// countedConn is open until it is closed, however often.
type countedConn struct {
	net.Conn

	leave  func()
	closed sync.Once
}

// Close closes the connection.
func (c *countedConn) Close() error {
	defer c.closed.Do(c.leave)
	return c.Conn.Close()
}
