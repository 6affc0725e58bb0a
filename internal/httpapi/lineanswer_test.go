package httpapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

func TestDecodeAnswerLine(t *testing.T) {
	got, err := httpapi.DecodeAnswerLine([]byte(`{"stream":"orders.eu","offset":3,"key":"k","headers":{"a":"b"},"schema":"Order:1","data":{"n":1}}`))
	want := stream.Outgoing{
		Stream: "orders.eu", Partition: stream.AnyPartition, Key: []byte("k"), Headers: []stream.Header{{Name: "a", Value: []byte("b")}},
		Schema: stream.SchemaRef{Name: "Order", Version: 1}, Data: []byte(`{"n":1}`),
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, (-want +got):\n%s", err, diff)
	}
	for line, message := range map[string]string{
		`{"data":1}`:                       `"stream" is missing: it names the stream that the record is for`,
		`{"key":"k","data":1,"stream":""}`: `"stream" is missing: it names the stream that the record is for`,
		`{"data":1,"stream":null}`:         `"stream" is a string: the id of the stream that the record is for`,
		`{"stream":"s"}`:                   `the line has no "data" (for a tombstone, give "value":null and a key)`,
	} {
		_, err := httpapi.DecodeAnswerLine([]byte(line))
		if stream.CodeOf(err) != stream.InvalidRequest || err.(*stream.Error).Message != message {
			t.Errorf("%s: got %v, want %s", line, err, message)
		}
	}
}
