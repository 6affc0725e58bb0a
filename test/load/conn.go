package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// conn is a keep-alive connection that publishes, as cheaply as can be: the
// load shares its cores with what it measures. It opens itself again after a
// failure. One goroutine uses it.
type conn struct {
	addr string
	size int // of the buffer for answers; 0: 4 KiB
	c    net.Conn
	r    *bufio.Reader
	buf  []byte
}

// answer is what matters of a publish's answer.
type answer struct {
	status    int
	partition int // -1: none was told
	offset    int64
	body      []byte // of a refusal; until the next request
}

// patience is how long an answer may take.
const patience = 30 * time.Second

// publish sends one record. The path has the stream and the query.
func (c *conn) publish(ctx context.Context, path string, n int64) (answer, error) {
	if err := c.open(ctx); err != nil {
		return answer{}, err
	}
	var data [192]byte
	body := appendRecord(data[:0], n)
	c.buf = fmt.Appendf(c.buf[:0], "POST /streams/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, c.addr, len(body))
	a, err := c.ask(append(c.buf, body...))
	if err != nil {
		c.close()
	}
	return a, err
}

func (c *conn) open(ctx context.Context) error {
	if c.c != nil {
		return nil
	}
	d, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	c.c = d
	if c.r == nil {
		c.r = bufio.NewReaderSize(nil, max(c.size, 512))
	}
	c.r.Reset(d)
	return nil
}

func (c *conn) close() {
	if c.c != nil {
		_ = c.c.Close() // nothing is under way, or it failed already
		c.c = nil
	}
}

// ask sends a request and reads its answer.
func (c *conn) ask(request []byte) (answer, error) {
	_ = c.c.SetDeadline(time.Now().Add(patience)) // an error shows in what follows
	if _, err := c.c.Write(request); err != nil {
		return answer{}, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return answer{}, err
	}
	a := answer{partition: -1}
	if len(line) < 12 {
		return a, fmt.Errorf("no status line: %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, err
	}
	length, last := -1, false
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return a, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "Content-Length":
			length, err = strconv.Atoi(string(value))
		case "Location":
			a.partition, a.offset, err = where(value)
		case "Connection":
			last = string(value) == "close"
		}
		if err != nil {
			return a, err
		}
	}
	if length < 0 {
		return a, errors.New("an answer without a length")
	}
	err = c.body(&a, length)
	if last {
		c.close()
	}
	return a, err
}

// body reads the answer's body, and keeps that of a refusal.
func (c *conn) body(a *answer, length int) error {
	if a.status == 201 {
		_, err := c.r.Discard(length)
		return err
	}
	a.body = make([]byte, length)
	_, err := io.ReadFull(c.r, a.body)
	return err
}

// where reads a Location, /streams/{stream}/records/{partition}/{offset}.
func where(location []byte) (partition int, offset int64, err error) {
	i := bytes.LastIndexByte(location, '/')
	k := bytes.LastIndexByte(location[:max(i, 0)], '/')
	if k < 0 {
		return -1, 0, fmt.Errorf("a strange Location: %q", location)
	}
	if offset, err = strconv.ParseInt(string(location[i+1:]), 10, 64); err != nil {
		return -1, 0, err
	}
	partition, err = strconv.Atoi(string(location[k+1 : i]))
	return partition, offset, err
}
