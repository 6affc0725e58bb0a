package stream_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

func TestOpenEnvelope(t *testing.T) {
	for _, tc := range []struct{ value, schema, data string }{
		{`{"schema":"A:1","data":{"x":1}}`, "A:1", `{"x":1}`},
		{`{"schema":"A:1","data":null}`, "A:1", `null`},
		{`{"schema":"A","data":1}`, "A", `1`},
		{`{"schema":"A:1","data": 1 }`, "A:1", ` 1 `}, // as it was sent
		// Other clients write it in their way.
		{` { "schema" : "A:1" , "data" : [ 1 ] } `, "A:1", `[ 1 ]`},
		{`{"data":{"schema":"B:1","data":2},"schema":"A:1"}`, "A:1", `{"schema":"B:1","data":2}`},
		{`{"\u0073chema":"\u0041:1","d\u0061ta":"\u0041"}`, "A:1", `"\u0041"`},
		{"{\n\t\"schema\": \"A:1\",\r\n\t\"data\": null\n}\n", "A:1", `null`},
		{`{"schema": "A:1", "data": "\"}"}`, "A:1", `"\"}"`},
		{`{"schema":"A:1","data":"\",\"data\":"}`, "A:1", `"\",\"data\":"`},
	} {
		schema, data, ok := stream.OpenEnvelope([]byte(tc.value))
		if !ok || schema != tc.schema || string(data) != tc.data {
			t.Errorf("%s: got %q, %q, %v", tc.value, schema, data, ok)
		}
	}
	for _, value := range []string{
		``, ` `, `null`, `1`, `"x"`, `[]`, `{}`, `{`, `}`, `{}}`,
		`{"schema":"A:1"}`, `{"data":1}`,
		`{"schema":"A:1","data":1,"data":2}`, `{"schema":"A:1","data":1,"x":2}`, `{"schema":"A:1","x":2,"data":1}`,
		`{"schema":"A:1","data":1},"data":2}`, `{"schema":"A:1","data":{}},"data":{}}`,
		`{"schema":"A:1","data":1}{"schema":"A:1","data":1}`, `{"schema":"A:1","data":1} x`,
		`{"schema":"A:1","schema":"A:1","data":1}`, `{"schema":"A:1","data":1,"schema":"A:1"}`,
		`{"Schema":"A:1","data":1}`, `{"schema":"A:1","DATA":1}`,
		`{"schema":"","data":1}`, `{"schema":null,"data":1}`, `{"schema":1,"data":1}`, `{"schema":["A:1"],"data":1}`,
		`{"schema":"A:0","data":1}`, `{"schema":"A B","data":1}`, `{"schema":"A:1 ","data":1}`,
		`{"schema":"A:1","data":}`, `{"schema":"A:1","data":1`, `{"schema":"A:1","data":1,}`, `{"schema":"A:1" "data":1}`,
		`{"schema":"A:1","data":01}`, `{"schema":"A:1","data":nul}`, `{"schema":"A:1","data":1]`, `[{"schema":"A:1","data":1}]`,
		`{'schema':"A:1","data":1}`, "\uFEFF" + `{"schema":"A:1","data":1}`,
	} {
		if schema, data, ok := stream.OpenEnvelope([]byte(value)); ok {
			t.Errorf("%s: got %q, %q", value, schema, data)
		}
	}
}

// What is stored is what is read, byte for byte.
func FuzzEnvelopeRoundTrip(f *testing.F) {
	f.Add("A", 1, []byte(`{"a":[1,2]}`))
	f.Add("A", 0, []byte(` "\",\"data\":1}" `))
	f.Fuzz(func(t *testing.T, name string, version int, data []byte) {
		ref := stream.SchemaRef{Name: name, Version: version}
		if parsed, err := stream.ParseSchemaRef(ref.String()); err != nil || parsed != ref || !json.Valid(data) {
			return
		}
		value := stream.AppendEnvelope(nil, ref, data)
		if len(value) != stream.EnvelopeSize(ref, data) {
			t.Errorf("%d bytes, announced as %d", len(value), stream.EnvelopeSize(ref, data))
		}
		schema, got, ok := stream.OpenEnvelope(value)
		if !ok || schema != ref.String() || !bytes.Equal(got, data) {
			t.Errorf("%s: got %q, %q, %v", value, schema, got, ok)
		}
	})
}

