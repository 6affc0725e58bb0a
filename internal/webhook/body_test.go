package webhook_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

const orderObject = `{"stream":"orders.eu","partition":1,"offset":42,"timestamp":"2026-01-31T12:00:00.123Z","key":"k1",` +
	`"headers":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},"schema":"Order:1","data":{"n": 1}}`

const orderEvent = `{"specversion":"1.0","id":"AAAAAAAAQACAAAAAAAAAAA-1-42","source":"/streams/orders.eu","type":"Order","time":"2026-01-31T12:00:00.123Z",` +
	`"partitionkey":"k1","sluiceschema":"Order:1","sluicepartition":"1","sluiceoffset":"42","datacontenttype":"application/json","data":{"n": 1}}`

func bare(value []byte) stream.Record { return stream.Record{Stream: "s", Offset: 7, Value: value} }

const bareObject = `{"stream":"s","partition":0,"offset":7,"timestamp":null,"key":null,"headers":{},"schema":null,"value":`

// published is a record that was published as a CloudEvent.
func published() stream.Record {
	r := order()
	r.Headers = []stream.Header{
		{Name: "ce_specversion", Value: []byte("1.0")},
		{Name: "ce_id", Value: []byte("a%b é")},
		{Name: "ce_source", Value: []byte("/shop")},
		{Name: "ce_type", Value: []byte("sold")},
		{Name: "ce_Bad", Value: []byte("x")},
		{Name: "ce_ctl", Value: []byte("\x01")},
		{Name: "ce_id", Value: []byte("again")},
		{Name: "content-type", Value: []byte("application/vnd.shop+json")},
		{Name: "other", Value: []byte("x")},
	}
	return r
}

func publishedAs(contentType string) stream.Record {
	r := published()
	r.Headers = append(r.Headers[:7:7], stream.Header{Name: "content-type", Value: []byte(contentType)})
	return r
}

// whole is a record in the structured mode of CloudEvents' Kafka binding.
func whole(event string) stream.Record {
	return stream.Record{
		Stream: "s", Offset: 7, Value: []byte(event), Data: []byte(event),
		Headers: []stream.Header{{Name: "content-type", Value: []byte("application/CloudEvents+JSON; charset=UTF-8")}},
	}
}

// wrapped are the headers of the event that is made of a record which is none.
var wrapped = map[string]string{
	"Ce-Specversion": "1.0", "Ce-Id": "AAAAAAAAQACAAAAAAAAAAA-0-7", "Ce-Source": "/streams/s", "Ce-Type": "sluice.record", "Ce-Sluicepartition": "0", "Ce-Sluiceoffset": "7",
}

var ofShop = map[string]string{
	"Ce-Specversion": "1.0", "Ce-Id": "a%25b%20%C3%A9", "Ce-Source": "/shop", "Ce-Type": "sold", "Ce-N": "-5", "Ce-On": "true",
}

// withHeaders is an event, with headers more.
func withHeaders(headers ...stream.Header) stream.Record {
	r := order()
	r.Headers = append([]stream.Header{
		{Name: "ce_specversion", Value: []byte("1.0")},
		{Name: "ce_id", Value: []byte("1")},
		{Name: "ce_source", Value: []byte("/shop")},
		{Name: "ce_type", Value: []byte("sold")},
	}, headers...)
	return r
}

const shopEvent = `{"specversion":"1.0","id":"a%b \u00e9","source":"/shop","type":"sold","n":-5,"on":true,"off":null`

