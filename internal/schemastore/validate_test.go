package schemastore_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

func validate(t testing.TB, schema, data string) *stream.Error {
	t.Helper()
	v, err := schemastore.Compile(json.RawMessage(schema))
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	err = v.Validate([]byte(data))
	if err == nil {
		return nil
	}
	return err.(*stream.Error)
}

// TestViolations: each keyword's words, and the pointer to the place.
func TestViolations(t *testing.T) {
	for _, c := range []struct {
		schema, data string
		want         []stream.Violation
	}{
		{`{"type":["string","null"]}`, `1`, []stream.Violation{at("#", "type", "is of type number, and must be null or string")}},
		{`{"type":"integer"}`, `1.5`, []stream.Violation{at("#", "type", "is of type number, and must be integer")}},
		{`{"type":"integer"}`, `"x"`, []stream.Violation{at("#", "type", "is of type string, and must be integer")}},
		{`{"anyOf":[{"type":"integer"},{"type":"null"}]}`, `"x"`, []stream.Violation{at("#", "type", "is of type string, and must be integer or null")}},
		{`{"enum":["a",1,null,{}]}`, `2`, []stream.Violation{at("#", "enum", `must be one of "a", 1, null, an object`)}},
		{`{"const":"x"}`, `2`, []stream.Violation{at("#", "const", `must be "x"`)}},
		{`{"format":"date-time"}`, `"secret"`, []stream.Violation{at("#", "format", `is not a valid "date-time"`)}},
		{`{"minLength":3}`, `"ab"`, []stream.Violation{at("#", "minLength", "has 2 characters, and must have at least 3 characters")}},
		{`{"maxLength":1}`, `"ab"`, []stream.Violation{at("#", "maxLength", "has 2 characters, and may have at most 1 character")}},
		{`{"pattern":"^x"}`, `"ab"`, []stream.Violation{at("#", "pattern", "does not match the pattern ^x")}},
		{`{"minimum":0.5}`, `0.25`, []stream.Violation{at("#", "minimum", "is less than 0.5")}},
		{`{"maximum":7}`, `8`, []stream.Violation{at("#", "maximum", "is greater than 7")}},
		{`{"exclusiveMinimum":7}`, `7`, []stream.Violation{at("#", "exclusiveMinimum", "is not greater than 7")}},
		{`{"exclusiveMaximum":7}`, `7`, []stream.Violation{at("#", "exclusiveMaximum", "is not less than 7")}},
		{`{"multipleOf":2}`, `7`, []stream.Violation{at("#", "multipleOf", "is not a multiple of 2")}},
		{`{"required":["b","a"]}`, `{}`, []stream.Violation{at("#", "required", `lacks the member "a"`), at("#", "required", `lacks the member "b"`)}},
		{`{"additionalProperties":false}`, `{"x/y":1}`, []stream.Violation{at("#/x~1y", "additionalProperties", "is not a member the schema knows, and others are not allowed")}},
		{`{"unevaluatedProperties":false}`, `{"x y%":1}`, []stream.Violation{at("#/x%20y%25", "unevaluatedProperties", "is not allowed here, whatever its value")}},
		{`{"minProperties":1}`, `{}`, []stream.Violation{at("#", "minProperties", "has 0 members, and must have at least 1 member")}},
		{`{"maxItems":1}`, `[1,2]`, []stream.Violation{at("#", "maxItems", "has 2 items, and may have at most 1 item")}},
		{`{"uniqueItems":true}`, `[1,2,1.0]`, []stream.Violation{at("#", "uniqueItems", "has equal items, at 0 and 2")}},
		{`{"contains":{"type":"string"}}`, `[1,2]`, []stream.Violation{at("#", "contains", "has no item that matches")}},
		{`{"contains":{"type":"string"},"minContains":2}`, `["a",2]`, []stream.Violation{at("#", "minContains", "has 1 matching item, and must have at least 2")}},
		{`{"contains":{"type":"string"},"maxContains":1}`, `["a","b"]`, []stream.Violation{at("#", "maxContains", "has 2 matching items, and may have at most 1")}},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, []stream.Violation{at("#", "dependentRequired", `lacks the member "b", which must be there if "a" is`)}},
		{`{"not":{"type":"string"}}`, `"a"`, []stream.Violation{at("#", "not", "matches what it must not match")}},
		{`{"oneOf":[true,true]}`, `1`, []stream.Violation{at("#", "oneOf", "matches more than one alternative, numbers 1 and 2, and must match exactly one")}},
		{`{"anyOf":[{"minimum":3},{"type":"string"},{"minimum":3}]}`, `1`, []stream.Violation{
			at("#", "anyOf", "matches none of the 3 alternatives"), at("#", "minimum", "is less than 3"), at("#", "type", "is of type number, and must be string"),
		}},
		{`{"items":{"propertyNames":{"maxLength":1}}}`, `[{"ab":1},{"c":1},{"de":1}]`, []stream.Violation{
			at("#/0", "propertyNames", `the name "ab" is not allowed: it has 2 characters, and may have at most 1 character`),
			at("#/2", "propertyNames", `the name "de" is not allowed: it has 2 characters, and may have at most 1 character`),
		}},
		{`{"properties":{"é":{"$ref":"#/$defs/s"}},"$defs":{"s":{"type":"string"}}}`, `{"é":1}`, []stream.Violation{at("#/%C3%A9", "type", "is of type number, and must be string")}},
	} {
		e := validate(t, c.schema, c.data)
		if e == nil || e.Code != stream.SchemaViolation {
			t.Errorf("%s on %s: got %v", c.schema, c.data, e)
			continue
		}
		if diff := cmp.Diff(c.want, e.Violations); diff != "" {
			t.Errorf("%s on %s (-want +got):\n%s", c.schema, c.data, diff)
		}
	}
}

