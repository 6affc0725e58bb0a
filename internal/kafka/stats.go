package kafka

import (
	"encoding/json"
	"strconv"
)

// statistics is the part of librdkafka's statistics (STATISTICS.md) that
// becomes metrics.
type statistics struct {
	Records int64                       `json:"msg_cnt"`
	Bytes   int64                       `json:"msg_size"`
	Brokers map[string]brokerStatistics `json:"brokers"`
}

type brokerStatistics struct {
	NodeID      int     `json:"nodeid"` // -1: a bootstrap address, not yet known as a broker
	State       string  `json:"state"`
	InFlight    float64 `json:"waitresp_cnt"`
	Waiting     float64 `json:"outbuf_cnt"`
	TxBytes     float64 `json:"txbytes"`
	RxBytes     int64   `json:"rxbytes"`
	Connects    float64 `json:"connects"`
	Disconnects int64   `json:"disconnects"`
	RTT         window  `json:"rtt"`      // microseconds
	Throttle    window  `json:"throttle"` // milliseconds
}

type window struct {
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	Count int64   `json:"cnt"`
}

// statistics sets the gauges of a client from librdkafka's JSON, which it gives. Text that
// cannot be read is counted as an error and otherwise ignored: the gateway's
// work does not depend on it.
func (m *metrics) statistics(client, text string) (s statistics) {
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		m.clientErrors.WithLabelValues(client, "unreadable statistics").Inc()
		return statistics{}
	}
	m.queueRecords.WithLabelValues(client).Set(float64(s.Records))
	m.queueBytes.WithLabelValues(client).Set(float64(s.Bytes))
	for _, b := range s.Brokers {
		if b.NodeID < 0 {
			continue
		}
		id := strconv.Itoa(b.NodeID)
		m.inFlight.WithLabelValues(client, id).Set(b.InFlight)
		m.sentBytes.WithLabelValues(client, id).Set(b.TxBytes)
		m.connects.WithLabelValues(client, id).Set(b.Connects)
		m.roundTrip.WithLabelValues(client, id).Set(b.RTT.P50 / 1e6)
		m.throttle.WithLabelValues(client, id).Set(b.Throttle.P50 / 1e3)
	}
	return s
}