func TestBodies(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, nil, nil)
	for name, tc := range map[string]struct {
		view    string
		batch   int
		records []stream.Record
		kind    string // Content-Type
		body    string
		headers map[string]string // of the view
	}{
		"record":               {stream.ViewRecord, 1, nil, "application/json", orderObject, nil},
		"record, batch":        {stream.ViewRecord, 2, []stream.Record{order(), bare(nil)}, "application/json", `{"records":[` + orderObject + `,` + bareObject + `null}]}`, nil},
		"record, batch of one": {stream.ViewRecord, 2, nil, "application/json", `{"records":[` + orderObject + `]}`, nil},
		"data":                 {stream.ViewData, 1, nil, "application/json", `{"n": 1}`, nil},
		"data, none":           {stream.ViewData, 1, []stream.Record{bare([]byte{0xff})}, "application/json", bareObject + `{"base64":"/w=="}}`, map[string]string{"Sluice-View": "record"}},
		"data, batch":          {stream.ViewData, 2, []stream.Record{order(), bare(nil)}, "application/json", `{"records":[{"data":{"n": 1}},` + bareObject + `null}]}`, nil},
		"value, JSON":          {stream.ViewValue, 1, nil, "application/json", string(order().Value), nil},
		"value, bytes":         {stream.ViewValue, 1, []stream.Record{bare([]byte{0xff, 0})}, "application/octet-stream", "\xff\x00", nil},
		"value, empty":         {stream.ViewValue, 1, []stream.Record{bare([]byte{})}, "application/octet-stream", "", nil},
		"value, tombstone":     {stream.ViewValue, 1, []stream.Record{bare(nil)}, "application/json", bareObject + `null}`, map[string]string{"Sluice-View": "record"}},
		"value, batch":         {stream.ViewValue, 3, []stream.Record{bare([]byte("a")), bare([]byte{0xff}), bare(nil)}, "application/json", `{"records":[{"value":"a"},{"value":{"base64":"/w=="}},{"value":null}]}`, nil},

		"event": {stream.ViewCloudEvents, 1, nil, "application/json", `{"n": 1}`, map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "AAAAAAAAQACAAAAAAAAAAA-1-42", "Ce-Source": "/streams/orders.eu", "Ce-Type": "Order", "Ce-Time": "2026-01-31T12:00:00.123Z",
			"Ce-Partitionkey": "k1", "Ce-Sluiceschema": "Order:1", "Ce-Sluicepartition": "1", "Ce-Sluiceoffset": "42",
		}},
		"event, tombstone": {stream.ViewCloudEvents, 1, []stream.Record{bare(nil)}, "", "", map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "AAAAAAAAQACAAAAAAAAAAA-0-7", "Ce-Source": "/streams/s", "Ce-Type": "sluice.tombstone", "Ce-Sluicepartition": "0", "Ce-Sluiceoffset": "7",
		}},
		"event, as published": {stream.ViewCloudEvents, 1, []stream.Record{published()}, "application/vnd.shop+json", `{"n": 1}`, map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "a%25b%20%C3%A9", "Ce-Source": "/shop", "Ce-Type": "sold",
		}},
		"event, with an empty extension": {stream.ViewCloudEvents, 1, []stream.Record{withHeaders(stream.Header{Name: "ce_ext", Value: []byte{}}, stream.Header{Name: "ce_subject", Value: []byte{}}, stream.Header{Name: "ce_none"})}, "application/json", `{"n": 1}`, map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/shop", "Ce-Type": "sold", "Ce-Ext": "",
		}},
		"event, stored whole":        {stream.ViewCloudEvents, 1, []stream.Record{whole(shopEvent + `,"data":{"n": 1}}`)}, "application/json", `{"n": 1}`, ofShop},
		"event, whole, text":         {stream.ViewCloudEvents, 1, []stream.Record{whole(shopEvent + `,"datacontenttype":"text/xml","data":"<a b=\"c\"/>"}`)}, "text/xml", `<a b="c"/>`, ofShop},
		"event, whole, bytes":        {stream.ViewCloudEvents, 1, []stream.Record{whole(shopEvent + `,"datacontenttype":"image/png","data_base64":"/wA="}`)}, "image/png", "\xff\x00", ofShop},
		"event, whole, without data": {stream.ViewCloudEvents, 1, []stream.Record{whole(shopEvent + `}`)}, "", "", ofShop},
		"event, whole, data twice":   {stream.ViewCloudEvents, 1, []stream.Record{whole(shopEvent + `,"data":1,"data_base64":"/wA="}`)}, "application/json", shopEvent + `,"data":1,"data_base64":"/wA="}`, wrapped},
		"event, whole, no base64":    {stream.ViewCloudEvents, 1, []stream.Record{whole(shopEvent + `,"data_base64":7}`)}, "application/json", shopEvent + `,"data_base64":7}`, wrapped},
		"event, whole, a name twice": {stream.ViewCloudEvents, 1, []stream.Record{whole(shopEvent + `,"n":1}`)}, "application/json", shopEvent + `,"n":1}`, wrapped},
		"event, whole, no attribute": {stream.ViewCloudEvents, 1, []stream.Record{whole(shopEvent + `,"o":{}}`)}, "application/json", shopEvent + `,"o":{}}`, wrapped},
		"event, whole, no event":     {stream.ViewCloudEvents, 1, []stream.Record{whole(`{"id":"1"}`)}, "application/json", `{"id":"1"}`, wrapped},
		"event, whole, an array":     {stream.ViewCloudEvents, 1, []stream.Record{whole(`[]`)}, "application/json", `[]`, wrapped},
		"structured, stored whole":   {stream.ViewCloudEventsStructured, 1, []stream.Record{whole(shopEvent + ` , "data":{"n": 1}}`)}, "application/cloudevents+json", shopEvent + ` , "data":{"n": 1}}`, nil},
		"structured":                 {stream.ViewCloudEventsStructured, 1, nil, "application/cloudevents+json", orderEvent, nil},
		"structured, as published": {
			stream.ViewCloudEventsStructured, 1,
			[]stream.Record{published()},
			"application/cloudevents+json",
			`{"specversion":"1.0","id":"a%b é","source":"/shop","type":"sold","datacontenttype":"application/vnd.shop+json","data":{"n": 1}}`, nil,
		},
		"structured, as published, not JSON": {
			stream.ViewCloudEventsStructured, 1,
			[]stream.Record{publishedAs("text/plain")},
			"application/cloudevents+json",
			`{"specversion":"1.0","id":"a%b é","source":"/shop","type":"sold","datacontenttype":"text/plain","data_base64":"eyJuIjogMX0="}`, nil,
		},
		"structured, bytes": {
			stream.ViewCloudEventsStructured, 1,
			[]stream.Record{bare([]byte{0xff})},
			"application/cloudevents+json",
			`{"specversion":"1.0","id":"AAAAAAAAQACAAAAAAAAAAA-0-7","source":"/streams/s","type":"sluice.record","sluicepartition":"0","sluiceoffset":"7","datacontenttype":"application/octet-stream","data_base64":"/w=="}`, nil,
		},
		"events, batch": {
			stream.ViewCloudEvents, 2,
			[]stream.Record{order(), bare(nil)},
			"application/cloudevents-batch+json",
			`[` + orderEvent + `,{"specversion":"1.0","id":"AAAAAAAAQACAAAAAAAAAAA-0-7","source":"/streams/s","type":"sluice.tombstone","sluicepartition":"0","sluiceoffset":"7"}]`, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := deliver(r.URL, func(sub *stream.Subscription) { sub.View, sub.Batch.MaxRecords = tc.view, tc.batch }, tc.records...)
			if a := s.Send(t.Context(), d); a.Outcome != stream.DeliveryDone {
				t.Fatalf("the attempt: %+v", a)
			}
			requests := r.requests()
			got := requests[len(requests)-1]
			if string(got.body) != tc.body || got.Get("Content-Type") != tc.kind || got.length != int64(len(tc.body)) {
				t.Errorf("got  %s: %s\nwant %s: %s", got.Get("Content-Type"), got.body, tc.kind, tc.body)
			}
			if strings.HasSuffix(tc.kind, "json") && !json.Valid(got.body) {
				t.Error("it is not JSON")
			}
			if err := verify(t, got, key); err != nil {
				t.Errorf("the signature: %v", err)
			}
			ofView := map[string]string{}
			for name, values := range got.Header {
				if strings.HasPrefix(name, "Ce-") || name == "Sluice-View" {
					ofView[name] = strings.Join(values, "|")
				}
			}
			if diff := cmp.Diff(tc.headers, ofView); diff != "" && len(tc.headers)+len(ofView) > 0 {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestHeaders(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, nil, nil)
	rec := order()
	rec.Headers = append(rec.Headers, stream.Header{Name: "tracestate", Value: []byte("a=1")}, stream.Header{Name: "tracestate", Value: []byte("b=2")},
		stream.Header{Name: "baggage", Value: []byte("x\r\nInjected: 1")}, stream.Header{Name: "other", Value: []byte("not passed on")})
	d := deliver(r.URL+"/a%20b?c=d", func(sub *stream.Subscription) {
		sub.Endpoint.Headers = []stream.Header{
			{Name: "authorization", Value: []byte("Bearer token")},
			{Name: "X-Two", Value: []byte("1")},
			{Name: "X-Two", Value: []byte("2")},
			// None of these may pass, even if one got by the check at creation.
			{Name: "User-Agent", Value: []byte("mine")},
			{Name: "webhook-id", Value: []byte("mine")},
			{Name: "Content-Length", Value: []byte("1")},
			{Name: "Connection", Value: []byte("close")},
			{Name: "Host", Value: []byte("elsewhere")},
			{Name: "X-Bad", Value: []byte("a\nb")},
			{Name: "bad name", Value: []byte("a")},
		}
	}, rec)
	d.Attempt = 3
	want(t, s.Send(t.Context(), d), stream.DeliveryDone, 204, "")
	got := r.requests()[0]
	if got.method != "POST" || got.path != "/a%20b?c=d" || "http://"+got.host != r.URL {
		t.Errorf("got %s %s of %s", got.method, got.path, got.host)
	}
	for _, name := range []string{"Webhook-Timestamp", "Webhook-Signature", "Content-Length"} {
		got.Del(name)
	}
	wanted := map[string][]string{
		"Accept-Encoding": {"identity"}, "Authorization": {"Bearer token"}, "Content-Type": {"application/json"},
		"Sluice-Attempt": {"3"}, "Sluice-Offset": {"42"}, "Sluice-Partition": {"1"}, "Sluice-Stream": {"orders.eu"}, "Sluice-Subscription": {"mine"},
		"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Tracestate": {"a=1", "b=2"},
		"User-Agent": {"Sluice/1.2.3"}, "Webhook-Id": {d.ID}, "X-Two": {"1", "2"},
	}
	if diff := cmp.Diff(wanted, map[string][]string(got.Header)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	// A batch has no trace of its own.
	d.Subscription.Batch.MaxRecords = 2
	s.Send(t.Context(), d)
	if names := slices.Collect(maps.Keys(r.requests()[1].Header)); slices.Contains(names, "Traceparent") {
		t.Error("a batch has the trace of one record")
	}
}
