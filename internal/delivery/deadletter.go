package delivery

import (
	"strconv"
	"time"

	"sluice/internal/stream"
)

// The headers that a dead letter has beside those of its record. They are its
// last ones, in this order.
const (
	headerSubscription = "sluice-subscription"
	headerStream       = "sluice-stream"
	headerTopicID      = "sluice-topic-id"
	headerPartition    = "sluice-partition"
	headerOffset       = "sluice-offset"
	headerTimestamp    = "sluice-timestamp"
	headerFailedAt     = "sluice-failed-at"
	headerAttempts     = "sluice-attempts"
	headerStatus       = "sluice-status"
	headerError        = "sluice-error"
	deadLetterHeaders  = 10

	maxErrorHeader = 1000 // bytes
	timeFormat     = "2006-01-02T15:04:05.000Z"
)

// deadLetter gives the message for a record that could not be delivered: its
// key and stored bytes, and where it lay and why in headers. Its timestamp is
// the time of writing, so that the dead letters' retention begins then.
func deadLetter(d *stream.Delivery, r *stream.Record, a stream.Attempt) stream.Message {
	m := stream.Message{Partition: stream.AnyPartition, Key: r.Key, Value: r.Value}
	add := func(name, value string) {
		m.Headers = append(m.Headers, stream.Header{Name: name, Value: []byte(value)})
	}
	m.Headers = append(m.Headers, r.Headers...)
	if _, _, enveloped := stream.OpenEnvelope(r.Value); !enveloped && r.Schema != "" {
		add(stream.SchemaHeader, r.Schema)
	}
	add(headerSubscription, d.Subscription.ID)
	add(headerStream, r.Stream)
	add(headerTopicID, d.TopicID)
	add(headerPartition, strconv.Itoa(int(r.Partition)))
	add(headerOffset, strconv.FormatInt(r.Offset, 10))
	add(headerTimestamp, r.Timestamp.UTC().Format(timeFormat))
	add(headerFailedAt, time.Now().UTC().Format(timeFormat))
	add(headerAttempts, strconv.Itoa(d.Attempt))
	add(headerStatus, strconv.Itoa(a.Status))
	add(headerError, a.Detail[:min(len(a.Detail), maxErrorHeader)])
	return m
}

// restore makes a delivery of dead letters one of the records they were, so
// that receivers see them as on the first attempt, with the same webhook-id.
// Other records of the stream stay as they are.
func restore(d *stream.Delivery) {
	for i := range d.Records {
		r := &d.Records[i]
		n := len(r.Headers) - deadLetterHeaders
		if n < 0 || r.Headers[n].Name != headerSubscription || r.Headers[n+deadLetterHeaders-1].Name != headerError {
			continue
		}
		h := r.Headers[n:]
		partition, err := strconv.ParseInt(string(h[3].Value), 10, 32)
		offset, err2 := strconv.ParseInt(string(h[4].Value), 10, 64)
		at, err3 := time.Parse(timeFormat, string(h[5].Value))
		if err != nil || err2 != nil || err3 != nil {
			continue
		}
		d.TopicID = string(h[2].Value)
		r.Stream, r.Partition, r.Offset, r.Timestamp = string(h[1].Value), int32(partition), offset, at
		r.Headers = r.Headers[:n:n]
	}
}
