package kafka

import (
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// statistics is the part of librdkafka's statistics (STATISTICS.md) that
// becomes metrics.
type statistics struct {
	Name       string                      `json:"name"` // of the client; no two of a process share one
	Records    float64                     `json:"msg_cnt"`
	MaxRecords float64                     `json:"msg_max"`
	Bytes      float64                     `json:"msg_size"`
	MaxBytes   float64                     `json:"msg_size_max"`
	Brokers    map[string]brokerStatistics `json:"brokers"`
	Topics     map[string]topicStatistics  `json:"topics"`
	Group      struct {
		Rebalances float64 `json:"rebalance_cnt"`
	} `json:"cgrp"`
}

type topicStatistics struct {
	BatchBytes   window `json:"batchsize"`
	BatchRecords window `json:"batchcnt"`
}

type brokerStatistics struct {
	NodeID        int     `json:"nodeid"` // -1: a bootstrap address, not yet known as a broker
	Name          string  `json:"name"`
	Source        string  `json:"source"`
	State         string  `json:"state"`
	InFlight      float64 `json:"waitresp_cnt"`
	Waiting       float64 `json:"outbuf_cnt"`
	Requests      float64 `json:"tx"`
	Answers       float64 `json:"rx"`
	TxBytes       float64 `json:"txbytes"`
	RxBytes       int64   `json:"rxbytes"`
	SendErrors    float64 `json:"txerrs"`
	ReceiveErrors float64 `json:"rxerrs"`
	Retries       float64 `json:"txretries"`
	Timeouts      float64 `json:"req_timeouts"`
	Connects      float64 `json:"connects"`
	Disconnects   int64   `json:"disconnects"`
	RTT           window  `json:"rtt"`         // microseconds
	Queued        window  `json:"int_latency"` // microseconds
	Throttle      window  `json:"throttle"`    // milliseconds
}

// window is what was seen since the statistics before.
type window struct {
	Sum   float64 `json:"sum"`
	Count int64   `json:"cnt"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// counters gives what only grows, in the order of brokerCounters.
func (b *brokerStatistics) counters() [nBrokerCounters]float64 {
	return [...]float64{
		b.Requests, b.Answers, b.TxBytes, float64(b.RxBytes), b.SendErrors + b.ReceiveErrors,
		b.Retries, b.Timeouts, b.Connects, float64(b.Disconnects),
	}
}

// identity is what a broker's counters go on under. The connection to a group's
// coordinator stays when that is another broker; all others are of one broker,
// whatever its address.
func (b *brokerStatistics) identity() string {
	if b.Source == "logical" {
		return b.Name
	}
	return strconv.Itoa(b.NodeID)
}

// connection gives the state of a connection in three words: librdkafka passes
// through a dozen while it connects, and keeps no connection that nobody needs.
func (b *brokerStatistics) connection() string {
	switch b.State {
	case "UP", "UPDATE", "REAUTH":
		return "ready"
	case "INIT", "DOWN", "":
		return "disconnected"
	}
	return "connecting"
}

// clients adds up the statistics of librdkafka's clients by what they are for,
// their role: of some there are many, and they come and go. What is counted
// never falls when a client ends.
type clients struct {
	mu           sync.Mutex
	roles        map[string]*role
	descriptions clientDescriptions
}

// role is the clients of one role.
type role struct {
	clients      map[string]*client // that tell of themselves, by name
	brokers      map[int]*brokerTotals
	rebalances   float64
	batchBytes   sums
	batchRecords sums
}

// client is what a client told last.
type client struct {
	statistics

	brokers map[string]brokerStatistics // by identity
	at      time.Time
	every   time.Duration // between the two reports before
}

// brokerTotals is what all clients of a role had to do with a broker.
type brokerTotals struct {
	counters                    [nBrokerCounters]float64
	roundTrip, queued, throttle sums
}

// sums adds up windows.
type sums struct {
	sum   float64
	count uint64
}

func (s *sums) add(w window, unit float64) {
	s.sum += w.Sum / unit
	s.count += uint64(max(w.Count, 0))
}

// statistics takes a client's statistics, and gives them. Text that cannot be read is counted
// as an error and otherwise ignored: the gateway's work does not depend on it.
func (m *metrics) statistics(role, text string) (s statistics) {
	// A topic that was made anew may be there twice.
	if err := json.Unmarshal([]byte(text), &s, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		m.clientErrors.WithLabelValues(role, "unreadable statistics").Inc()
		return statistics{}
	}
	m.clients.take(role, s, time.Now())
	return s
}

// take adds what is new in a client's statistics.
func (c *clients) take(name string, s statistics, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.roles[name]
	if r == nil {
		r = &role{clients: map[string]*client{}, brokers: map[int]*brokerTotals{}}
		c.roles[name] = r
	}
	r.forget(now)
	before := r.clients[s.Name]
	if before == nil {
		before = &client{at: now}
	}
	next := &client{statistics: s, brokers: make(map[string]brokerStatistics, len(s.Brokers)), at: now, every: now.Sub(before.at)}
	for _, b := range s.Brokers {
		next.brokers[b.identity()] = b
		if b.NodeID >= 0 {
			r.broker(b.NodeID).add(b, before.brokers[b.identity()])
		}
	}
	for _, t := range s.Topics {
		r.batchBytes.add(t.BatchBytes, 1)
		r.batchRecords.add(t.BatchRecords, 1)
	}
	next.Topics, next.Brokers = nil, nil // they may be large
	r.rebalances += grown(before.Group.Rebalances, s.Group.Rebalances)
	r.clients[s.Name] = next
}

func (r *role) broker(id int) *brokerTotals {
	if r.brokers[id] == nil {
		r.brokers[id] = &brokerTotals{}
	}
	return r.brokers[id]
}

func (t *brokerTotals) add(b, before brokerStatistics) {
	was := before.counters()
	for i, is := range b.counters() {
		t.counters[i] += grown(was[i], is)
	}
	t.roundTrip.add(b.RTT, inMicroseconds)
	t.queued.add(b.Queued, inMicroseconds)
	t.throttle.add(b.Throttle, inMilliseconds)
}

// The units in which librdkafka measures, of which a second has so many.
const (
	inMicroseconds = 1e6
	inMilliseconds = 1e3
)

// grown gives what a counter grew by. One that fell began anew.
func grown(was, is float64) float64 {
	if is < was {
		return is
	}
	return is - was
}

// silence is how long a client may tell nothing before it counts as ended, if
// it did not tell something more seldom before.
const silence = time.Minute

// forget lets go of clients that tell nothing any more. What they have counted
// stays.
func (r *role) forget(now time.Time) {
	for name, c := range r.clients {
		if now.Sub(c.at) > max(silence, 3*c.every) {
			delete(r.clients, name)
		}
	}
}

// view is what the clients of a role have to do with a broker now.
type view struct {
	inFlight, waiting           float64
	connections                 map[string]float64 // by state
	roundTrip, queued, throttle window
}

// views gives what there is to say of the brokers that clients know now.
func (r *role) views() map[int]*view {
	all := map[int]*view{}
	for _, c := range r.clients {
		for _, b := range c.brokers {
			if b.NodeID < 0 {
				continue
			}
			v := all[b.NodeID]
			if v == nil {
				v = &view{connections: map[string]float64{"ready": 0, "connecting": 0, "disconnected": 0}}
				all[b.NodeID] = v
			}
			v.see(b)
		}
	}
	return all
}

func (v *view) see(b brokerStatistics) {
	v.inFlight += b.InFlight
	v.waiting += b.Waiting
	v.connections[b.connection()]++
	v.roundTrip.worsen(b.RTT)
	v.queued.worsen(b.Queued)
	v.throttle.worsen(b.Throttle)
}

// worsen makes w the worse of two windows: quantiles cannot be added.
func (w *window) worsen(other window) {
	if other.Count > 0 {
		*w = window{Count: w.Count + other.Count, P50: max(w.P50, other.P50), P99: max(w.P99, other.P99)}
	}
}
