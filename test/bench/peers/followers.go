package peers

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sluice/test/bench/measure"
)

// Event is the data of a record for followers: about 130 bytes of JSON with the
// run it belongs to, its number, and the microsecond it was made in. (A
// nanosecond would not fit into the numbers of JavaScript.)
func Event(run, n int) string {
	return fmt.Sprintf(`{"run":%d,"n":%d,"t":%d,"name":"A customer's name, not short","amount":1299.95,"currency":"EUR","paid":true}`,
		run, n, time.Now().UnixMicro())
}

// Followers are connections that read an event stream as cheaply as can be:
// they count the events of a run, and look at the time in each.
type Followers struct {
	run  atomic.Int64
	all  sync.WaitGroup
	each []*follower

	latencies measure.Latencies
}

type follower struct {
	conn   net.Conn
	owner  *Followers
	events atomic.Int64 // of the run
	ended  atomic.Bool
}

// Follow opens n event streams. Whether each is at the end of the stream, only
// events tell: see Count.
func (t Target) Follow(ctx context.Context, n int) (*Followers, error) {
	u, err := url.Parse(t.Base)
	if err != nil {
		return nil, err
	}
	request, err := t.request(t.Events.Call)
	if err != nil {
		return nil, err
	}
	// In HTTP/1.0 an answer comes as it is; chunks would cut events apart.
	request = bytes.Replace(request, []byte(" HTTP/1.1\r\n"), []byte(" HTTP/1.0\r\nAccept: text/event-stream\r\n"), 1)
	f := &Followers{}
	for range n {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("connect to %s: %w", t.Name, err)
		}
		one := &follower{conn: c, owner: f}
		f.each = append(f.each, one)
		if _, err := c.Write(request); err != nil {
			f.Close()
			return nil, fmt.Errorf("ask %s for events: %w", t.Name, err)
		}
		f.all.Go(one.read)
	}
	return f, nil
}

// Run begins to count the events of a run, from none.
func (f *Followers) Run(run int) {
	f.run.Store(int64(run))
	for _, one := range f.each {
		one.events.Store(0)
	}
	f.latencies.Reset()
}

// Count gives the events of the run that all followers have had, those that
// the one with the fewest had, and how many followers were cut off.
func (f *Followers) Count() (all, fewest int64, cut int) {
	fewest = -1
	for _, one := range f.each {
		n := one.events.Load()
		all += n
		if fewest < 0 || n < fewest {
			fewest = n
		}
		if one.ended.Load() {
			cut++
		}
	}
	return all, fewest, cut
}

// Percentile gives the latency of the run's events in milliseconds, from when
// a record was made until it was read.
func (f *Followers) Percentile(at float64) float64 { return f.latencies.Percentile(at) }

// Close ends all streams.
func (f *Followers) Close() {
	for _, one := range f.each {
		_ = one.conn.Close() // it only ends the reading
	}
	f.all.Wait()
}

// read reads one stream to its end.
func (f *follower) read() {
	defer f.ended.Store(true)
	buf := make([]byte, 0, 64<<10)
	for {
		n, err := f.conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if end := bytes.LastIndex(buf, []byte("\n\n")); end >= 0 {
			f.count(buf[:end])
			buf = buf[:copy(buf[:cap(buf)], buf[end+2:])]
		}
		if err != nil {
			return
		}
		if len(buf) == cap(buf) { // no event of ours is that long
			buf = buf[:0]
		}
	}
}

// count counts the events of the run in whole events, and how old they are.
func (f *follower) count(whole []byte) {
	now := time.Now().UnixMicro()
	mark := fmt.Appendf(nil, `"run":%d,"n":`, f.owner.run.Load())
	var ages []time.Duration
	defer func() { f.owner.latencies.Add(ages...) }()
	for {
		i := bytes.Index(whole, mark)
		if i < 0 {
			return
		}
		whole = whole[i+len(mark):]
		f.events.Add(1)
		_, after, _ := bytes.Cut(whole, []byte(`"t":`))
		digits := after[:max(0, bytes.IndexByte(after, ','))]
		if t, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
			ages = append(ages, time.Duration(now-t)*time.Microsecond)
		}
	}
}
