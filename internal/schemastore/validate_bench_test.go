package schemastore_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sluice/internal/schemastore"
)

const orderSchema = `{
  "$id": "https://example.com/order",
  "type": "object",
  "required": ["id", "customer", "items", "total"],
  "additionalProperties": false,
  "properties": {
    "id": {"type": "string", "format": "uuid"},
    "created": {"type": "string", "format": "date-time"},
    "customer": {"$ref": "#/$defs/customer"},
    "items": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/item"}},
    "total": {"type": "number", "minimum": 0},
    "note": {"anyOf": [{"type": "string", "maxLength": 500}, {"type": "null"}]}
  },
  "$defs": {
    "customer": {
      "type": "object",
      "required": ["id", "email"],
      "properties": {
        "id": {"type": "integer", "minimum": 1},
        "email": {"type": "string", "format": "email"},
        "country": {"enum": ["DE", "FR", "IT", "ES", "NL"]}
      }
    },
    "item": {
      "type": "object",
      "required": ["sku", "qty", "price"],
      "additionalProperties": false,
      "properties": {
        "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        "qty": {"type": "integer", "minimum": 1, "maximum": 1000},
        "price": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true}
      }
    }
  }
}`

// order writes an order with so many items.
func order(items int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","created":"2026-01-31T12:00:00.123Z",` +
		`"customer":{"id":4711,"email":"ada@example.com","country":"DE"},"total":199.90,"note":null,"items":[`)
	for i := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"ABC-%04d","qty":%d,"price":%d.%02d,"tags":["new","sale"]}`, i%10000, 1+i%1000, 1+i%90, i%100)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func benchmarks() map[string]struct{ schema, data string } {
	return map[string]struct{ schema, data string }{
		"small":  {`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`, `{"n":4711}`},
		"medium": {orderSchema, string(order(12))},
		"large":  {orderSchema, string(order(1500))},
	}
}

// BenchmarkValidate is the way of every publish: bytes, decoded, validated.
func BenchmarkValidate(b *testing.B) {
	for name, c := range benchmarks() {
		v, err := schemastore.Compile(json.RawMessage(c.schema))
		if err != nil {
			b.Fatal(err)
		}
		data := []byte(c.data)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := v.Validate(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRefuse is the same for data with one fault, which is looked at twice.
func BenchmarkRefuse(b *testing.B) {
	v, err := schemastore.Compile(json.RawMessage(orderSchema))
	if err != nil {
		b.Fatal(err)
	}
	data := []byte(strings.Replace(string(order(12)), `"qty":3,`, `"qty":"3",`, 1))
	b.ReportAllocs()
	for b.Loop() {
		if v.Validate(data) == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkDecode is the part that makes values of bytes, beside the standard
// library's.
func BenchmarkDecode(b *testing.B) {
	for name, c := range benchmarks() {
		data := []byte(c.data)
		b.Run(name+"/sluice", func(b *testing.B) {
			decode := schemastore.DecoderForTest()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d := json.NewDecoder(bytes.NewReader(data))
				d.UseNumber()
				var v any
				if err := d.Decode(&v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheckJSON is the syntax alone.
func BenchmarkCheckJSON(b *testing.B) {
	data := order(12)
	b.ReportAllocs()
	for b.Loop() {
		if err := schemastore.CheckJSON(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schemastore.Compile(json.RawMessage(orderSchema)); err != nil {
			b.Fatal(err)
		}
	}
}
