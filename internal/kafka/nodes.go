package kafka

import (
	"cmp"
	"strconv"
	"strings"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// nodes keeps how the control connection and the producer stand with each
// broker: what librdkafka's statistics said last, and what went wrong since.
type nodes struct {
	mu      sync.Mutex
	clients map[string]map[int32]standing
	errors  map[int32]stream.ConnectionError
}

// standing is what a client told of a broker, and when.
type standing struct {
	brokerStatistics

	at time.Time
}

// watched says whether a client is one of the two: those that every gateway has,
// once each.
func watched(client string) bool { return client == "control" || client == "producer" }

// maxNodeErrors bounds the errors that are kept. Ids come from a cluster, which
// has fewer brokers.
const maxNodeErrors = 1000

// learn takes a client's statistics.
func (n *nodes) learn(client string, brokers map[string]brokerStatistics, now time.Time) {
	if !watched(client) || brokers == nil {
		return
	}
	found := make(map[int32]standing, len(brokers))
	for _, b := range brokers {
		if b.NodeID >= 0 {
			found[int32(b.NodeID)] = standing{b, now}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.clients == nil {
		n.clients = map[string]map[int32]standing{}
	}
	n.clients[client] = found
}

// fail takes a client's error. Statistics come now and then, and errors at once:
// a connection that has just broken is not ready, whatever they said before.
func (n *nodes) fail(client string, err ckafka.Error, now time.Time) {
	id, ok := nodeOf(err.String())
	if !ok || !watched(client) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.errors == nil || len(n.errors) >= maxNodeErrors {
		n.errors = map[int32]stream.ConnectionError{}
	}
	n.errors[id] = stream.ConnectionError{At: now, Detail: err.String()}
	if s, known := n.clients[client][id]; known && is(err, brokenConnection...) {
		s.State, s.at = "DOWN", now
		n.clients[client][id] = s
	}
}

// brokenConnection are the errors after which librdkafka has no connection.
var brokenConnection = []ckafka.ErrorCode{
	ckafka.ErrTransport, ckafka.ErrSsl, ckafka.ErrAuthentication, ckafka.ErrResolve, ckafka.ErrTimedOut,
}

// nodeOf finds in librdkafka's words which broker they are about: they begin
// with its name, as in "sasl_ssl://host:9093/1: Connect to …".
func nodeOf(text string) (int32, bool) {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		return 0, false
	}
	name, _, _ := strings.Cut(rest, ": ")
	id, err := strconv.ParseInt(name[strings.LastIndex(name, "/")+1:], 10, 32)
	return int32(id), err == nil && id >= 0
}

// connection gives how the clients stand with a broker, all together.
func (n *nodes) connection(id int32, backoff time.Duration) stream.Connection {
	c := stream.Connection{State: stream.ConnectionDisconnected}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.clients) == 0 { // since the start nobody has told anything: that is seconds
		c.State = stream.ConnectionConnecting
	}
	samples := int64(0)
	for _, client := range n.clients {
		s, known := client[id]
		if !known {
			continue
		}
		if state := s.state(); rank(state) > rank(c.State) {
			c.State = state
		}
		if c.Observed.IsZero() || s.at.Before(c.Observed) {
			c.Observed = s.at
		}
		c.InFlight += int(s.InFlight) + int(s.Waiting)
		c.Sent += int64(s.TxBytes)
		c.Received += s.RxBytes
		c.Connects += int64(s.Connects)
		c.Disconnects += s.Disconnects
		c.Throttle = max(c.Throttle, time.Duration(s.Throttle.Max*float64(time.Millisecond)))
		if s.RTT.Count > samples {
			samples = s.RTT.Count
			c.RoundTrip = &stream.RoundTrip{P50: microseconds(s.RTT.P50), P99: microseconds(s.RTT.P99)}
		}
	}
	if c.State == stream.ConnectionDisconnected && c.Connects > 0 {
		c.ReconnectDelay = backoff
	}
	if e, failed := n.errors[id]; failed {
		c.LastError = &e
	}
	return c
}

// state gives what librdkafka calls a connection's state in other words: it has
// one for each step of making it.
func (s standing) state() stream.ConnectionState {
	switch s.State {
	case "UP", "REAUTH":
		return stream.ConnectionReady
	case "INIT", "DOWN", "TRY_CONNECT", "":
		return stream.ConnectionDisconnected
	}
	return stream.ConnectionConnecting
}

func rank(s stream.ConnectionState) int {
	switch s {
	case stream.ConnectionReady:
		return 2
	case stream.ConnectionConnecting:
		return 1
	}
	return 0
}

func microseconds(n float64) time.Duration { return time.Duration(n * float64(time.Microsecond)) }

// markLeastLoaded marks the broker that would be asked next, as kafka-python's
// least_loaded_node chooses: a connected one with the fewest requests under way.
func markLeastLoaded(brokers []stream.Broker) {
	var least *stream.Broker
	for i := range brokers {
		b := &brokers[i]
		if b.Connection.State != stream.ConnectionReady {
			continue
		}
		if least == nil || cmp.Less(b.Connection.InFlight, least.Connection.InFlight) {
			least = b
		}
	}
	if least != nil {
		least.LeastLoaded = true
	}
}
