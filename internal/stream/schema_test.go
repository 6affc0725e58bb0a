package stream_test

import (
	"testing"

	"sluice/internal/stream"
)

func TestTopicHas(t *testing.T) {
	topic := stream.Topic{Config: map[string]string{"a": "1", "b": ""}}
	for _, tc := range []struct {
		name     string
		settings map[string]*string
		want     bool
	}{
		{"nothing asked", nil, true},
		{"as it is", map[string]*string{"a": new("1"), "b": new("")}, true},
		{"another value", map[string]*string{"a": new("2")}, false},
		{"not set", map[string]*string{"c": new("1")}, false},
		{"left to the broker", map[string]*string{"c": nil}, true},
		{"to be taken back", map[string]*string{"b": nil}, false},
	} {
		if got := topic.Has(tc.settings); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}
