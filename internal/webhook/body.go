package webhook

import (
	"net/http"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

const (
	typeJSON       = "application/json"
	typeBytes      = "application/octet-stream"
	typeEvent      = "application/cloudevents+json"
	typeEventBatch = "application/cloudevents-batch+json"
)

// compose gives the body of a delivery, and sets the headers that its view
// makes.
func compose(d *stream.Delivery, h http.Header) []byte {
	view := d.Subscription.View
	if d.Subscription.Batch.MaxRecords > 1 || len(d.Records) > 1 {
		return composeBatch(d, h)
	}
	rec := &d.Records[0]
	setTrace(h, rec)
	switch {
	case view == stream.ViewCloudEvents:
		return eventOf(rec, d.TopicID).binary(h)
	case view == stream.ViewCloudEventsStructured:
		setType(h, typeEvent)
		return eventOf(rec, d.TopicID).appendTo(nil)
	case view == stream.ViewData && rec.Data != nil:
		setType(h, typeJSON)
		return rec.Data
	case view == stream.ViewValue && rec.Value != nil && rec.Data == nil:
		setType(h, typeBytes)
		return rec.Value
	case view == stream.ViewValue && rec.Value != nil: // only JSON has data
		setType(h, typeJSON)
		return rec.Value
	case view == stream.ViewData, view == stream.ViewValue: // no body can stand for it
		h[headerView] = []string{stream.ViewRecord}
	}
	setType(h, typeJSON)
	return recordjson.AppendRecord(make([]byte, 0, room(d)), rec)
}

// composeBatch gives {"records":[…]}, or an array of CloudEvents.
func composeBatch(d *stream.Delivery, h http.Header) []byte {
	b := make([]byte, 0, room(d))
	events := d.Subscription.View == stream.ViewCloudEvents || d.Subscription.View == stream.ViewCloudEventsStructured
	if events {
		setType(h, typeEventBatch)
		b = append(b, '[')
	} else {
		setType(h, typeJSON)
		b = append(b, `{"records":[`...)
	}
	for i := range d.Records {
		if i > 0 {
			b = append(b, ',')
		}
		if events {
			b = eventOf(&d.Records[i], d.TopicID).appendTo(b)
		} else {
			b = appendShown(b, &d.Records[i], d.Subscription.View)
		}
	}
	b = append(b, ']')
	if !events {
		b = append(b, '}')
	}
	return b
}

// appendShown appends a record of a batch: always an object, as in pages.
func appendShown(b []byte, rec *stream.Record, view string) []byte {
	switch {
	case view == stream.ViewData && rec.Data != nil:
		b = append(b, `{"data":`...)
		b = append(b, rec.Data...)
	case view == stream.ViewValue:
		b = append(b, `{"value":`...)
		b = recordjson.AppendBytes(b, rec.Value)
	default:
		return recordjson.AppendRecord(b, rec)
	}
	return append(b, '}')
}

// room guesses the size of a body.
func room(d *stream.Delivery) int {
	size := 16
	for i := range d.Records {
		rec := &d.Records[i]
		size += 256 + len(rec.Key) + max(len(rec.Data), len(rec.Value))
		for _, h := range rec.Headers {
			size += len(h.Name) + len(h.Value) + 8
		}
	}
	return size
}

func setType(h http.Header, mediaType string) { h["Content-Type"] = []string{mediaType} }
