package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAnswer bounds an answer, in bytes. What is no Kafka seems to announce
// more: the first four bytes of "HTTP" are a length of 1.2 GB.
const maxAnswer = 1 << 20

// correlation marks a request and its answer. Any number does.
const correlation = 0x51_1ce

var errNotKafka = errors.New("the answer is not one of Kafka's")

// ask sends one request, whose version has a header without tagged fields in
// its answer, and reads the answer.
func ask(conn net.Conn, req kmsg.Request, version int16) (kmsg.Response, error) {
	req.SetVersion(version)
	b := kmsg.NewRequestFormatter(kmsg.FormatterClientID(defaultClientID)).AppendRequest(nil, req, correlation)
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 4 || size > maxAnswer || binary.BigEndian.Uint32(head[4:]) != correlation {
		return nil, errNotKafka
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, err
	}
	answer := req.ResponseKind()
	if err := answer.ReadFrom(body); err != nil {
		return nil, errNotKafka
	}
	return answer, nil
}

// brokeOff says whether the other side ended the connection.
func brokeOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
