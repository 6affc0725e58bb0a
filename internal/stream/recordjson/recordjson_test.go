package recordjson_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

func order() stream.Record {
	return stream.Record{
		Stream: "orders.eu", Partition: 1, Offset: 42, Timestamp: time.Date(2026, 1, 31, 12, 0, 0, 120e6, time.UTC), Key: []byte("k\"1"),
		Headers: []stream.Header{{Name: "a", Value: []byte("1")}, {Name: "b"}, {Name: "a", Value: []byte("\xff")}}, Schema: "Order:1", Data: []byte(`{"n": 1}`),
	}
}

const place = `{"stream":"orders.eu","partition":1,"offset":42,"timestamp":"2026-01-31T12:00:00.120Z","key":"k\"1","headers":{"a":["1",{"base64":"/w=="}],"b":null},"schema":`

func TestAppendRecord(t *testing.T) {
	with := func(change func(*stream.Record)) stream.Record {
		r := order()
		change(&r)
		return r
	}
	for name, tc := range map[string]struct {
		rec  stream.Record
		want string
	}{
		"data as it is":         {order(), place + `"Order:1","data":{"n": 1}}`},
		"data on several lines": {with(func(r *stream.Record) { r.Data = []byte("{\r\n \"n\\\"\": [1,\t\" \"]\n}") }), place + `"Order:1","data":{"n\"":[1," "]}}`},
		"bytes":                 {with(func(r *stream.Record) { r.Schema, r.Data, r.Value = "", nil, []byte{0xff} }), place + `null,"value":{"base64":"/w=="}}`},
		"a tombstone":           {with(func(r *stream.Record) { r.Schema, r.Data = "", nil }), place + `null,"value":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := string(recordjson.AppendRecord(nil, &tc.rec))
			if got != tc.want || !json.Valid([]byte(got)) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
	rec := order()
	if got, want := string(recordjson.AppendWithoutData([]byte("x"), &rec)), "x"+place+`"Order:1"}`; got != want {
		t.Errorf("without data: got %s, want %s", got, want)
	}
}

// A time that RFC 3339 cannot write is null.
func TestTimesOutsideRFC3339(t *testing.T) {
	for _, ms := range []int64{-1, recordjson.MaxTimestamp + 1} {
		rec := stream.Record{Timestamp: time.UnixMilli(ms)}
		var object struct{ Timestamp *string }
		if err := json.Unmarshal(recordjson.AppendRecord(nil, &rec), &object); err != nil || object.Timestamp != nil {
			t.Errorf("%d: got %v, error %v, want null", ms, object.Timestamp, err)
		}
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	rec, buf := order(), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = recordjson.AppendRecord(buf[:0], &rec)
	}
}

func TestTimesAreWrittenAsTheLayoutSays(t *testing.T) {
	for ms := int64(0); ms <= recordjson.MaxTimestamp; ms += recordjson.MaxTimestamp/9973 + 1 {
		at := time.UnixMilli(ms).UTC()
		got := string(recordjson.AppendRecord(nil, &stream.Record{Stream: "s", Timestamp: at}))
		if want := `"timestamp":"` + at.Format(recordjson.TimeLayout) + `"`; !strings.Contains(got, want) {
			t.Fatalf("%s has no %s", got, want)
		}
	}
}
