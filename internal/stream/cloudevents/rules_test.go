package cloudevents_test

import (
	"testing"

	"sluice/internal/stream/cloudevents"
)

func TestRules(t *testing.T) {
	t.Parallel()
	for _, rule := range []struct {
		name       string
		holds      func(string) bool
		good, evil []string
	}{
		{
			"IsName", cloudevents.IsName,
			[]string{"id", "specversion", "comexampleothervalue", "0", "data2", "datacontenttype"},
			[]string{"", "data", "Id", "com-example", "com_example", "é", "a b", "a\x00"},
		},
		{
			"IsText", cloudevents.IsText,
			[]string{"", "Euro \u20ac \U0001F600", "a b\"%", "\u00a0", "\ue000", "\ufffd"},
			[]string{"\n", "\x00", "\x1f", "\x7f", "\u0080", "\u009f", "\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001FFFE", "\U0010FFFF", "\xff", "\xed\xa0\x80"},
		},
		{
			"IsJSON", cloudevents.IsJSON,
			[]string{"application/json", "text/json", "application/vnd.example+json"},
			[]string{"", "json", "application/jsonl", "application/json-seq", "text/plain", "application/json+xml"},
		},
	} {
		for _, s := range rule.good {
			if !rule.holds(s) {
				t.Errorf("%s(%q) is false", rule.name, s)
			}
		}
		for _, s := range rule.evil {
			if rule.holds(s) {
				t.Errorf("%s(%q) is true", rule.name, s)
			}
		}
	}
}
