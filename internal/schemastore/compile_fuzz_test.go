package schemastore_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// FuzzCompile: whatever the schema, it is compiled or refused, soon, and what
// was compiled validates.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(orderSchema))
	f.Add([]byte(dynamicTarget))
	f.Add([]byte(chain(10, "anyOf")))
	f.Add([]byte(`{"$schema":"http://json-schema.org/draft-04/schema#","patternProperties":{"(?!x)":{}}}`))
	f.Add([]byte(`{"$ref":"#","$id":"x","items":{"$ref":"y#/z"}}`))
	for _, c := range hostile() {
		if len(c.schema) < 4096 {
			f.Add([]byte(c.schema))
		}
	}
	f.Fuzz(func(t *testing.T, schema []byte) {
		start := time.Now()
		v, err := schemastore.Compile(json.RawMessage(schema))
		if took := time.Since(start); took > enough {
			t.Fatalf("took %v", took)
		}
		switch stream.CodeOf(err) {
		case "":
			for _, data := range []string{`{"a":[{"a":{}},"x",1.5,null,true]}`, `[1,1,"a"]`, `"2026-01-31"`, `7`} {
				checkAnswer(t, v, []byte(data))
			}
		case stream.InvalidSchema, stream.MalformedJSON:
			checkSize(t, err)
			if !bytes.Contains(schema, []byte("schema")) { // its own words may be quoted
				checkWords(t, err.(*stream.Error).Message)
			}
		default:
			t.Fatal(err)
		}
	})
}
