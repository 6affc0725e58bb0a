package schemastore_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// enough is far more than any validation may take, also under the race
// detector on a busy machine, and far less than an attack without a budget.
const enough = 2 * time.Minute

// hostile pairs cost the engine alone minutes, gigabytes or the process.
func hostile() map[string]struct {
	schema, data string
	want         stream.Code // "" for accepted
} {
	deep := func(n int, bottom string) string {
		return strings.Repeat(`{"a":`, n) + bottom + strings.Repeat(`}`, n)
	}
	return map[string]struct {
		schema, data string
		want         stream.Code
	}{
		"exponential recursion": {
			`{"anyOf":[{"type":"object","properties":{"a":{"$ref":"#"}}},{"type":"object","properties":{"a":{"$ref":"#"}}}]}`,
			deep(100, `1`), stream.InvalidRecord,
		},
		"exponential recursion through not": {
			`{"anyOf":[{"not":{"properties":{"a":{"$ref":"#"}}}},{"not":{"properties":{"a":{"$ref":"#"}}}}]}`,
			deep(100, `1`), stream.InvalidRecord,
		},
		"exponential dynamic recursion": {
			`{"$dynamicAnchor":"n","allOf":[{"properties":{"a":{"$dynamicRef":"#n"}}},{"properties":{"a":{"$dynamicRef":"#n"}}}]}`,
			deep(100, `{}`), stream.InvalidRecord,
		},
		"exponential recursion that only a dynamic reference leads to": {
			dynamicBomb, `{"v":` + deep(100, `1`) + `}`, stream.InvalidRecord,
		},
		"sets of names for values of the wrong type": {
			`{"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{"items":{"type":"string","unevaluatedProperties":false}},`, 1000), ",") + `]}`,
			`[{` + members(60_000) + `}]`, stream.InvalidRecord,
		},
		"a long name looked up often": {
			`{"anyOf":[{"properties":{"a":{"$ref":"#"},"b":{"not":{}}}},{"properties":{"a":{"$ref":"#"},"b":{"not":{}}}}]}`,
			deep(60, `{"b":1,"`+strings.Repeat("n", 900_000)+`":1}`), stream.InvalidRecord,
		},
		"recursion that fails at the bottom": {
			`{"type":"object","properties":{"a":{"$ref":"#"}}}`,
			deep(schemastore.MaxDepth, `1`), stream.SchemaViolation,
		},
		"a long string under a large pattern": {
			`{"type":"array","items":{"pattern":"(.{0,90}x){0,10}y$"}}`,
			`["` + strings.Repeat("a", 1<<20) + `"]`, stream.InvalidRecord,
		},
		"long names under large patterns": {
			`{"patternProperties":{"(.{0,90}x){0,10}y$":false}}`,
			`{"` + strings.Repeat("a", 1<<20) + `":1}`, stream.InvalidRecord,
		},
		"patterns as data": {
			`{"items":{"format":"regex"}}`,
			`[` + strings.TrimSuffix(strings.Repeat(`"((x{100}){100}){100}",`, 40_000), ",") + `]`, stream.SchemaViolation,
		},
		"numbers under a large enum": {
			`{"items":{"enum":[` + numbers(5000) + `]}}`,
			`[` + strings.TrimSuffix(strings.Repeat(`1e399,`, 100_000), ",") + `]`, stream.SchemaViolation,
		},
		"items made to collide": {
			`{"uniqueItems":true}`, colliding(60_000), "",
		},
		"many missing names": {
			`{"items":{"required":[` + names(5000) + `]}}`,
			`[` + strings.TrimSuffix(strings.Repeat(`{},`, 100_000), ",") + `]`, stream.InvalidRecord,
		},
		"a fault in each of many places": {
			`{"items":{"type":"string"}}`,
			`[` + strings.TrimSuffix(strings.Repeat(`1,`, 500_000), ",") + `]`, stream.SchemaViolation,
		},
		"a fault in each of many deep places": {
			`{"items":{"$ref":"#"},"minimum":2}`,
			nest(120, `[`, strings.TrimSuffix(strings.Repeat(`1,`, 300_000), ","), `]`), stream.SchemaViolation,
		},
		"many alternatives and many items": {
			`{"items":{"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{"type":"string"},`, 50), ",") + `]}}`,
			`[` + strings.TrimSuffix(strings.Repeat(`1,`, 500_000), ",") + `]`, stream.InvalidRecord,
		},
		"sets of names": {
			`{"unevaluatedProperties":false,"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{"properties":{"a":true}},`, 100), ",") + `]}`,
			`{` + members(60_000) + `}`, stream.InvalidRecord,
		},
	}
}

