package httpapi

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

// fullEvery is how often it is logged that no more connections are taken.
const fullEvery = time.Minute

// HoldConnections gives a listener that takes no more connections while most of
// them are open: further clients wait, in the queue that the system has for
// them, until others have gone. Each connection is a descriptor, and whoever
// only connects could take all that the process may have. Then those to Kafka,
// which break now and then, could not be made again.
func HoldConnections(l net.Listener, most int, log *slog.Logger) net.Listener {
	return &heldListener{Listener: l, log: log, open: make(chan struct{}, most), done: make(chan struct{})}
}

type heldListener struct {
	net.Listener

	log    *slog.Logger
	open   chan struct{} // holds one for each connection
	done   chan struct{} // closed with the listener
	closed sync.Once
	told   time.Time // when it was logged; Accept has one caller
}

// Accept gives the next connection as soon as there may be one.
func (l *heldListener) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	default:
		if err := l.wait(); err != nil {
			return nil, err
		}
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &countedConn{Conn: c, leave: func() { <-l.open }}, nil
}

// wait waits until a connection ends.
func (l *heldListener) wait() error {
	if time.Since(l.told) >= fullEvery {
		l.told = time.Now()
		l.log.Warn("as many connections are open as the limit of open files allows; further clients wait",
			slog.Int("connections", cap(l.open)))
	}
	select {
	case l.open <- struct{}{}:
		return nil
	case <-l.done:
		return net.ErrClosed
	}
}

// Close closes the listener. Connections stay open.
func (l *heldListener) Close() error {
	l.closed.Do(func() { close(l.done) })
	return l.Listener.Close()
}
