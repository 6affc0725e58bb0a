package kafka

import (
	"fmt"
	"os"
	"testing"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// What the statistics say is told as the connection's; of two clients together.
func TestConnectionOfStatistics(t *testing.T) {
	sample, err := os.ReadFile("testdata/statistics.json")
	if err != nil {
		t.Fatal(err)
	}
	then := time.Unix(1000, 0)
	s := newMetrics(prometheus.NewRegistry()).statistics("producer", string(sample))
	var n nodes
	n.learn("producer", s.Brokers, then)
	want := stream.Connection{
		State: stream.ConnectionReady, Observed: then, InFlight: 3, Sent: 84283332, Connects: 4, Throttle: 500 * time.Millisecond,
	}
	if d := cmp.Diff(want, n.connection(2, time.Second)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	n.learn("control", map[string]brokerStatistics{"a/2": {
		NodeID: 2, State: "TRY_CONNECT", InFlight: 1, Waiting: 2, TxBytes: 1, RxBytes: 7, Connects: 1, Disconnects: 5,
		RTT: window{P50: 1200, P99: 4000, Count: 9}, Throttle: window{Max: 600},
	}}, then.Add(time.Second))
	n.learn("member", map[string]brokerStatistics{"a/2": {NodeID: 2, InFlight: 1000}}, then)
	n.learn("control", nil, then) // statistics that could not be read
	want.InFlight, want.Sent, want.Received, want.Connects, want.Disconnects = 6, 84283333, 7, 5, 5
	want.Throttle, want.RoundTrip = 600*time.Millisecond, &stream.RoundTrip{P50: 1200 * time.Microsecond, P99: 4 * time.Millisecond}
	if d := cmp.Diff(want, n.connection(2, time.Second)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff(stream.Connection{State: stream.ConnectionDisconnected}, n.connection(7, time.Second)); d != "" {
		t.Errorf("of a broker that nobody needed, -want +got:\n%s", d)
	}
	var fresh nodes
	if d := cmp.Diff(stream.Connection{State: stream.ConnectionConnecting}, fresh.connection(2, time.Second)); d != "" {
		t.Errorf("before there are statistics, -want +got:\n%s", d)
	}
}

func TestConnectionStates(t *testing.T) {
	for name, want := range map[string]stream.ConnectionState{
		"INIT": stream.ConnectionDisconnected, "DOWN": stream.ConnectionDisconnected, "TRY_CONNECT": stream.ConnectionDisconnected,
		"CONNECT": stream.ConnectionConnecting, "SSL_HANDSHAKE": stream.ConnectionConnecting, "AUTH_REQ": stream.ConnectionConnecting,
		"APIVERSION_QUERY": stream.ConnectionConnecting, "UP": stream.ConnectionReady, "REAUTH": stream.ConnectionReady,
	} {
		var n nodes
		n.learn("control", map[string]brokerStatistics{"a": {NodeID: 1, State: name, Connects: 1}}, time.Now())
		c := n.connection(1, time.Second)
		if c.State != want || (c.ReconnectDelay > 0) != (want == stream.ConnectionDisconnected) {
			t.Errorf("%s: got %s, again in %v", name, c.State, c.ReconnectDelay)
		}
	}
}

// An error is known at once, and ends what the statistics said of the
// connection that it is about.
func TestConnectionThatBreaks(t *testing.T) {
	var n nodes
	then := time.Unix(1000, 0)
	n.learn("control", map[string]brokerStatistics{"a": {NodeID: 1, State: "UP", Connects: 1}, "b": {NodeID: 2, State: "UP", Connects: 1}}, then)
	text := "sasl_ssl://kafka1.example:9093/1: Disconnected (after 5ms in state UP)"
	n.fail("control", ckafka.NewError(ckafka.ErrTransport, text, false), then.Add(time.Second))
	n.fail("member", ckafka.NewError(ckafka.ErrTransport, "plaintext://x:1/2: of another client", false), then)
	n.fail("control", ckafka.NewError(ckafka.ErrTransport, "plaintext://x:1/bootstrap: of no broker", false), then)
	c := n.connection(1, time.Second)
	if c.State != stream.ConnectionDisconnected || c.LastError == nil || c.LastError.Detail != text || !c.LastError.At.Equal(then.Add(time.Second)) {
		t.Errorf("got %+v", c)
	}
	if c := n.connection(2, time.Second); c.State != stream.ConnectionReady || c.LastError != nil {
		t.Errorf("another broker: %+v", c)
	}
	n.learn("control", map[string]brokerStatistics{"a": {NodeID: 1, State: "UP", Connects: 2}}, then.Add(2*time.Second))
	if c := n.connection(1, time.Second); c.State != stream.ConnectionReady || c.LastError == nil {
		t.Errorf("connected again: %+v", c)
	}
	for i := range 3 * maxNodeErrors {
		n.fail("control", ckafka.NewError(ckafka.ErrTransport, fmt.Sprintf("plaintext://x:1/%d: ", i), false), then)
	}
	if len(n.errors) > maxNodeErrors {
		t.Errorf("%d errors are kept", len(n.errors))
	}
}

func TestLeastLoaded(t *testing.T) {
	ready, not := stream.ConnectionReady, stream.ConnectionConnecting
	for _, tt := range []struct {
		states   []stream.ConnectionState
		inFlight []int
		want     int
	}{
		{[]stream.ConnectionState{ready, ready, ready}, []int{3, 1, 1}, 1},
		{[]stream.ConnectionState{not, ready}, []int{0, 9}, 1},
		{[]stream.ConnectionState{not, not}, []int{0, 0}, -1},
		{nil, nil, -1},
	} {
		brokers := make([]stream.Broker, len(tt.states))
		for i := range brokers {
			brokers[i].Connection = stream.Connection{State: tt.states[i], InFlight: tt.inFlight[i]}
		}
		markLeastLoaded(brokers)
		for i, b := range brokers {
			if b.LeastLoaded != (i == tt.want) {
				t.Errorf("%v %v: broker %d is %v", tt.states, tt.inFlight, i, b.LeastLoaded)
			}
		}
	}
}