func at(pointer, keyword, detail string) stream.Violation {
	return stream.Violation{Pointer: pointer, Keyword: keyword, Detail: detail}
}

// TestAllViolations: all faults of a document are found, in the order of their
// places, each pointer leading to its value.
func TestAllViolations(t *testing.T) {
	data := strings.NewReplacer(`"qty":2,`, `"qty":"2",`, `"qty":11,`, `"qty":0,`, `"sku":"ABC-0002"`, `"sku":"abc"`,
		`"country":"DE"`, `"country":"XX"`, `199.90`, `-1`).Replace(string(order(12)))
	e := validate(t, orderSchema, data)
	var got []string
	for _, v := range e.Violations {
		got = append(got, v.Pointer+" "+v.Keyword)
	}
	want := []string{"#/customer/country enum", "#/items/1/qty type", "#/items/2/sku pattern", "#/items/10/qty minimum", "#/total minimum"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for range 20 {
		if diff := cmp.Diff(e, validate(t, orderSchema, data)); diff != "" {
			t.Fatalf("not the same again:\n%s", diff)
		}
	}
}

// TestManyViolations: a hundred are listed and the rest is counted.
func TestManyViolations(t *testing.T) {
	for _, faults := range []int{99, 100, 101, 4000, 30_000} {
		data := `[` + strings.TrimSuffix(strings.Repeat(`1,`, faults), ",") + `]`
		e := validate(t, `{"items":{"type":"string"}}`, data)
		want := faults
		if faults > schemastore.MaxViolations {
			want = schemastore.MaxViolations + 1
			last := e.Violations[len(e.Violations)-1].Detail
			if !strings.HasPrefix(last, fmt.Sprint(faults-schemastore.MaxViolations, " more")) {
				t.Errorf("%d faults: the last says %q", faults, last)
			}
		}
		if len(e.Violations) != want {
			t.Errorf("%d faults: got %d violations, want %d", faults, len(e.Violations), want)
		}
		checkSize(t, e)
	}
}

// TestValuesAreNotEchoed: long values, names and schema words are cut.
func TestValuesAreNotEchoed(t *testing.T) {
	long := strings.Repeat("é", 1<<16)
	name := strings.Repeat(`deep`, 1000)
	for schema, data := range map[string]string{
		`{"type":"integer"}`:                                    `"` + long + `"`,
		`{"pattern":"^a{3}$"}`:                                  `"` + long + `"`,
		`{"format":"uuid"}`:                                     `"` + long + `"`,
		`{"enum":["` + long + `","b"]}`:                         `"` + long + `x"`,
		`{"const":"` + long + `"}`:                              `"` + long + `x"`,
		`{"required":["` + long + `"]}`:                         `{}`,
		`{"additionalProperties":false}`:                        `{"` + long + `":1}`,
		`{"propertyNames":{"maxLength":1}}`:                     `{"` + long + `":1}`,
		`{"additionalProperties":{"$ref":"#"},"type":"object"}`: nest(100, `{"`+name+`":`, `1`, `}`),
	} {
		e := validate(t, schema, data)
		if e == nil {
			t.Errorf("%.40s: accepted", schema)
			continue
		}
		for _, v := range e.Violations {
			if len(v.Pointer) > 2000 || len(v.Detail) > 500 {
				t.Errorf("%.40s: pointer of %d bytes, detail of %d", schema, len(v.Pointer), len(v.Detail))
			}
			if _, err := url.PathUnescape(v.Pointer); err != nil {
				t.Errorf("%.40s: %v", schema, err)
			}
		}
		if strings.Contains(e.Error(), long) {
			t.Errorf("%.40s: the log would hold the value", schema)
		}
	}
}

// TestConcurrentUse: answers do not depend on what others validate.
func TestConcurrentUse(t *testing.T) {
	v, err := schemastore.Compile(json.RawMessage(orderSchema))
	if err != nil {
		t.Fatal(err)
	}
	good := order(5)
	bad := []byte(strings.Replace(string(good), `"qty":3,`, `"qty":"3",`, 1))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				if i%2 == 0 {
					if err := v.Validate(good); err != nil {
						t.Error(err)
					}
					continue
				}
				e, ok := v.Validate(bad).(*stream.Error)
				if !ok || len(e.Violations) != 1 || e.Violations[0].Pointer != "#/items/2/qty" {
					t.Errorf("got %v", e)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzValidate: whatever the data, an answer with a known code, soon.
func FuzzValidate(f *testing.F) {
	f.Add(order(2))
	for _, c := range hostile() {
		if len(c.data) < 4096 {
			f.Add([]byte(c.data))
		}
	}
	var validators []*schemastore.Validator
	for _, schema := range []string{orderSchema, dynamicTarget, hostile()["exponential recursion"].schema, `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`} {
		v, err := schemastore.Compile(json.RawMessage(schema))
		if err != nil {
			f.Fatal(err)
		}
		validators = append(validators, v)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range validators {
			checkAnswer(t, v, data)
		}
	})
}

func checkAnswer(t *testing.T, v *schemastore.Validator, data []byte) {
	t.Helper()
	start := time.Now()
	err := v.Validate(data)
	if took := time.Since(start); took > enough {
		t.Fatalf("took %v", took)
	}
	switch code := stream.CodeOf(err); code {
	case "", stream.MalformedJSON, stream.InvalidRecord, stream.SchemaViolation:
		if broken := schemastore.CheckJSON(data); broken != nil && stream.CodeOf(broken) != code {
			t.Fatalf("CheckJSON: %v, Validate: %v", broken, err)
		}
	default:
		t.Fatal(err)
	}
	checkSize(t, err)
}