// dynamicBomb hides its recursion in a subschema that no keyword but
// $dynamicRef leads to.
const dynamicBomb = `{
  "$id": "https://example.com/bomb",
  "$ref": "box",
  "$defs": {
    "hidden": {
      "$dynamicAnchor": "n",
      "anyOf": [
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/hidden"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/hidden"}}}
      ]
    },
    "box": {
      "$id": "box",
      "properties": {"v": {"$dynamicRef": "#n"}},
      "$defs": {"any": {"$dynamicAnchor": "n"}}
    }
  }
}`

func numbers(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf("%de-%d", i+1, 300))
	}
	return strings.Join(parts, ",")
}

func names(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf("%q", fmt.Sprint("name", i)))
	}
	return strings.Join(parts, ",")
}

func members(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf(`"name%d":%d`, i, i))
	}
	return strings.Join(parts, ",")
}

// colliding writes different items that a hash without the strings' lengths
// cannot tell from each other: the byte that it writes before a string, split
// over nine strings in as many ways.
func colliding(n int) string {
	var parts []string
	for i := range n {
		var item []string
		rest := 24
		for range 8 {
			item = append(item, `"`+strings.Repeat(`\u0004`, i%4)+`"`)
			rest -= i % 4
			i /= 4
		}
		item = append(item, `"`+strings.Repeat(`\u0004`, rest)+`"`)
		parts = append(parts, `[`+strings.Join(item, ",")+`]`)
	}
	return `[` + strings.Join(parts, ",") + `]`
}

// TestHostileData: each pair is answered, soon, and with a short answer.
func TestHostileData(t *testing.T) {
	for name, c := range hostile() {
		t.Run(name, func(t *testing.T) {
			v, err := schemastore.Compile(json.RawMessage(c.schema))
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			err = v.Validate([]byte(c.data))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%v, %d MB allocated for %d KB: %v", took.Round(time.Millisecond), allocated, len(c.data)>>10, stream.CodeOf(err))
			if got := stream.CodeOf(err); got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
			if took > enough {
				t.Errorf("took %v", took)
			}
			if allocated > 800 {
				t.Errorf("allocated %d MB", allocated)
			}
			checkSize(t, err)
		})
	}
}

// checkSize: an error is short whatever the data.
func checkSize(t *testing.T, err error) {
	t.Helper()
	e, ok := err.(*stream.Error)
	if !ok {
		return
	}
	if len(e.Violations) > schemastore.MaxViolations+1 {
		t.Errorf("%d violations", len(e.Violations))
	}
	if text, _ := json.Marshal(e.Violations); len(text)+len(e.Message) > 200<<10 {
		t.Errorf("the error is %d bytes long", len(text))
	}
}

// TestBudgetIsPerValidation: a validation that ran out takes nothing from the
// next, and concurrent ones do not share a budget.
func TestBudgetIsPerValidation(t *testing.T) {
	c := hostile()["exponential recursion"]
	v, err := schemastore.Compile(json.RawMessage(c.schema))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				if i%2 == 0 {
					if err := v.Validate([]byte(c.data)); stream.CodeOf(err) != stream.InvalidRecord {
						t.Errorf("hostile data: got %v", err)
					}
				} else if err := v.Validate([]byte(`{"a":{}}`)); err != nil {
					t.Errorf("honest data: got %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestHonestDataIsWithinBudget: the budget stops attacks, not large records.
func TestHonestDataIsWithinBudget(t *testing.T) {
	for name, c := range map[string]struct{ schema, data string }{
		"a record of a megabyte":   {orderSchema, string(order(14_000))},
		"an array of small ints":   {`{"type":"array","items":{"type":"integer","minimum":0}}`, `[` + strings.TrimSuffix(strings.Repeat(`1,`, 500_000), ",") + `]`},
		"a long base64 string":     {`{"type":"string","pattern":"^[A-Za-z0-9+/]*={0,2}$"}`, `"` + strings.Repeat("abcd", 250_000) + `"`},
		"five thousand unique":     {`{"uniqueItems":true,"items":{"type":"object"}}`, `[` + uniqueObjects(5000) + `]`},
		"a union of fifty objects": {union(50), `[` + strings.TrimSuffix(strings.Repeat(`{"kind":"k49","a":1,"b":2,"c":3},`, 1000), ",") + `]`},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := schemastore.Compile(json.RawMessage(c.schema))
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if err := v.Validate([]byte(c.data)); err != nil {
				t.Error(err)
			}
			t.Log(time.Since(start).Round(time.Millisecond), len(c.data)>>10, "KB")
		})
	}
}

func uniqueObjects(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf(`{"id":%d}`, i))
	}
	return strings.Join(parts, ",")
}

func union(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf(`{"type":"object","required":["kind"],"properties":{"kind":{"const":"k%d"},"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"}}}`, i))
	}
	return `{"type":"array","items":{"oneOf":[` + strings.Join(parts, ",") + `]}}`
}