// Whatever is taken for an envelope is one by the standard library's decoding,
// too, and nothing else.
func FuzzOpenEnvelope(f *testing.F) {
	for _, s := range []string{
		`{"schema":"A:1","data":1},"data":2}`, `{"data":1,"schema":"A:1"}`, ` {"schema" : "A", "data" : {} } `, `{"schema":"A:1","data":1,"data":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		schema, data, ok := stream.OpenEnvelope(value)
		if !ok {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(value, &members); err != nil || len(members) != 2 {
			t.Fatalf("%q: %d members, %v", value, len(members), err)
		}
		var name string
		if err := json.Unmarshal(members["schema"], &name); err != nil || name != schema {
			t.Errorf("%q: got schema %q, want %q", value, schema, name)
		}
		if !bytes.Equal(bytes.TrimSpace(data), members["data"]) {
			t.Errorf("%q: got data %q, want %q", value, data, members["data"])
		}
		if !bytes.Contains(value, data) {
			t.Errorf("%q: the data %q is not a part of it", value, data)
		}
	})
}

func TestInterpret(t *testing.T) {
	named := stream.Header{Name: stream.SchemaHeader, Value: []byte("A:1")}
	other := stream.Header{Name: "x", Value: []byte("y")}
	for name, tc := range map[string]struct{ in, want stream.Record }{
		"tombstone":            {stream.Record{}, stream.Record{}},
		"tombstone, named":     {stream.Record{Headers: []stream.Header{named}}, stream.Record{Headers: []stream.Header{named}}},
		"envelope":             {stream.Record{Value: []byte(`{"schema":"A:1","data":1}`)}, stream.Record{Schema: "A:1", Data: []byte(`1`)}},
		"plain JSON":           {stream.Record{Value: []byte(`{"a":1}`)}, stream.Record{Data: []byte(`{"a":1}`)}},
		"JSON null":            {stream.Record{Value: []byte(`null`)}, stream.Record{Data: []byte(`null`)}},
		"empty":                {stream.Record{Value: []byte{}}, stream.Record{}},
		"text":                 {stream.Record{Value: []byte(`hello`)}, stream.Record{}},
		"not UTF-8":            {stream.Record{Value: []byte("\"\xff\"")}, stream.Record{}},
		"envelope, not UTF-8":  {stream.Record{Value: []byte("{\"schema\":\"A:1\",\"data\":\"\xff\"}")}, stream.Record{}},
		"under a header":       {stream.Record{Value: []byte(`1`), Headers: []stream.Header{other, named, other}}, stream.Record{Schema: "A:1", Data: []byte(`1`), Headers: []stream.Header{other, other}}},
		"no JSON under one":    {stream.Record{Value: []byte(`x`), Headers: []stream.Header{named}}, stream.Record{Headers: []stream.Header{named}}},
		"a header of no name":  {stream.Record{Value: []byte(`1`), Headers: []stream.Header{{Name: stream.SchemaHeader, Value: []byte("?")}}}, stream.Record{Data: []byte(`1`), Headers: []stream.Header{{Name: stream.SchemaHeader, Value: []byte("?")}}}},
		"an envelope's look":   {stream.Record{Value: []byte(`{"schema":"B:1","data":1}`), Headers: []stream.Header{named}}, stream.Record{Schema: "A:1", Data: []byte(`{"schema":"B:1","data":1}`), Headers: []stream.Header{}}},
		"envelope with extras": {stream.Record{Value: []byte(`{"schema":"A:1","data":1,"x":2}`)}, stream.Record{Data: []byte(`{"schema":"A:1","data":1,"x":2}`)}},
	} {
		tc.want.Value = tc.in.Value
		tc.in.Interpret()
		if d := cmp.Diff(tc.want, tc.in); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if tc.in.Data != nil && !utf8.Valid(tc.in.Data) {
			t.Errorf("%s: the data is not UTF-8", name)
		}
	}
}
