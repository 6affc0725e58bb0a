package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/test/bench/gateway"
)

// complaints counts the lines of a gateway's log that are warnings or errors,
// and shows the first ones on standard error. The rest of the log is dropped:
// half an hour of it is gigabytes.
type complaints struct {
	mu    sync.Mutex
	rest  []byte
	count int
}

// shown is how many complaints are shown.
const shown = 20

// Write takes a piece of the log.
func (c *complaints) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = append(c.rest, b...)
	for {
		line, rest, found := bytes.Cut(c.rest, []byte{'\n'})
		if !found {
			break
		}
		if bytes.Contains(line, []byte(`"level":"WARN"`)) || bytes.Contains(line, []byte(`"level":"ERROR"`)) || !bytes.HasPrefix(line, []byte{'{'}) {
			if c.count++; c.count <= shown {
				fmt.Fprintf(os.Stderr, "gateway: %s\n", line)
			}
		}
		c.rest = rest
	}
	c.rest = append([]byte(nil), c.rest...)
	return len(b), nil
}

func (c *complaints) number() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// startReady starts a gateway whose log is watched, and waits for it.
func startReady(ctx context.Context, o gateway.Options) (*gateway.Gateway, error) {
	g, err := gateway.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := g.Ready(ctx); err != nil {
		g.Kill()
		return nil, err
	}
	return g, nil
}

// partitions is how many each stream has.
const partitions = 6

// kept bounds what Kafka keeps of each partition, so that hours of load do not
// fill the disk.
const kept = `{"retention.bytes":"134217728","segment.bytes":"33554432"}`

// prepare registers the schema and makes streams bound to it.
func prepare(ctx context.Context, g *gateway.Gateway, streams ...string) error {
	err := g.Call(ctx, http.MethodPost, "/schemas/Load/versions", `{"schema":{"type":"object","required":["n","t","name"],"properties":{`+
		`"n":{"type":"integer","minimum":0},"t":{"type":"integer"},"name":{"type":"string","maxLength":100},"amount":{"type":"number","minimum":0},`+
		`"currency":{"enum":["EUR","USD"]},"paid":{"type":"boolean"}}}}`)
	for _, s := range streams {
		if err == nil {
			err = g.Call(ctx, http.MethodPut, "/streams/"+s, fmt.Sprintf(`{"schema":"Load:1","partitions":%d,"config":%s}`, partitions, kept))
		}
	}
	return err
}

// appendRecord appends a record's data, about 130 bytes of JSON, with its
// number and the nanosecond it is made in.
func appendRecord(dst []byte, n int64) []byte {
	return fmt.Appendf(dst, `{"n":%d,"t":%d,"name":"A customer's name, not short","amount":1299.95,"currency":"EUR","paid":true}`, n, time.Now().UnixNano())
}

// ends asks Kafka, not the gateway, for the end of each partition of a stream:
// without transactions and with idempotence that is how many records were
// ever stored in it.
func ends(ctx context.Context, o options, stream string) (ends [partitions]int64, err error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(o.Kafka))
	if err != nil {
		return ends, err
	}
	defer c.Close()
	listed, err := kadm.NewClient(c).ListEndOffsets(ctx, o.Prefix+stream)
	if err == nil {
		err = listed.Error()
	}
	listed.Each(func(l kadm.ListedOffset) { ends[l.Partition] = l.Offset })
	return ends, err
}

func sum(ends [partitions]int64) (n int64) {
	for _, e := range ends {
		n += e
	}
	return n
}

// ledger is which offsets of a stream somebody was told of, by partition.
type ledger struct {
	mu       sync.Mutex
	seen     [partitions][]uint64
	count    int64 // each offset once
	repeated int64
}

// note notes an offset.
func (l *ledger) note(partition int, offset int64) error {
	if partition < 0 || partition >= partitions || offset < 0 {
		return errors.New("an answer without a partition and an offset")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	word, bit := int(offset/64), uint64(1)<<(offset%64)
	for len(l.seen[partition]) <= word {
		l.seen[partition] = append(l.seen[partition], make([]uint64, 1024)...)
	}
	if l.seen[partition][word]&bit != 0 {
		l.repeated++
		return nil
	}
	l.seen[partition][word] |= bit
	l.count++
	return nil
}

// total gives how many offsets were noted, each counted once, and how often
// one was noted again.
func (l *ledger) total() (count, repeated int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, l.repeated
}
