package schemastore_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

func nest(n int, open, bottom, end string) string {
	return strings.Repeat(open, n) + bottom + strings.Repeat(end, n)
}

// chain writes definitions of which each is the two-way alternative of the
// next, and a reference to the first.
func chain(levels int, keyword string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"$ref":"#/$defs/d0","$defs":{"d%d":{"type":"string"}`, levels)
	for i := range levels {
		fmt.Fprintf(&b, `,"d%d":{"%s":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i, keyword, i+1, i+1)
	}
	b.WriteString("}}")
	return b.String()
}

// TestRefused: what cannot be honoured in full is refused, with the place.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ schema, pointer, keyword string }{
		"unknown draft":            {`{"$schema":"https://example.com/my-draft"}`, "#/$schema", "$schema"},
		"draft 3":                  {`{"$schema":"http://json-schema.org/draft-03/schema#"}`, "#/$schema", "$schema"},
		"unknown draft, nested":    {`{"$defs":{"a":{"$id":"x","$schema":"urn:nope"}}}`, "#/$defs/a/$schema", "$schema"},
		"unresolved ref":           {`{"properties":{"a":{"$ref":"#/$defs/b"}}}`, "#/properties/a/$ref", "$ref"},
		"unresolved anchor":        {`{"items":{"$ref":"#nowhere"}}`, "#/items/$ref", "$ref"},
		"unresolved dynamic ref":   {`{"items":{"$dynamicRef":"#nowhere"}}`, "#/items/$dynamicRef", "$dynamicRef"},
		"ref over http":            {`{"items":{"$ref":"http://127.0.0.1:1/x.json"}}`, "#/items/$ref", "$ref"},
		"ref to a file":            {`{"items":{"$ref":"file:///etc/passwd"}}`, "#/items/$ref", "$ref"},
		"ref to a relative file":   {`{"$ref":"other.json#/a"}`, "#/$ref", "$ref"},
		"ref below an $id":         {`{"$id":"https://example.com/a/","$ref":"b.json"}`, "#/$ref", "$ref"},
		"misspelt type":            {`{"properties":{"a b":{"type":"strng"}}}`, "#/properties/a%20b/type", "anyOf"},
		"lookahead":                {`{"properties":{"a":{"pattern":"^(?=x)"}}}`, "#/properties/a/pattern", "format"},
		"back reference":           {`{"pattern":"(a)\\1"}`, "#/pattern", "format"},
		"lookahead in a name":      {`{"patternProperties":{"(?!x)":true}}`, "#/patternProperties", "propertyNames"},
		"lookahead, draft 4":       {`{"$schema":"http://json-schema.org/draft-04/schema#","patternProperties":{"(?!x)":{}}}`, "#/patternProperties", "pattern"},
		"pattern too large":        {`{"pattern":"(abcdefghijklmnopqrst){1000}"}`, "#/pattern", "format"},
		"items as a list":          {`{"items":[{"type":"string"}]}`, "#/items", "type"},
		"negative minLength":       {`{"minLength":-1}`, "#/minLength", "minimum"},
		"minimum as text":          {`{"minimum":"1"}`, "#/minimum", "type"},
		"not a schema":             {`42`, "#", "type"},
		"null":                     {`null`, "#", "type"},
		"a list":                   {`[{}]`, "#", "type"},
		"itself":                   {`{"$ref":"#"}`, "#", "$ref"},
		"itself, dynamic":          {`{"$dynamicAnchor":"a","$dynamicRef":"#a"}`, "#", "$ref"},
		"itself, recursive":        {`{"$schema":"https://json-schema.org/draft/2019-09/schema","$recursiveRef":"#"}`, "#", "$ref"},
		"itself, through allOf":    {`{"allOf":[{"$ref":"#"}]}`, "", "$ref"},
		"itself, through not":      {`{"not":{"$ref":"#"}}`, "", "$ref"},
		"each other":               {`{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}`, "", "$ref"},
		"alternatives multiply":    {chain(18, "anyOf"), "", ""},
		"conjunctions multiply":    {chain(22, "allOf"), "", ""},
		"one in the other":         {`{"$ref":"#/$defs/d0","$defs":{` + refChain(100) + `}}`, "", ""},
		"too many subschemas":      {`{"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{},`, 66_000), ",") + `]}`, "#", ""},
		"nested too deep":          {nest(9000, `{"not":`, `{}`, `}`), "", ""},
		"foreign references":       {`{"x":[` + strings.TrimSuffix(strings.Repeat(`{"type":"string"},`, 100), ",") + `],"allOf":[` + foreignRefs(100) + `]}`, "#", "$ref"},
		"two with one $id":         {`{"$defs":{"a":{"$id":"x"},"b":{"$id":"x"}}}`, "#", ""},
		"a long name over many":    {`{"properties":{"` + strings.Repeat("n", 100_000) + `":{"properties":{` + `"a":{}` + `}}}}`, "", ""},
		"a long $id":               {`{"$defs":{"a":{"$id":"` + strings.Repeat("n", 100_000) + `"}}}`, "#/$defs/a/$id", "$id"},
		"a huge number":            {`{"maximum":1e999999}`, "#/maximum", ""},
		"unresolved and escaped":   {`{"properties":{"a/b":{"$ref":"#/$defs/~0%25"}}}`, "#/properties/a~1b/$ref", "$ref"},
		"unresolved in a resource": {`{"$defs":{"r":{"$id":"r","$ref":"#/$defs/none"}},"$ref":"r"}`, "#/$defs/r/$ref", "$ref"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := schemastore.Compile(json.RawMessage(c.schema))
			if took := time.Since(start); took > enough {
				t.Errorf("took %v", took)
			}
			e, ok := err.(*stream.Error)
			if !ok || e.Code != stream.InvalidSchema {
				t.Fatalf("got %v, want %s", err, stream.InvalidSchema)
			}
			if !slices.ContainsFunc(e.Violations, func(v stream.Violation) bool {
				return (c.pointer == "" || v.Pointer == c.pointer) && (c.keyword == "" || v.Keyword == c.keyword)
			}) {
				t.Errorf("got %+v, want one at %s %s", e.Violations, c.pointer, c.keyword)
			}
			for _, v := range e.Violations {
				checkWords(t, v.Detail)
			}
			checkWords(t, e.Message)
			checkSize(t, err)
		})
	}
}

