package filter_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/filter"
	"sluice/internal/stream"
)

// FuzzFilter looks for texts and data that make compiling or matching panic,
// take long, or give different answers for the same question.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{
		`record.data.a > 3`, `record.data.items.exists(i, i.sku == "b")`, `record.key.matches("^a{2}$") || has(record.headers.x)`,
		`record.data.l.filter(x, x > 1).size() == 2 && record.data["a"] in [1, 2.5, "c"]`, `record.timestamp.getHours("UTC") + 1 == 2`,
		`type(record.data) == map ? size(record.data) > 1 : record.data == null`, `bytes(record.data.s) == b"a" || int(record.data.s) == 1`,
	} {
		f.Add(text, []byte(`{"a":4,"items":[{"sku":"b"}],"l":[1,2,3],"s":"\u00e9","n":1e400}`))
	}
	c, err := filter.New(prometheus.NewRegistry())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		began := time.Now()
		filter, err := c.Compile(text)
		if err != nil {
			if stream.CodeOf(err) != stream.InvalidRequest {
				t.Errorf("got %v", err)
			}
			return
		}
		r := &stream.Record{
			Key: data[:min(len(data), 8)], Data: data, Timestamp: time.UnixMilli(1),
			Headers: []stream.Header{{Name: "x", Value: data}, {Name: "x"}}, Schema: "A:1",
		}
		if first, second := filter.Match(r), filter.Match(r); first != second {
			t.Error("two answers to one question")
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// FuzzData compares what a filter sees of data with what encoding/json sees:
// a value is equal to itself, written anew by another hand.
func FuzzData(f *testing.F) {
	for _, data := range []string{
		`{"a":[1,2.5,-0,1e3,"x\n\u00e9",null,true,false,{},[]]}`, ` [ { "a" : { } , "b" : [ ] } ] `, `"\ud800"`, `1`, `{"a":1,"a":{"b":2}}`, `[1E+2,0.1e-5]`,
	} {
		f.Add([]byte(data))
	}
	c, err := filter.New(prometheus.NewRegistry())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var value any
		if !json.Valid(data) || !utf8.Valid(data) || d.Decode(&value) != nil {
			return
		}
		again, err := json.Marshal(map[string]any{"again": value})
		if err != nil {
			t.Fatal(err)
		}
		both := append(append([]byte(`{"first":`), data...), `,`...)
		both = append(both, again[1:]...)
		equal, err := c.Compile(`record.data.first == record.data.again`)
		if err != nil {
			t.Fatal(err)
		}
		if !equal.Match(&stream.Record{Data: both}) {
			t.Errorf("the filter sees another value than encoding/json in %s", both)
		}
	})
}
