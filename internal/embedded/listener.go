package embedded

import (
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// maxFrame is the largest request in bytes, as Kafka's
	// socket.request.max.bytes.
	maxFrame = 100 << 20

	// headLen is the part of a request that is looked at: its size (4 bytes),
	// its API key (2) and its version (2).
	headLen = 8

	// minFrame is key, version and correlation id: no request is shorter.
	minFrame = 8
)

// guardedListen listens on address, and keeps from kfake the frames that would
// take the whole process down: kfake dereferences nil on an API key that it
// does not know, in a goroutine where nobody can recover, and it allocates
// whatever size a frame announces (an HTTP request announces 1.2 GB). No
// connection is accepted before gate is closed.
func guardedListen(gate <-chan struct{}) func(network, address string) (net.Listener, error) {
	return func(network, address string) (net.Listener, error) {
		//nolint:noctx // kfake's hook has no context, and a loopback bind does not wait
		l, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		return &guardedListener{Listener: l, gate: gate}, nil
	}
}

type guardedListener struct {
	net.Listener
	gate <-chan struct{}
}

// Accept waits for a connection and puts the guard before it.
func (l *guardedListener) Accept() (net.Conn, error) {
	<-l.gate
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: c}, nil
}

// guardedConn follows the frames that a client sends. Only kfake's one reading
// goroutine calls Read.
type guardedConn struct {
	net.Conn
	head    [headLen]byte
	pending []byte // the part of head that is checked and not handed out yet
	body    uint32 // bytes of the frame that are still in the socket
}

// Read hands out bytes of checked frames, and an error in place of a frame
// that is refused, whereupon kfake closes the connection.
func (c *guardedConn) Read(p []byte) (int, error) {
	if len(c.pending) == 0 && c.body == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	if uint64(len(p)) > uint64(c.body) {
		p = p[:c.body]
	}
	n, err := c.Conn.Read(p)
	c.body -= uint32(n)
	return n, err
}

// next reads and checks the head of the next frame.
func (c *guardedConn) next() error {
	if _, err := io.ReadFull(c.Conn, c.head[:4]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(c.head[:])
	if size < minFrame || size > maxFrame {
		return errors.New("refused a frame: its size is not that of a Kafka request")
	}
	if _, err := io.ReadFull(c.Conn, c.head[4:]); err != nil {
		return err
	}
	key := int16(binary.BigEndian.Uint16(c.head[4:]))
	version := int16(binary.BigEndian.Uint16(c.head[6:]))
	if !known(key, version) {
		return errors.New("refused a frame: it is no Kafka request")
	}
	c.pending, c.body = c.head[:], size-(headLen-4)
	return nil
}

// known tells whether the request can be read. An ApiVersions of the future
// can: the answer is UNSUPPORTED_VERSION, by which clients find the right one.
func known(key, version int16) bool {
	req := kmsg.RequestForKey(key)
	if req == nil || version < 0 {
		return false
	}
	return version <= req.MaxVersion() || key == int16(kmsg.ApiVersions)
}