// TestReferencesAreNotFetched: not even where the target is there to be had,
// and the answer does not tell.
func TestReferencesAreNotFetched(t *testing.T) {
	present := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(present, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	hits := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits <- r.URL.Path
		_, _ = w.Write([]byte(`{"type":"string"}`))
	}))
	defer server.Close()
	for _, keyword := range []string{"$ref", "$schema", "$dynamicRef"} {
		for _, target := range []string{"file://" + present, server.URL + "/schema.json"} {
			_, err := schemastore.Compile(fmt.Appendf(nil, `{%q:%q}`, keyword, target))
			if stream.CodeOf(err) != stream.InvalidSchema {
				t.Errorf("%s %s: got %v", keyword, target, err)
			}
		}
	}
	select {
	case path := <-hits:
		t.Errorf("%s was fetched", path)
	default:
	}
}

func refChain(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf(`"d%d":{"$ref":"#/$defs/d%d"}`, i, i+1))
	}
	return strings.Join(append(parts, fmt.Sprintf(`"d%d":{}`, n)), ",")
}

func foreignRefs(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf(`{"$ref":"#/x/%d"}`, i))
	}
	return strings.Join(parts, ",")
}

// checkWords: nothing of the inside, and nothing of the machine, in a message.
func checkWords(t *testing.T, text string) {
	t.Helper()
	for _, word := range []string{"sluice://", "jsonschema", "root:", "no such file", "permission", "metaschema"} {
		if strings.Contains(text, word) {
			t.Errorf("%q contains %q", text, word)
		}
	}
}

