package filter_test

import (
	"testing"
	"time"

	"sluice/internal/stream"
)

// BenchmarkMatch is of a record of 230 bytes.
func BenchmarkMatch(b *testing.B) {
	r := &stream.Record{
		Stream: "orders.eu", Timestamp: time.UnixMilli(1769860800123), Key: []byte("k1"), Schema: "Order:1",
		Data: []byte(`{"id":"3f1c9a52-7a6e-4d83-9d39-0f4f0f6f1a2b","customer":"c-10293","qty":4,"price":19.99,"currency":"EUR",` +
			`"status":"paid","created":"2026-01-31T12:00:00.123Z","items":[{"sku":"a-1","n":2},{"sku":"b-2","n":1}]}`),
	}
	for name, text := range map[string]string{
		"key":     `record.key == "k1"`,
		"member":  `record.data.qty > 3`,
		"two":     `record.data.qty > 3 && record.data.status == "paid"`,
		"exists":  `record.data.items.exists(i, i.sku == "b-2")`,
		"matches": `record.data.status.matches("^p.*d$")`,
		"all":     `size(record.data) == 8`,
	} {
		b.Run(name, func(b *testing.B) {
			f := compile(b, text)
			b.ReportAllocs()
			for b.Loop() {
				if !f.Match(r) {
					b.Fatal("it does not match")
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	c := compiler(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Compile(`record.data.qty > 3 && record.data.status == "paid"`); err != nil {
			b.Fatal(err)
		}
	}
}
