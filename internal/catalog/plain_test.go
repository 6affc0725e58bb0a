package catalog_test

import (
	"strings"
	"testing"

	"sluice/internal/stream"
)

// A stream is made as its first record needs it.
func TestFirstRecordDecidesAboutTheEnvelope(t *testing.T) {
	for _, plain := range []bool{true, false} {
		w := newWorld()
		target, err := w.catalog(t).Resolve(t.Context(), &stream.Outgoing{Stream: "orders", Schema: *ref("Order:1"), Plain: plain})
		if err != nil || target.Envelope == plain || target.Schema != *ref("Order:1") {
			t.Errorf("plain %v: got %+v, %v", plain, target, err)
		}
		if b := w.log["orders"]; b.Envelope == plain {
			t.Errorf("plain %v: bound as %+v", plain, b)
		}
	}
}

func TestPlainRecordsNeedAStreamWithoutEnvelopes(t *testing.T) {
	w := newWorld()
	w.stream("orders", "Order:1")
	c := w.catalog(t)
	rec := &stream.Outgoing{Stream: "orders", Plain: true}
	_, err := c.Resolve(t.Context(), rec)
	if e := wantCode(t, err, stream.InvalidRecord); e != nil && (!strings.Contains(e.Message, `PUT /streams/orders {"envelope":false}`) || e.Outcome != stream.NotStored) {
		t.Errorf("got %+v", e)
	}
	_, err = c.Resolve(t.Context(), &stream.Outgoing{Stream: "orders", Plain: true, Tombstone: true})
	wantCode(t, err, "") // it has nothing to put into an envelope
	// Another gateway has followed the advice, and memory does not know it yet.
	b := w.log["orders"]
	b.Envelope, b.Revision = false, b.Revision+1
	w.log["orders"] = b
	if target, err := c.Resolve(t.Context(), rec); err != nil || target.Envelope {
		t.Errorf("got %+v, %v", target, err)
	}
}
