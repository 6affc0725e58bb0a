package kafka

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// nBrokerCounters is how many counters each broker has.
const nBrokerCounters = 9

// clientDescriptions are the metrics of librdkafka's clients. They are made
// when they are asked for, from what clients told last: so there is none of a
// client that ended, or a broker that left. Labels are the client's role and
// the broker's id, of which there are as many as the cluster has.
type clientDescriptions struct {
	all                                           []*prometheus.Desc
	counters                                      [nBrokerCounters]*prometheus.Desc
	connections, inFlight, waiting                *prometheus.Desc
	roundTrip, queued, throttle                   *prometheus.Desc
	records, maxRecords, bytes, maxBytes, clients *prometheus.Desc
	rebalances, batchBytes, batchRecords          *prometheus.Desc
}

func newClients() *clients {
	const client, broker = "client", "broker"
	var all []*prometheus.Desc
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("sluice_kafka_"+name, help, labels, nil)
		all = append(all, d)
		return d
	}
	c := &clients{roles: map[string]*role{}, descriptions: clientDescriptions{
		counters: [...]*prometheus.Desc{ // in the order of brokerStatistics.counters
			describe("broker_requests_total", "Requests sent to the broker.", client, broker),
			describe("broker_answers_total", "Answers received from the broker.", client, broker),
			describe("broker_sent_bytes_total", "Bytes sent to the broker.", client, broker),
			describe("broker_received_bytes_total", "Bytes received from the broker.", client, broker),
			describe("broker_request_errors_total", "Requests that could not be sent, and answers that could not be received.", client, broker),
			describe("broker_request_retries_total", "Requests that were sent again.", client, broker),
			describe("broker_request_timeouts_total", "Requests that the broker did not answer in time.", client, broker),
			describe("broker_connects_total", "Attempts to connect to the broker.", client, broker),
			describe("broker_disconnects_total", "Connections to the broker that ended.", client, broker),
		},
		connections: describe("broker_connections", "Clients by the state of their connection to the broker: ready, connecting, disconnected (none is needed).", client, broker, "state"),
		inFlight:    describe("broker_requests_in_flight", "Requests awaiting the broker's answer.", client, broker),
		waiting:     describe("broker_requests_waiting", "Requests waiting to be sent to the broker.", client, broker),
		roundTrip:   describe("broker_round_trip_seconds", "Round trips to the broker; the quantiles are of the last statistics interval, of several clients the worst.", client, broker),
		queued:      describe("broker_queue_seconds", "Time that records waited in the client before they were put into a request; the quantiles as for round trips.", client, broker),
		throttle:    describe("broker_throttle_seconds", "How long the broker asked to wait, for answers that did; the quantiles as for round trips.", client, broker),

		clients:      describe("clients", "Clients of Kafka that told their statistics a short while ago.", client),
		records:      describe("client_queue_records", "Records in the clients' queues.", client),
		maxRecords:   describe("client_queue_limit_records", "Records that the clients' queues take.", client),
		bytes:        describe("client_queue_bytes", "Bytes of the records in the clients' queues.", client),
		maxBytes:     describe("client_queue_limit_bytes", "Bytes of records that the clients' queues take.", client),
		rebalances:   describe("rebalances_total", "Rebalances of consumer groups that the clients took part in.", client),
		batchBytes:   describe("batch_bytes", "Bytes of the batches of records that were sent.", client),
		batchRecords: describe("batch_records", "Records in the batches that were sent.", client),
	}}
	c.descriptions.all = all
	return c
}

// Describe gives the descriptions of all metrics.
func (c *clients) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descriptions.all {
		ch <- d
	}
}

// Collect gives the metrics of all roles.
func (c *clients) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for name, r := range c.roles {
		r.forget(now)
		c.descriptions.ofRole(ch, name, r)
		for id, t := range r.brokers {
			c.descriptions.ofTotals(ch, t, name, strconv.Itoa(id))
		}
		for id, v := range r.views() {
			c.descriptions.ofView(ch, v, r.brokers[id], name, strconv.Itoa(id))
		}
	}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func summary(ch chan<- prometheus.Metric, d *prometheus.Desc, s sums, quantiles map[float64]float64, labels ...string) {
	ch <- prometheus.MustNewConstSummary(d, s.count, s.sum, quantiles, labels...)
}

func (d *clientDescriptions) ofRole(ch chan<- prometheus.Metric, name string, r *role) {
	var sum statistics
	for _, c := range r.clients {
		sum.Records += c.Records
		sum.MaxRecords += c.MaxRecords
		sum.Bytes += c.Bytes
		sum.MaxBytes += c.MaxBytes
	}
	gauge(ch, d.clients, float64(len(r.clients)), name)
	gauge(ch, d.records, sum.Records, name)
	gauge(ch, d.maxRecords, sum.MaxRecords, name)
	gauge(ch, d.bytes, sum.Bytes, name)
	gauge(ch, d.maxBytes, sum.MaxBytes, name)
	counter(ch, d.rebalances, r.rebalances, name)
	summary(ch, d.batchBytes, r.batchBytes, nil, name)
	summary(ch, d.batchRecords, r.batchRecords, nil, name)
}

func (d *clientDescriptions) ofTotals(ch chan<- prometheus.Metric, t *brokerTotals, labels ...string) {
	for i, v := range t.counters {
		counter(ch, d.counters[i], v, labels...)
	}
}

func (d *clientDescriptions) ofView(ch chan<- prometheus.Metric, v *view, t *brokerTotals, labels ...string) {
	gauge(ch, d.inFlight, v.inFlight, labels...)
	gauge(ch, d.waiting, v.waiting, labels...)
	for state, n := range v.connections {
		gauge(ch, d.connections, n, append(slices.Clip(labels), state)...)
	}
	summary(ch, d.roundTrip, t.roundTrip, v.roundTrip.quantiles(inMicroseconds), labels...)
	summary(ch, d.queued, t.queued, v.queued.quantiles(inMicroseconds), labels...)
	summary(ch, d.throttle, t.throttle, v.throttle.quantiles(inMilliseconds), labels...)
}

// quantiles are those of the window; not numbers where nothing was seen.
func (w window) quantiles(unit float64) map[float64]float64 {
	if w.Count == 0 {
		return map[float64]float64{.5: math.NaN(), .99: math.NaN()}
	}
	return map[float64]float64{.5: w.P50 / unit, .99: w.P99 / unit}
}
