package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"sluice/internal/stream"
)

// FuzzPublish sends whatever it makes up. The answer must be one that
// openapi.yaml has, and what the publisher gets must keep its promises: data
// that is one JSON text where the gateway has read it, a key for a tombstone.
func FuzzPublish(f *testing.F) {
	f.Add("s", "key=k&partition=0", "application/json", "", []byte(`{"a":1}`))
	f.Add("s", "tombstone=true&key=", "", "respond-async", []byte{})
	f.Add("a%2Fb", "timestamp=2026-01-31T12:00:00Z&schema=Order:1", "text/plain; charset=utf-8", "", []byte("1"))
	f.Add("s", "", "application/x-ndjson", "", []byte("{\"data\":1,\"headers\":{\"a\":[\"x\",null,{\"base64\":\"/w==\"}]}}\n\n{\"key\":\"k\\u0000\",\"value\":null}\r\n{"))
	f.Add("s", "", "application/x-ndjson", "stream", []byte("{\"data\":[1,2,{\"x\":\"\\\"\"}],\"timestamp\":1e3}\nx\n"))
	f.Fuzz(func(t *testing.T, id, query, contentType, prefer string, body []byte) {
		r := httptest.NewRequest("POST", "/streams/s", bytes.NewReader(body))
		target, err := url.ParseRequestURI("/streams/" + id)
		if err != nil || target.Path == "" {
			return // the server itself refuses it
		}
		target.RawQuery = query
		r.URL = target
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Prefer", prefer)
		lines := contentType == "application/x-ndjson"
		if prefer == "stream" {
			r.Header.Set("Accept", "application/x-ndjson")
		}
		g := newGateway(t, nil)
		kept := g.keep()
		res := g.send(t, r)
		for _, rec := range *kept {
			switch {
			case rec.Tombstone && rec.Key == nil:
				t.Error("a tombstone without a key")
			case lines && !rec.Tombstone && !json.Valid(rec.Data):
				t.Errorf("data %q", rec.Data)
			case rec.Partition < stream.AnyPartition || rec.Stream == "":
				t.Errorf("%+v", rec)
			}
		}
		if stored := res.StatusCode/100 == 2; !stored && len(*kept) > 0 || res.StatusCode == http.StatusInternalServerError {
			t.Errorf("%d, but %d records were handed on: %s", res.StatusCode, len(*kept), res.body)
		}
	})
}
