package stream_test

import (
	"strings"
	"testing"

	"sluice/internal/stream"
)

func TestCheckID(t *testing.T) {
	long := strings.Repeat("a", stream.MaxTopicLength)
	for _, tc := range []struct {
		prefix, id string
		ok         bool
	}{
		{"", "a", true},
		{"", "orders.eu_west-1.V2", true},
		{"", "-", true},
		{"", "...", true},
		{"", "a_", true},
		{"", long, true},
		{"", long + "a", false},
		{"p.", long[2:], true},
		{"p.", long[1:], false},
		{"", "", false},
		{"p.", "", false},
		{"", ".", false},
		{"", "..", false},
		{".", ".", false},
		{"p", "..", false},
		{"p", ".", false},
		{"", "_a", false},
		{"", "__consumer_offsets", false},
		{"p.", "_a", false},
		{"_", "a", true},
		{"__", "a", false},
		{"", "a b", false},
		{"", "a/b", false},
		{"", "a,b", false},
		{"", "ä", false},
		{"", "a\x00", false},
		{"", "a_sluice.b", false},
		{"", "a_sluice", true},
		{"x_sluice", ".a", false}, // the mark may stand across the border
		{"x_", "sluice.a", false},
	} {
		names := stream.Topics{Prefix: tc.prefix}
		err := names.CheckID(tc.id)
		if (err == nil) != tc.ok || err != nil && stream.CodeOf(err) != stream.InvalidRequest {
			t.Errorf("prefix %q, id %.20q: got %v", tc.prefix, tc.id, err)
		}
		if id, ok := names.Stream(names.Topic(tc.id)); ok != tc.ok || ok && id != tc.id {
			t.Errorf("prefix %q, id %.20q: its topic is the stream %.20q, %v", tc.prefix, tc.id, id, ok)
		}
	}
}

func TestTopicsThatAreNoStreams(t *testing.T) {
	for _, tc := range []struct{ prefix, topic string }{
		{"p.", "a"},
		{"p.", "p"},
		{"p.", "p."},
		{"p.", stream.Topics{Prefix: "p."}.Internal("schemas")},
		{"p.", "p._sluice.schemas"},
		{"", "_sluice.schemas"},
		{"", "other._sluice.schemas"},
		{"_", "__consumer_offsets"},
		{"", "__transaction_state"},
	} {
		if id, ok := (stream.Topics{Prefix: tc.prefix}).Stream(tc.topic); ok {
			t.Errorf("prefix %q: the topic %s is taken for the stream %q", tc.prefix, tc.topic, id)
		}
	}
}

func TestCollides(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"n.a", "n_a", true},
		{"a._b", "a__b", true},
		{"n.a", "n.a", false},
		{"n.a", "n-a", false},
		{"n.a", "n.A", false},
		{"n.a", "n_a_", false},
	} {
		if stream.Collides(tc.a, tc.b) != tc.want || stream.Collides(tc.b, tc.a) != tc.want {
			t.Errorf("%s and %s: want %v", tc.a, tc.b, tc.want)
		}
	}
}

func FuzzStreamIDs(f *testing.F) {
	f.Add("", "orders")
	f.Add("p._sluice", ".x")
	f.Fuzz(func(t *testing.T, prefix, topic string) {
		names := stream.Topics{Prefix: prefix}
		id, ok := names.Stream(topic)
		if !ok {
			return
		}
		if names.Topic(id) != topic || names.CheckID(id) != nil {
			t.Errorf("the topic %q is the stream %q, whose topic is %q, %v", topic, id, names.Topic(id), names.CheckID(id))
		}
	})
}
