package schemastore_test

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/schemastore"
)

func TestEqualJSON(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":[1,2]}`, ` {"b" : [1, 2], "a" : 1.0} `, true},
		{`1`, `1.0`, true},
		{`1`, `1e0`, true},
		{`100`, `1e2`, true},
		{`0.001`, `1E-3`, true},
		{`0`, `-0.0e5`, true},
		{`1`, `-1`, false},
		{`1`, `10`, false},
		{`0.1`, `0.10000000000000001`, false},
		{`9007199254740993`, `9007199254740992`, false},
		{`12345678901234567890`, `1234567890123456789e1`, true},
		{`1e400`, `1e399`, false},
		{`"a"`, `"\u0061"`, true},
		{`"1"`, `1`, false},
		{`[1,2]`, `[2,1]`, false},
		{`[[1],2]`, `[[1,2]]`, false},
		{`[]`, `{}`, false},
		{`[]`, `null`, false},
		{`[null]`, `[]`, false},
		{`["a","bc"]`, `["ab","c"]`, false},
		{`{"a":1}`, `{"a":1,"b":null}`, false},
		{`true`, `false`, false},
		{`{"a":1,"a":1}`, `{"a":1}`, false}, // not a text that Validate reads
		{`x`, `x`, true},                    // but the same bytes
		{`1e999999`, `10e999998`, false},
	} {
		start := time.Now()
		if got := schemastore.EqualJSON([]byte(c.a), []byte(c.b)); got != c.want {
			t.Errorf("%s and %s: got %v", c.a, c.b, got)
		}
		if got := schemastore.EqualJSON([]byte(c.b), []byte(c.a)); got != c.want {
			t.Errorf("%s and %s: got %v", c.b, c.a, got)
		}
		if took := time.Since(start); took > enough {
			t.Errorf("took %v", took)
		}
	}
	deep := []byte(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000))
	if schemastore.EqualJSON(deep, append([]byte(" "), deep...)) {
		t.Error("compared what is too deep")
	}
}
