package kafka

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestStatistics(t *testing.T) {
	sample, err := os.ReadFile("testdata/clients.json")
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	m := newMetrics(reg)
	m.statistics("producer", string(sample))
	m.statistics("control", `{}`)
	m.statistics("reader", `nonsense`)
	want, err := os.Open("testdata/clients.metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	var names []string
	for _, d := range m.clients.descriptions.all {
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ = strings.Cut(name, `"`)
		names = append(names, name)
	}
	if err := testutil.GatherAndCompare(reg, want, append(names, "sluice_kafka_client_errors_total")...); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		var all []string
		for _, p := range problems {
			all = append(all, p.Metric+": "+p.Text)
		}
		t.Errorf("%v %s", err, strings.Join(all, "\n"))
	}
}

// sentBy is the statistics of a client that has sent so many bytes to broker 1.
func sentBy(name string, sent float64) statistics {
	return statistics{Name: name, Brokers: map[string]brokerStatistics{
		"localhost:9092/1": {NodeID: 1, State: "UP", TxBytes: sent, InFlight: 2, RTT: window{Sum: 3e6, Count: 1, P50: sent, P99: sent}},
	}}
}

// What is counted never falls: not when a client ends, and not when another
// takes its place; and clients of one role make no series of their own.
func TestStatisticsOfManyClients(t *testing.T) {
	c, now := newClients(), time.Now()
	sent := func() string {
		r := c.roles["member"]
		v := r.views()[1]
		if v == nil {
			v = &view{}
		}
		return fmt.Sprint(r.brokers[1].counters[2], " sent, ", v.inFlight, " in flight, ", v.connections["ready"], " ready, p99 ", v.roundTrip.P99, ", ", r.brokers[1].roundTrip.sum, " s")
	}
	var got []string
	for _, s := range []statistics{sentBy("a", 100), sentBy("a", 150), sentBy("b", 10), sentBy("a", 160), sentBy("b", 5)} {
		c.take("member", s, now)
		got = append(got, sent())
	}
	now = now.Add(silence + time.Second)
	c.roles["member"].forget(now)
	got = append(got, sent())
	c.take("member", sentBy("c", 7), now)
	got = append(got, sent())
	want := []string{
		"100 sent, 2 in flight, 1 ready, p99 100, 3 s",
		"150 sent, 2 in flight, 1 ready, p99 150, 6 s",
		"160 sent, 4 in flight, 2 ready, p99 150, 9 s",
		"170 sent, 4 in flight, 2 ready, p99 160, 12 s",
		"175 sent, 4 in flight, 2 ready, p99 160, 15 s", // b connects to the broker anew
		"175 sent, 0 in flight, 0 ready, p99 0, 15 s",   // all have ended
		"182 sent, 2 in flight, 1 ready, p99 7, 18 s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A broker that moves to another address goes on counting; the connection to a
// coordinator does when that is another broker.
func TestStatisticsOfABrokerThatMoves(t *testing.T) {
	c, now := newClients(), time.Now()
	take := func(name string, b brokerStatistics) {
		b.Name = name
		c.take("member", statistics{Name: "a", Brokers: map[string]brokerStatistics{name: b}}, now)
	}
	take("here/1", brokerStatistics{NodeID: 1, Requests: 10})
	take("there/1", brokerStatistics{NodeID: 1, Requests: 12})
	take("GroupCoordinator", brokerStatistics{NodeID: -1, Source: "logical", Requests: 1})
	take("GroupCoordinator", brokerStatistics{NodeID: 1, Source: "logical", Requests: 3})
	take("GroupCoordinator", brokerStatistics{NodeID: 2, Source: "logical", Requests: 8})
	got := map[int]float64{}
	for id, b := range c.roles["member"].brokers {
		got[id] = b.counters[0]
	}
	if diff := cmp.Diff(map[int]float64{1: 14, 2: 5}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// BenchmarkStatistics takes what a client of 3 brokers and 1,000 partitions
// tells, as it does every 5 or 15 seconds.
func BenchmarkStatistics(b *testing.B) {
	partition := `"%d":{"partition":%[1]d,"broker":1,"leader":1,"desired":true,"unknown":false,"msgq_cnt":0,"msgq_bytes":0,"xmit_msgq_cnt":0,"xmit_msgq_bytes":0,"fetchq_cnt":0,"fetchq_size":0,"fetch_state":"active","query_offset":-1001,"next_offset":12345,"app_offset":12345,"stored_offset":-1001,"stored_leader_epoch":-1,"committed_offset":-1001,"committed_leader_epoch":-1,"eof_offset":12345,"lo_offset":-1001,"hi_offset":12345,"ls_offset":12345,"consumer_lag":0,"consumer_lag_stored":-1,"leader_epoch":0,"txmsgs":0,"txbytes":0,"rxmsgs":12,"rxbytes":3400,"msgs":12,"rx_ver_drops":0,"msgs_inflight":0,"next_ack_seq":0,"next_err_seq":0,"acked_msgid":0}`
	var text strings.Builder
	text.WriteString(`{"name":"a","brokers":{"h:1/1":{"nodeid":1},"h:2/2":{"nodeid":2},"h:3/3":{"nodeid":3}},"topics":{"t":{"topic":"t","batchsize":{"sum":1,"cnt":1},"partitions":{`)
	for i := range 1000 {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, partition, i)
	}
	text.WriteString(`}}}}`)
	m := newMetrics(prometheus.NewRegistry())
	b.ReportAllocs()
	for b.Loop() {
		m.statistics("tail", text.String())
	}
	b.SetBytes(int64(text.Len()))
}
