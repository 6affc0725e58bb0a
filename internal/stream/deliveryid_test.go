package stream_test

import (
	"regexp"
	"testing"

	"sluice/internal/stream"
)

func TestDeliveryID(t *testing.T) {
	span := func(partition int32, first, last int64) []stream.Record {
		return []stream.Record{{Partition: partition, Offset: first}, {Partition: partition, Offset: last}}
	}
	// What receivers have stored must mean the same in every version.
	if got, want := stream.DeliveryID("orders", "topic", span(3, 41, 42)), "U6wIH-cbTmhdNExOLLNrRq"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[string]string{}
	for name, id := range map[string]string{
		"plain":              stream.DeliveryID("s", "t", span(0, 1, 2)),
		"one record":         stream.DeliveryID("s", "t", span(0, 1, 2)[:1]),
		"another partition":  stream.DeliveryID("s", "t", span(1, 1, 2)),
		"another beginning":  stream.DeliveryID("s", "t", span(0, 0, 2)),
		"another end":        stream.DeliveryID("s", "t", span(0, 1, 3)),
		"another topic":      stream.DeliveryID("s", "u", span(0, 1, 2)),
		"another subscriber": stream.DeliveryID("r", "t", span(0, 1, 2)),
		"names moved":        stream.DeliveryID("st", "", span(0, 1, 2)),
		"names moved back":   stream.DeliveryID("", "st", span(0, 1, 2)),
	} {
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`).MatchString(id) {
			t.Errorf("%s: %q is no id", name, id)
		}
		if other, taken := seen[id]; taken {
			t.Errorf("%s and %s have one id", name, other)
		}
		seen[id] = name
	}
	again := span(0, 1, 2)
	again[0].Data, again[1].Headers = []byte("{}"), []stream.Header{{Name: "a"}}
	if got, want := stream.DeliveryID("s", "t", again), stream.DeliveryID("s", "t", span(0, 1, 2)); got != want {
		t.Errorf("the id depends on the content: got %s, want %s", got, want)
	}
}