// TestAccepted: what is legal, if unusual, is taken.
func TestAccepted(t *testing.T) {
	for name, c := range map[string]struct{ schema, good, bad string }{
		"true":                       {`true`, `1`, ``},
		"false":                      {`false`, ``, `1`},
		"recursion":                  {`{"type":"object","properties":{"a":{"$ref":"#"}}}`, `{"a":{"a":{}}}`, `{"a":{"a":1}}`},
		"a metaschema as a target":   {`{"$ref":"https://json-schema.org/draft/2020-12/schema"}`, `{"type":"string"}`, `{"type":"strng"}`},
		"draft 7's metaschema":       {`{"$ref":"http://json-schema.org/draft-07/schema#"}`, `{"items":[{}]}`, `{"items":[1]}`},
		"unknown keywords":           {`{"x-note":{"$ref":"nowhere"},"type":"string"}`, `"a"`, `1`},
		"a property called $ref":     {`{"properties":{"$ref":{"type":"string"}}}`, `{"$ref":"a"}`, `{"$ref":1}`},
		"an unknown format":          {`{"format":"binary"}`, `"\u0000"`, ``},
		"contentEncoding":            {`{"contentEncoding":"base64","contentMediaType":"application/json"}`, `"%"`, ``},
		"draft 4":                    {`{"$schema":"http://json-schema.org/draft-04/schema#","minimum":1,"exclusiveMinimum":true}`, `2`, `1`},
		"an absolute ref to itself":  {`{"$id":"https://example.com/a","$defs":{"b":{"type":"string"}},"$ref":"https://example.com/a#/$defs/b"}`, `"x"`, `1`},
		"minLength beyond a word":    {`{"minLength":1e300}`, `1`, `"a"`},
		"maxLength beyond a word":    {`{"maxLength":18446744073709551615}`, `"a"`, ``},
		"1.0 is an integer":          {`{"type":"integer"}`, `1.0`, `1.5`},
		"1e2 is an integer":          {`{"type":["integer","null"]}`, `1e2`, `1e-2`},
		"a big integer":              {`{"type":"integer","maximum":1e30}`, `123456789012345678901`, `1e31`},
		"exact decimals":             {`{"multipleOf":0.01}`, `4.35`, `4.351`},
		"a limit between words":      {`{"exclusiveMaximum":9007199254740993}`, `9007199254740992`, `9007199254740993`},
		"a dynamic target alone":     {dynamicTarget, `{"v":"a"}`, `{"v":1}`},
		"a format in a resource":     {`{"$defs":{"r":{"$id":"r","format":"date"}},"items":{"$ref":"r"}}`, `["2026-01-31"]`, `["2026-02-31"]`},
		"two hundred alternatives":   {`{"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{"const":1},`, 200), ",") + `]}`, `1`, `2`},
		"unique items, -0 and 0":     {`{"uniqueItems":true}`, `[0,false,"0",[0],{"a":0}]`, `[0,-0.0]`},
		"unique items, split":        {`{"uniqueItems":true}`, `[["a","bc"],["ab","c"]]`, `[{"a":1,"b":2.0},{"b":2,"a":1}]`},
		"names under a format":       {`{"propertyNames":{"format":"ipv4"}}`, `{"127.0.0.1":1}`, `{"localhost":1}`},
		"a nullable optional string": {`{"properties":{"s":{"anyOf":[{"type":"string"},{"type":"null"}]}}}`, `{"s":null}`, `{"s":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := schemastore.Compile(json.RawMessage(c.schema))
			if err != nil {
				t.Fatal(err)
			}
			if c.good != "" {
				if err := v.Validate([]byte(c.good)); err != nil {
					t.Errorf("%s: %v", c.good, err)
				}
			}
			if c.bad != "" {
				if err := v.Validate([]byte(c.bad)); stream.CodeOf(err) != stream.SchemaViolation {
					t.Errorf("%s: got %v", c.bad, err)
				}
			}
		})
	}
}

// dynamicTarget has a subschema that no keyword but $dynamicRef leads to.
const dynamicTarget = `{
  "$id": "https://example.com/strings",
  "$ref": "box",
  "$defs": {
    "string": {"$dynamicAnchor": "content", "type": "string"},
    "box": {
      "$id": "box",
      "properties": {"v": {"$dynamicRef": "#content"}},
      "$defs": {"any": {"$dynamicAnchor": "content"}}
    }
  }
}`

// TestLargestSchemaCompilesSoon: the limit on subschemas is one that keeps the
// compiler's quadratic search bearable.
func TestLargestSchemaCompilesSoon(t *testing.T) {
	for name, each := range map[string]string{
		"plain":     `{"minimum":%d}`,
		"resources": `{"$id":"r%d","minimum":1}`,
		"anchors":   `{"$dynamicAnchor":"r%d","minimum":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			var parts []string
			for i := range schemastore.MaxSubschemas - 1 {
				parts = append(parts, fmt.Sprintf(`"p%d":`+each, i, i))
			}
			start := time.Now()
			_, err := schemastore.Compile(json.RawMessage(`{"properties":{` + strings.Join(parts, ",") + `}}`))
			took := time.Since(start)
			t.Log(took.Round(time.Millisecond))
			if err != nil || took > enough {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
}
